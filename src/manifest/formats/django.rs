//! Django's `staticfiles.json`, as `ManifestFilesMixin` reads it
//! (`django/contrib/staticfiles/storage.py`, manifest version 1.1).
//!
//! Django joins `STATIC_URL` and quotes the name itself, so names stand here
//! unquoted; it takes the quotes off again (`HashedFilesMixin._url`), which makes
//! it no reader for names with `%`, `?` or `#`. The format has no integrity.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::asked;
use crate::manifest::Manifest;

/// Digits of Django's hashes.
const HASH_DIGITS: usize = 12;

/// `{"hash", "paths": {path: name}, "version"}`.
pub(super) fn write(manifest: &Manifest) -> Value {
    let paths: BTreeMap<&str, &str> = asked(manifest).map(|(path, _, name)| (path, name)).collect();
    json!({
        "hash": hash(&paths),
        "paths": paths,
        "version": "1.1",
    })
}

/// Django's `manifest_hash`: applications key their caches by it.
/// `md5(json.dumps(sorted(paths.items())))[:12]`, where UTF-8 sorts as Python's
/// code points do.
fn hash(paths: &BTreeMap<&str, &str>) -> String {
    let pairs: Vec<String> =
        paths.iter().map(|(path, name)| format!("[{}, {}]", quoted(path), quoted(name))).collect();
    let digest = Md5::digest(format!("[{}]", pairs.join(", ")));
    let mut hex = data_encoding::HEXLOWER.encode(&digest);
    hex.truncate(HASH_DIGITS);
    hex
}

/// `text` as Python's `json.dumps` writes it: everything outside ASCII escaped.
/// Paths and names hold no control characters.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units);
                quoted.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    quoted.push('"');
    quoted
}
