//! An import map (HTML, "Import maps"): `imports` and `integrity`.
//!
//! Every script is mapped from its path (`import "js/app.js"`), from its URL on
//! the site (`/static/js/app.js`), and from the URL it would have without a
//! fingerprint. The last is where `./dep.js` in a fingerprinted module leads to,
//! so modules whose bytes were left as they are find each other. `integrity`
//! covers static and dynamic imports, and `modulepreload`.
//!
//! Limits: a map applies to documents, never to workers; and it has to come
//! before the first module script.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{UrlOf, asked, is_script, named};
use crate::asset::{AssetPath, ObjectKey};
use crate::manifest::Manifest;

/// `{"imports": {specifier: url}, "integrity": {url: integrity}}`. The tree
/// stands at `mount` on the site, a path with a `/` at both ends.
pub(super) fn write(manifest: &Manifest, url_of: &UrlOf<'_>, mount: &str) -> Value {
    let (mut imports, mut integrity) = (Map::new(), Map::new());
    let aliases = asked(manifest).skip(named(manifest).count());
    for (name, entry, _) in aliases.filter(|(_, entry, _)| is_script(entry)) {
        imports.extend(url_of(&entry.key).map(|url| (name.to_owned(), url.into())));
    }
    for (path, entry) in manifest.iter().filter(|(_, entry)| is_script(entry)) {
        let Some(url) = url_of(&entry.named_by(path)) else { continue };
        if !entry.stable {
            integrity.insert(url.clone(), entry.integrity.clone().into());
        }
        let specifiers = urls(path, url_of, mount).into_iter().chain([path.as_str().to_owned()]);
        for specifier in specifiers.filter(|specifier| *specifier != url) {
            imports.insert(specifier, url.clone().into());
        }
    }
    json!({ "imports": imports, "integrity": integrity })
}

/// The URLs of an asset without a fingerprint, each in both of its forms.
fn urls(path: &AssetPath, url_of: &UrlOf<'_>, mount: &str) -> BTreeSet<String> {
    let (escaped, plain) = (path.to_url_path(), path.to_plain_url_path());
    let public = url_of(&ObjectKey::of_public_name(path)).unwrap_or_default();
    let base = public.strip_suffix(&escaped);
    let forms = [&escaped, &plain];
    let bases = [Some(mount), base].into_iter().flatten();
    bases.flat_map(|base| forms.map(|form| format!("{base}{form}"))).collect()
}
