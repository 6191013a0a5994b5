//! An import map (HTML, "Import maps"): `imports` and `integrity`.
//!
//! Every script is mapped from its path (`import "js/app.js"`), and from the
//! URL it would have without a fingerprint. The second is where `./dep.js` in a
//! fingerprinted module leads to, so modules whose bytes were left as they are
//! find each other. `integrity` covers static and dynamic imports, and
//! `modulepreload`.
//!
//! Limits: a map applies to documents, never to workers; it has to come before
//! the first module script; and pages that import by a URL of their own origin
//! (`/static/js/app.js`) are not covered where that is not the public base.

use serde_json::{Map, Value, json};

use super::{UrlOf, asked, is_script, named};
use crate::asset::ObjectKey;
use crate::manifest::Manifest;

/// `{"imports": {specifier: url}, "integrity": {url: integrity}}`.
pub(super) fn write(manifest: &Manifest, url_of: &UrlOf<'_>) -> Value {
    let (mut imports, mut integrity) = (Map::new(), Map::new());
    let aliases = asked(manifest).skip(named(manifest).count());
    for (name, entry, _) in aliases.filter(|(_, entry, _)| is_script(entry)) {
        imports.extend(url_of(&entry.key).map(|url| (name.to_owned(), url.into())));
    }
    for (path, entry) in manifest.iter().filter(|(_, entry)| is_script(entry)) {
        let Some(url) = url_of(&entry.named_by(path)) else { continue };
        let plain = url_of(&ObjectKey::of_public_name(path)).filter(|plain| *plain != url);
        if !entry.stable {
            integrity.insert(url.clone(), entry.integrity.clone().into());
        }
        if let Some(plain) = plain {
            imports.insert(plain, url.clone().into());
        }
        imports.insert(path.as_str().to_owned(), url.into());
    }
    json!({ "imports": imports, "integrity": integrity })
}
