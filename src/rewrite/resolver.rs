//! Where answers come from: which reference is ours, and what it becomes.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{PropertyUse, Reference, Site};
use crate::asset::{AssetPath, ObjectKey, media};
use crate::manifest::{Entry, Manifest};

/// Answers what a reference becomes.
pub trait Resolver: Send + Sync {
    /// The URL to put in the reference's place, without query and fragment, or
    /// `None` to leave the reference as it is. The URL holds only characters
    /// that are safe in HTML attributes, CSS and JSON alike.
    fn resolve(&self, reference: &Reference<'_>) -> Option<String>;

    /// As [`resolve`](Self::resolve), for a relative URL in the value of the
    /// custom property `name`: it is resolved where the property is used, and
    /// who sees one document only cannot tell where that is.
    fn resolve_in_property(&self, name: &str, reference: &Reference<'_>) -> Option<String> {
        let _ = (name, reference);
        None
    }

    /// Is told of each use of a custom property.
    fn see_use(&self, use_: &PropertyUse<'_>) {
        let _ = use_;
    }
}

impl<F: Fn(&Reference<'_>) -> Option<String> + Send + Sync> Resolver for F {
    fn resolve(&self, reference: &Reference<'_>) -> Option<String> {
        self(reference)
    }
}

/// The part of the URL space that the published tree stands for.
#[derive(Clone, Debug)]
pub struct Mount {
    path: Cow<'static, str>,
}

impl Mount {
    /// The whole URL space.
    pub const ROOT: Self = Self { path: Cow::Borrowed("/") };

    /// Where every site answers fingerprinted names: [`PublicBase::default`].
    pub const SAME_ORIGIN: Self = Self { path: Cow::Borrowed("/_a/") };

    /// The tree's root is at `path`; a `/` is put before and behind it.
    pub fn at(path: &str) -> Self {
        let inner = path.trim_matches('/');
        if inner.is_empty() {
            return Self::ROOT;
        }
        Self { path: Cow::Owned(format!("/{inner}/")) }
    }

