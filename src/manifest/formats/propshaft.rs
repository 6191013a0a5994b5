//! Propshaft's `.manifest.json`, as `Propshaft::Manifest.from_path` reads it
//! (`lib/propshaft/manifest.rb`).
//!
//! `app` is left out: awning does not know which assets are the application's
//! own, and Propshaft takes that for an answer. Only the manifest's reader knows
//! awning's names; Propshaft's development server parses `-<digest>` back.

use serde_json::{Value, json};

use super::{asked, integrity};
use crate::manifest::Manifest;

/// `{path: {"digested_path", "integrity"}}`.
pub(super) fn write(manifest: &Manifest) -> Value {
    let entries = asked(manifest).map(|(path, entry, name)| {
        let value = json!({ "digested_path": name, "integrity": integrity(entry) });
        (path.to_owned(), value)
    });
    Value::Object(entries.collect())
}
