//! Vite's `.vite/manifest.json` (`ManifestChunk` in `vite/dist/node/index.d.ts`;
//! vite.dev, "Backend Integration").
//!
//! Each asset is a chunk of its own, its path the key and `src`. `imports` hold
//! keys, `file`, `css` and `assets` hold names. `integrity` is the field that
//! vite-plugin-manifest-sri adds, which Laravel reads.
//!
//! Limits: references do not tell a dynamic import from a static one, so all are
//! `imports`; and what a build names an entry is unknown, so an entry is each
//! script and style sheet that no other one refers to.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{is_script, named, public_name};
use crate::asset::media;
use crate::manifest::{Entry, Manifest};

/// `{path: {"file", "src", "integrity", …}}`; what is empty is left out.
pub(super) fn write(manifest: &Manifest) -> Value {
    let inner = inner(manifest);
    let chunks = named(manifest).map(|(path, entry, name)| {
        let mut chunk = Map::new();
        chunk.insert("file".into(), name.into());
        if !entry.stable {
            chunk.insert("integrity".into(), entry.integrity.clone().into());
        }
        chunk.insert("src".into(), path.as_str().into());
        if is_part(entry) && !inner.contains(path.as_str()) {
            chunk.insert("isEntry".into(), true.into());
        }
        for (field, values) in References::of(path.as_str(), entry, manifest).fields() {
            if !values.is_empty() {
                chunk.insert(field.into(), json!(values));
            }
        }
        (path.as_str().to_owned(), Value::Object(chunk))
    });
    Value::Object(chunks.collect())
}

/// What one asset refers to, by the fields of its chunk.
#[derive(Default)]
struct References<'a> {
    assets: Vec<&'a str>,
    css: Vec<&'a str>,
    imports: Vec<&'a str>,
}

impl<'a> References<'a> {
    /// Only a script has `imports` and `css`: readers make tags of both. A style
    /// sheet loads its own imports, and a page is not in the reader's hands.
    fn of(path: &str, entry: &'a Entry, manifest: &'a Manifest) -> Self {
        let mut references = Self::default();
        for to in entry.refs.iter().filter(|to| to.as_str() != path) {
            let Some(target) = manifest.get(to.as_str()) else { continue };
            let Some(name) = public_name(to, target) else { continue };
            if is_script(entry) && is_script(target) {
                references.imports.push(to.as_str());
            } else if is_script(entry) && is_style(target) {
                references.css.push(name);
            } else {
                references.assets.push(name);
            }
        }
        references
    }

    fn fields(self) -> [(&'static str, Vec<&'a str>); 3] {
        [("assets", self.assets), ("css", self.css), ("imports", self.imports)]
    }
}

/// The assets that a script or a style sheet other than themselves refers to.
fn inner(manifest: &Manifest) -> BTreeSet<&str> {
    let parts = manifest.iter().filter(|(_, entry)| is_part(entry));
    parts
        .flat_map(|(path, entry)| entry.refs.iter().filter(move |to| *to != path))
        .map(|to| to.as_str())
        .collect()
}

/// Whether the asset is what a bundler makes chunks of.
fn is_part(entry: &Entry) -> bool {
    is_script(entry) || is_style(entry)
}

fn is_style(entry: &Entry) -> bool {
    media::essence(&entry.content_type).eq_ignore_ascii_case("text/css")
}
