//! Asset path to public URL: what a template needs that knows no other format.
//! The format is awning's own; it has no integrity.

use serde_json::Value;

use super::UrlOf;
use crate::manifest::Manifest;

/// `{path: url}`.
pub(super) fn write(manifest: &Manifest, url_of: &UrlOf<'_>) -> Value {
    let urls = manifest.iter().filter_map(|(path, entry)| {
        Some((path.as_str().to_owned(), Value::from(url_of(&entry.named_by(path))?)))
    });
    Value::Object(urls.collect())
}
