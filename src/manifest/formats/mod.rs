//! The manifest in the words of other tools, so that they find what awning published.
//!
//! Each format is a pure function of the manifest, in a file of its own that
//! names its source and its limits; the same manifest gives the same document
//! on every machine. What a format cannot say is left out, never invented.

mod django;
mod flat;
mod importmap;
mod propshaft;
mod sprockets;
mod vite;
mod webpack;

use serde_json::Value;

use super::{Entry, Manifest};
use crate::asset::{AssetPath, ObjectKey, media};

/// The manifest of another tool.
///
/// [`Format::Flat`] and [`Format::Importmap`] hold public URLs. All others
/// hold names relative to the public base, which their readers put before
/// them: `STATIC_URL`, `config.asset_host`, `publicPath`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// `staticfiles.json` of Django's `ManifestStaticFilesStorage`.
    Django,
    /// One object: asset path to public URL.
    Flat,
    /// An import map with integrity, for `<script type="importmap">`.
    Importmap,
    /// `.manifest.json` of Propshaft (Rails 8).
    Propshaft,
    /// `.sprockets-manifest-<hex>.json` of Sprockets.
    Sprockets,
    /// `.vite/manifest.json` of Vite.
    Vite,
    /// `assets-manifest.json` of webpack-assets-manifest, and the
    /// `manifest.json` of webpack-manifest-plugin.
    Webpack,
}

/// The public URL of an asset's object; `None` for other objects.
pub type UrlOf<'a> = dyn Fn(&ObjectKey) -> Option<String> + 'a;

/// The manifest as `format` has it.
///
/// On the site the tree stands at `mount`: a path with a `/` at both ends.
/// Entries whose key is not that of an asset's object have no public name, and
/// are left out.
pub fn write(manifest: &Manifest, url_of: &UrlOf<'_>, mount: &str, format: Format) -> Value {
    match format {
        Format::Django => django::write(manifest),
        Format::Flat => flat::write(manifest, url_of),
        Format::Importmap => importmap::write(manifest, url_of, mount),
        Format::Propshaft => propshaft::write(manifest),
        Format::Sprockets => sprockets::write(manifest),
        Format::Vite => vite::write(manifest),
        Format::Webpack => webpack::write(manifest),
    }
}

/// Each asset with its public name, in the order of the paths.
fn named(manifest: &Manifest) -> impl Iterator<Item = (&AssetPath, &Entry, &str)> {
    manifest.iter().filter_map(|(path, entry)| Some((path, entry, public_name(path, entry)?)))
}

/// The public name of an asset: that of its object, or its logical name where
/// that is stable.
fn public_name<'a>(path: &'a AssetPath, entry: &'a Entry) -> Option<&'a str> {
    if entry.stable { Some(path.as_str()) } else { entry.key.public_name() }
}

/// What a format says of an asset's integrity. A stable URL has other bytes
/// with each release, so a page that was made before the switch would refuse them.
fn integrity(entry: &Entry) -> Value {
    if entry.stable { Value::Null } else { Value::from(entry.integrity.clone()) }
}

/// As [`named`], and then each asset again under the names that a build tool
/// gave it, which templates ask for.
fn asked(manifest: &Manifest) -> impl Iterator<Item = (&str, &Entry, &str)> {
    let aliases = manifest.logical().aliases.iter().filter_map(|(name, path)| {
        let entry = manifest.get(path.as_str())?;
        Some((name.as_str(), entry, public_name(path, entry)?))
    });
    named(manifest).map(|(path, entry, name)| (path.as_str(), entry, name)).chain(aliases)
}

/// Whether a browser runs objects of this type as scripts or modules.
fn is_script(entry: &Entry) -> bool {
    media::is_script(&entry.content_type)
}

#[cfg(test)]
mod tests;
