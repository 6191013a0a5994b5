//! Asset path to public URL: what a template needs that knows no other format.
//! The format is awning's own; it has no integrity.

use serde_json::Value;

use super::{UrlOf, asked};
use crate::asset::{AssetPath, ObjectKey};
use crate::manifest::Manifest;

/// `{path: url}`.
pub(super) fn write(manifest: &Manifest, url_of: &UrlOf<'_>) -> Value {
    let urls = asked(manifest).filter_map(|(path, _, name)| {
        let key = ObjectKey::of_public_name(&AssetPath::parse(name).ok()?);
        Some((path.to_owned(), Value::from(url_of(&key)?)))
    });
    Value::Object(urls.collect())
}
