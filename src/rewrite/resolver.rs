//! Where answers come from: which reference is ours, and what it becomes.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{Reference, Site};
use crate::asset::{AssetPath, ObjectKey};
use crate::manifest::Manifest;

/// Answers what a reference becomes.
pub trait Resolver: Send + Sync {
    /// The URL to put in the reference's place, without query and fragment, or
    /// `None` to leave the reference as it is. The URL holds only characters
    /// that are safe in HTML attributes, CSS and JSON alike.
    fn resolve(&self, reference: &Reference<'_>) -> Option<String>;
}

impl<F: Fn(&Reference<'_>) -> Option<String> + Send + Sync> Resolver for F {
    fn resolve(&self, reference: &Reference<'_>) -> Option<String> {
        self(reference)
    }
}

/// The part of the URL space that the published tree stands for.
#[derive(Clone, Debug)]
pub struct Mount {
    path: String,
}

impl Mount {
    /// The tree's root is at `path`; a `/` is put before and behind it.
    pub fn at(path: &str) -> Self {
        let inner = path.trim_matches('/');
        let path = if inner.is_empty() { "/".to_owned() } else { format!("/{inner}/") };
        Self { path }
    }

    /// The path, with a `/` at both ends.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The asset path that a URL path names, percent-decoded. `None` outside
    /// the mount, and for paths with encoded slashes, backslashes or NUL,
    /// because decoding those would change which path they name.
    pub fn asset_path(&self, url_path: &str) -> Option<AssetPath> {
        let inside = url_path.strip_prefix(&self.path)?;
        let decoded = percent_decode_str(inside).decode_utf8().ok()?;
        if decoded.matches('/').count() != inside.matches('/').count() {
            return None;
        }
        AssetPath::parse(&decoded).ok()
    }
}

/// What public URLs of fingerprinted assets begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicBase(String);

/// A text that public URLs cannot begin with.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is neither an http(s) URL without query nor an absolute path")]
pub struct PublicBaseError(String);

impl Default for PublicBase {
    /// `/_a`: the page's own origin, where every site of the shield answers
    /// fingerprinted names.
    fn default() -> Self {
        Self("/_a".to_owned())
    }
}

impl PublicBase {
    /// Takes an `http` or `https` URL, or a path that begins with `/`.
    pub fn parse(text: &str) -> Result<Self, PublicBaseError> {
        let refuse = || PublicBaseError(text.to_owned());
        let absolute = Url::parse(text).ok();
        let path_only = text.starts_with('/') && !text.starts_with("//");
        let fits = match &absolute {
            Some(url) => matches!(url.scheme(), "http" | "https") && url.query().is_none(),
            None => path_only,
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:%[]".contains(&b);
        if !fits || !text.bytes().all(plain) {
            return Err(refuse());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The public URL of an asset's object; `None` for other objects.
    pub fn url_of(&self, key: &ObjectKey) -> Option<String> {
        let path = AssetPath::parse(key.public_name()?).ok()?;
        Some(format!("{}/{}", self.0, path.to_url_path()))
    }
}

/// Resolves against the manifest of one release: a closed world.
#[derive(Clone, Debug)]
pub struct ManifestResolver {
    /// The release.
    pub manifest: Arc<Manifest>,
    /// Which URL paths of the page's own origin name assets.
    pub mount: Mount,
    /// What references become where another origin may be named.
    pub public: PublicBase,
    /// What references become where only the page's own origin works.
    pub same_origin: PublicBase,
    /// The page's own origin.
    pub page: Url,
}

impl Resolver for ManifestResolver {
    fn resolve(&self, reference: &Reference<'_>) -> Option<String> {
        if reference.url.origin() != self.page.origin() {
            return None;
        }
        let path = self.mount.asset_path(reference.url.path())?;
        let entry = self.manifest.get(path.as_str())?;
        match reference.site {
            Site::Plain => self.public.url_of(&entry.key),
            Site::SameOrigin => self.same_origin.url_of(&entry.key),
        }
    }
}
