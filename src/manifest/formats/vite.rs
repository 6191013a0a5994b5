//! Vite's `.vite/manifest.json` (`ManifestChunk` in `vite/dist/node/index.d.ts`;
//! vite.dev, "Backend Integration").
//!
//! The chunks of a Vite build are those of the manifest that Vite wrote, under
//! new names; an entrypoint of webpack is a chunk of its last script, whose
//! `imports` are the scripts before it. Any other asset is a chunk of its own, its path the key and `src`. `imports` hold
//! keys, `file`, `css` and `assets` hold names. `integrity` is the field that
//! vite-plugin-manifest-sri adds, which Laravel reads.
//!
//! Limits where Vite's own manifest is not known: references do not tell a dynamic import from a static one, so all are
//! `imports`; and what a build names an entry is unknown, so an entry is each
//! script and style sheet that no other one refers to.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{is_script, named, public_name};
use crate::asset::{AssetPath, media};
use crate::manifest::{Chunk, Entry, Manifest};

/// `{path: {"file", "src", "integrity", …}}`; what is empty is left out.
pub(super) fn write(manifest: &Manifest) -> Value {
    let inner = inner(manifest);
    let built: BTreeSet<&str> =
        manifest.logical().chunks.values().map(|chunk| chunk.file.as_str()).collect();
    let others = named(manifest).filter(|(path, ..)| !built.contains(path.as_str()));
    let others = others.map(|(path, entry, name)| {
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
    let chunks = manifest.logical().chunks.iter();
    let chunks = chunks.filter_map(|(key, chunk)| Some((key.clone(), rebuilt(chunk, manifest)?)));
    Value::Object(others.chain(chunks).collect())
}

/// A chunk of Vite's own manifest with the names that its files have now.
fn rebuilt(chunk: &Chunk, manifest: &Manifest) -> Option<Value> {
    let name = |path: &AssetPath| manifest.get(path.as_str())?.key.public_name();
    let names = |paths: &[AssetPath]| json!(paths.iter().filter_map(name).collect::<Vec<_>>());
    let fields = [
        ("assets", names(&chunk.assets)),
        ("css", names(&chunk.css)),
        ("dynamicImports", json!(chunk.dynamic_imports)),
        ("file", json!(name(&chunk.file)?)),
        ("imports", json!(chunk.imports)),
        ("integrity", json!(manifest.get(chunk.file.as_str())?.integrity)),
        ("isDynamicEntry", json!(chunk.is_dynamic_entry)),
        ("isEntry", json!(chunk.is_entry)),
        ("name", json!(chunk.name)),
        ("src", json!(chunk.src)),
    ];
    let empty = |value: &Value| match value {
        Value::Array(values) => values.is_empty(),
        Value::Bool(flag) => !flag,
        other => other.is_null(),
    };
    let fields = fields.into_iter().filter(|(_, value)| !empty(value));
    Some(fields.map(|(field, value)| (field.to_owned(), value)).collect())
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

/// The assets that a script or a style sheet other than themselves refers to,
/// or a chunk of Vite's own manifest does.
fn inner(manifest: &Manifest) -> BTreeSet<&str> {
    let chunks = manifest.logical().chunks.values();
    let loaded = chunks.flat_map(|chunk| chunk.css.iter().chain(&chunk.assets));
    let parts = manifest.iter().filter(|(_, entry)| is_part(entry));
    parts
        .flat_map(|(path, entry)| entry.refs.iter().filter(move |to| *to != path))
        .chain(loaded)
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
