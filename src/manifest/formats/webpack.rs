//! The manifest of webpack-assets-manifest in its default form, which is that of
//! webpack-manifest-plugin with an empty `publicPath` as well: flat and sorted.
//!
//! Values are plain strings, because that is what readers take (Symfony's
//! `json_manifest_path`, django-manifest-loader); the plugin's option that makes
//! objects with integrity of them is not written. Neither is `entrypoints`:
//! chunks are webpack's own notion.

use serde_json::Value;

use super::asked;
use crate::manifest::Manifest;

/// `{path: name}`.
pub(super) fn write(manifest: &Manifest) -> Value {
    let names = asked(manifest).map(|(path, _, name)| (path.to_owned(), name.into()));
    Value::Object(names.collect())
}