    /// The path, with a `/` at both ends.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The asset path that a URL path names, percent-decoded. `None` outside
    /// the mount, and for paths with encoded slashes, backslashes or NUL,
    /// because decoding those would change which path they name.
    pub fn asset_path(&self, url_path: &str) -> Option<AssetPath> {
        let inside = url_path.strip_prefix(self.path())?;
        // Most names stand for themselves.
        if !inside.contains('%') {
            return AssetPath::parse(inside).ok();
        }
        let decoded = percent_decode_str(inside).decode_utf8().ok()?;
        let decodes = matches!(decoded, Cow::Owned(_));
        if decodes && decoded.matches('/').count() != inside.matches('/').count() {
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

    /// What public URLs begin with, without a `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
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
        let entry = self.entry(path.as_str()).filter(|entry| !entry.stable)?;
        match reference.site {
            Site::ScriptAsset if media::is_html(&entry.content_type) => None,
            Site::Plain | Site::SourceMap | Site::Module | Site::ScriptAsset => {
                self.public.url_of(&entry.key)
            }
            Site::SameOrigin => self.same_origin.url_of(&entry.key),
            Site::Embedded if media::is_active(&entry.content_type) => None,
            Site::Manifest if !media::is_web_manifest(&entry.content_type) => None,
            Site::Embedded | Site::Manifest => self.same_origin.url_of(&entry.key),
        }
    }
}

impl ManifestResolver {
    /// The asset that a path under the mount names.
    fn entry(&self, path: &str) -> Option<&Entry> {
        let exact = self.manifest.get(path);
        exact.or_else(|| self.manifest.get(without_version(path)?))
    }
}

/// The path behind a version segment such as `_1.2.3/`, by which py4web and
/// web2py name static files apart from their version.
fn without_version(path: &str) -> Option<&str> {
    let (version, rest) = path.strip_prefix('_')?.split_once('/')?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let fits = version.split('.').count() == 3 && version.split('.').all(is_number);
    fits.then_some(rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::asset::Digest;

    fn resolver(mount: &str) -> ManifestResolver {
        let entry = |path: &str| {
            let path = AssetPath::parse(path).unwrap();
            let b3 = Digest::of(path.as_str().as_bytes());
            let entry = Entry {
                b3,
                cache: String::new(),
                content_type: media::content_type(&path),
                headers: BTreeMap::new(),
                integrity: String::new(),
                key: ObjectKey::for_asset(&path, &b3.fingerprint()),
                refs: Vec::new(),
                size: 0,
                stable: false,
                tags: Vec::new(),
                variants: BTreeMap::new(),
            };
            (path, entry)
        };
        let paths = [
            "css/app.css",
            "_1.2.3/eigen.css",
            "img/één hoed.jpg",
            "kaart.svg",
            "kaart.pdf",
            "app.webmanifest",
            "manifest.json",
        ];
        ManifestResolver {
            manifest: Arc::new(Manifest::new(paths.into_iter().map(entry).collect())),
            mount: Mount::at(mount),
            public: PublicBase::parse("https://cdn.example.nl/").unwrap(),
            same_origin: PublicBase::parse("/_a").unwrap(),
            page: Url::parse("https://www.example.nl/winkel/").unwrap(),
        }
    }

    fn resolve(resolver: &ManifestResolver, text: &str, site: Site) -> Option<String> {
        let url = resolver.page.join(text).unwrap();
        let reference = Reference { offset: 0, text, url: &url, site };
        // The fingerprint is 16 or more characters that this test does not care for.
        let answer = resolver.resolve(&reference)?;
        let is_fingerprint = |part: &&str| crate::asset::Fingerprint::parse(part).is_none();
        Some(answer.split('.').filter(is_fingerprint).collect::<Vec<_>>().join("."))
    }

    #[test]
    fn only_paths_of_the_manifest_under_the_mount_resolve() {
        let resolver = resolver("/static/");
        let css = Some("https://cdn.example.nl/css/app.css".to_owned());
        let table = [
            ("/static/css/app.css", css.clone()),
            ("../static/css/app.css?v=1#x", css.clone()),
            ("https://www.example.nl/static/css/./app.css", css.clone()),
            ("/static/%63ss/app.css", css.clone()),
            (
                "/static/img/één hoed.jpg",
                Some("https://cdn.example.nl/img/%C3%A9%C3%A9n%20hoed.jpg".to_owned()),
            ),
            ("/css/app.css", None),
            ("/static/css%2fapp.css", None),
            ("/static/css/app.css/", None),
            ("/static/../static/css/none.css", None),
            ("//elders.nl/static/css/app.css", None),
            ("http://www.example.nl/static/css/app.css", None),
            ("https://www.example.nl:8443/static/css/app.css", None),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(&resolver, text, Site::Plain), expected, "{text}");
        }
        let same_origin = resolve(&resolver, "/static/css/app.css", Site::SameOrigin);
        assert_eq!(same_origin.as_deref(), Some("/_a/css/app.css"));
    }

    #[test]
    fn an_embedded_document_stays_where_it_may_act() {
        let resolver = resolver("/");
        let pdf = resolve(&resolver, "/kaart.pdf", Site::Embedded);
        assert_eq!(pdf.as_deref(), Some("/_a/kaart.pdf"));
        assert_eq!(resolve(&resolver, "/kaart.svg", Site::Embedded), None);
        let sprite = resolve(&resolver, "/kaart.svg", Site::SameOrigin);
        assert_eq!(sprite.as_deref(), Some("/_a/kaart.svg"));
    }

    #[test]
    fn a_reference_to_a_stable_asset_stays() {
        let mut resolver = resolver("/");
        let stable = |(path, entry): (&AssetPath, &Entry)| {
            (path.clone(), Entry { stable: path.as_str() == "css/app.css", ..entry.clone() })
        };
        resolver.manifest = Arc::new(Manifest::new(resolver.manifest.iter().map(stable).collect()));
        assert_eq!(resolve(&resolver, "/css/app.css", Site::Plain), None);
        assert!(resolve(&resolver, "/kaart.pdf", Site::Plain).is_some());
    }

    #[test]
    fn a_manifest_that_was_not_read_as_one_stays() {
        let resolver = resolver("/");
        let named = resolve(&resolver, "/app.webmanifest", Site::Manifest);
        assert_eq!(named.as_deref(), Some("/_a/app.webmanifest"));
        assert_eq!(resolve(&resolver, "/manifest.json", Site::Manifest), None);
    }

    #[test]
    fn a_version_segment_is_no_part_of_the_name() {
        let resolver = resolver("/static/");
        let found = |text: &str| resolve(&resolver, text, Site::Plain).is_some();
        assert!(found("/static/_1.2.3/css/app.css"));
        assert!(found("/static/_1.2.3/eigen.css"));
        for text in
            ["_1.2/css/app.css", "_1.2.3.4/css/app.css", "_a.2.3/css/app.css", "_1..3/css/app.css"]
        {
            assert!(!found(&format!("/static/{text}")), "{text}");
        }
    }
}
