//! Sprockets' manifest, as `Sprockets::Manifest` reads it
//! (`lib/sprockets/manifest.rb`: "the JSON is part of the public API").
//!
//! Sprockets keeps all generations in `files`; here is the one of the release.
//! `digest` is awning's BLAKE3 instead of SHA-256, so `integrity`, SHA-384, is
//! not derived from it.

use serde_json::{Map, Value, json};

use super::{asked, integrity};
use crate::manifest::Manifest;

/// A manifest holds no times, so that the same tree gives the same release.
/// `Manifest#clean` parses one, and looks at it only for files that no
/// `assets` entry names: there are none.
const MTIME: &str = "1970-01-01T00:00:00Z";

/// `{"assets": {path: name}, "files": {name: {…}}}`.
pub(super) fn write(manifest: &Manifest) -> Value {
    let (mut assets, mut files) = (Map::new(), Map::new());
    for (path, entry, name) in asked(manifest) {
        assets.insert(path.to_owned(), name.into());
        let file = json!({
            "digest": entry.b3.to_string(),
            "integrity": integrity(entry),
            "logical_path": path,
            "mtime": MTIME,
            "size": entry.size,
        });
        files.insert(name.to_owned(), file);
    }
    json!({ "assets": assets, "files": files })
}
