//! Documents of the source tree: what they refer to, and their bytes with
//! those references replaced.
//!
//! Both come from the same rewriter: references are collected by a resolver
//! that answers nothing, and replaced by one that knows the names. So what is
//! replaced is what was collected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use url::{ParseError, Position, Url};

use super::deep::with_stack;
use super::modules::{self, Facts, Graph};
use super::problem::Problem;
use crate::asset::{AssetPath, ObjectKey, media};
use crate::rewrite::{
    Limits, Mount, PublicBase, Reference, Resolver, Site, inject_import_map, position, rewrite_css,
    rewrite_html, rewrite_js, rewrite_web_manifest, script_stack_bytes,
};

/// Largest document that is looked at, in bytes, as it is held in memory.
pub(super) const DOCUMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Stands for the site the documents are for: which one that is does not
/// matter, as references to other origins are left alone. The name is
/// reserved (RFC 2606), so no document means it.
const SITE: &str = "https://site.invalid";

/// A kind of document that holds references.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Document {
    Html,
    Css,
    Script,
    WebManifest,
}

/// Which URLs name assets, and what they become.
#[derive(Clone, Debug)]
pub(super) struct UrlSpace {
    site: Url,
    mount: Mount,
    public: PublicBase,
    same_origin: PublicBase,
}

/// The references of one document.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Assets that it refers to, itself included if it does.
    pub(super) assets: BTreeSet<AssetPath>,
    /// References that name no asset although they are within the mount, and
    /// what could not be read.
    pub(super) problems: Vec<Problem>,
    /// What it has to do with modules.
    pub(super) facts: Option<Facts>,
}

/// The names that references of a document become, in two layers: those of
/// its own component are looked up first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) members: &'a BTreeMap<AssetPath, ObjectKey>,
    pub(super) settled: &'a BTreeMap<AssetPath, ObjectKey>,
    /// What settled modules hold, for `integrity`.
    pub(super) integrity: &'a BTreeMap<AssetPath, String>,
    pub(super) modules: &'a Graph,
    /// Whether the document is named together with others. What those hold is
    /// not known before, so it cannot tell.
    pub(super) in_circle: bool,
}

impl<'a> Names<'a> {
    pub(super) fn key(&self, asset: &AssetPath) -> Option<&'a ObjectKey> {
        self.members.get(asset).or_else(|| self.settled.get(asset))
    }

    pub(super) fn integrity(&self, asset: &AssetPath) -> Option<&'a str> {
        self.integrity.get(asset).filter(|_| !self.in_circle).map(String::as_str)
    }
}

impl Document {
    /// What kind of document a path names, if it is one.
    pub(super) fn of(path: &AssetPath) -> Option<Self> {
        match path.split_extension().1?.to_ascii_lowercase().as_str() {
            "css" => Some(Self::Css),
            "htm" | "html" => Some(Self::Html),
            "js" | "mjs" => Some(Self::Script),
            "webmanifest" => Some(Self::WebManifest),
            _ => None,
        }
    }

    /// Collects the references of the document at `path`. `known` are all assets.
    pub(super) fn references(
        self,
        path: &AssetPath,
        bytes: &[u8],
        space: &UrlSpace,
        known: &BTreeSet<&AssetPath>,
    ) -> Found {
        if self == Self::Script {
            return modules::script(path, bytes, space, known);
        }
        let collected: Mutex<Vec<(usize, String, AssetPath)>> = Mutex::default();
        let record = |reference: &Reference<'_>| {
            if let Some(asset) = space.asset(reference) {
                let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                collected.push((reference.offset, reference.text.to_owned(), asset));
            }
            None
        };
        self.rewrite(path, bytes, &space.page(path), &record);

        let mut found = Found::default();
        for (offset, text, asset) in collected.into_inner().unwrap_or_else(PoisonError::into_inner)
        {
            if known.contains(&asset) {
                found.assets.insert(asset);
            } else {
                let (line, column) = position(bytes, offset);
                let message = format!("`{}` names no asset", text.escape_debug());
                found.problems.push(Problem::warning(path, message).at(line, column));
            }
        }
        if self == Self::Html { modules::html(path, bytes, space, known, found) } else { found }
    }

    /// The document at `path` with every reference replaced whose name is known.
    pub(super) fn replace(
        self,
        path: &AssetPath,
        bytes: &[u8],
        space: &UrlSpace,
        names: Names<'_>,
    ) -> Vec<u8> {
        let moves_modules = names.modules.moves_modules(path);
        let name = |reference: &Reference<'_>| {
            if reference.site == Site::Module && !moves_modules {
                return None;
            }
            let asset = space.asset(reference)?;
            let imports = self == Self::Script && reference.site == Site::Module;
            if imports && !names.modules.names_module(&asset) {
                return None;
            }
            let stays = imports && !names.modules.is_public();
            let site = if stays { Site::SameOrigin } else { reference.site };
            space.url_of(site, &asset, names.key(&asset)?)
        };
        let replaced = self.rewrite(path, bytes, &space.page(path), &name);
        if self == Self::Html {
            return inject_import_map(&replaced, &names.modules.import_map(path, names));
        }
        replaced
    }

    fn rewrite(
        self,
        path: &AssetPath,
        bytes: &[u8],
        page: &Url,
        resolver: &dyn Resolver,
    ) -> Vec<u8> {
        let (bytes, _summary) = match self {
            Self::Css => rewrite_css(bytes, page, resolver),
            Self::Html => rewrite_html(bytes, page, resolver, Limits::default()),
            Self::Script => {
                let rewrite = || rewrite_js(bytes, page, modules::kind(path), resolver);
                match with_stack(script_stack_bytes(bytes), rewrite) {
                    Some(rewritten) => rewritten,
                    None => return bytes.to_vec(),
                }
            }
            Self::WebManifest => rewrite_web_manifest(bytes, page, resolver),
        };
        bytes
    }
}

impl UrlSpace {
    /// The tree stands at `mount`; references become URLs below the two others.
    pub(super) fn new(
        mount: &Mount,
        public: &PublicBase,
        same_origin: &PublicBase,
    ) -> Result<Self, ParseError> {
        Ok(Self {
            site: Url::parse(SITE)?,
            mount: mount.clone(),
            public: public.clone(),
            same_origin: same_origin.clone(),
        })
    }

    /// The URL of a document. That of an `index.html` is not the one of its
    /// directory, but relative references resolve the same against both.
    pub(super) fn page(&self, path: &AssetPath) -> Url {
        let mut url = self.site.clone();
        url.set_path(&format!("{}{}", self.mount.path(), path.to_url_path()));
        url
    }

    /// What references become where another origin may be named.
    pub(super) fn public(&self) -> &PublicBase {
        &self.public
    }

    /// The path under which a site knows an asset: as our URLs are written, and
    /// as browsers write what names it in plain characters.
    pub(super) fn logical(&self, asset: &AssetPath) -> BTreeSet<String> {
        [asset.to_url_path(), asset.to_plain_url_path()]
            .map(|path| format!("{}{path}", self.mount.path()))
            .into()
    }

    /// A URL as a document of any site can hold it.
    pub(super) fn unrooted(&self, url: &Url) -> String {
        let inside = url.origin() == self.site.origin();
        if inside { url[Position::BeforePath..].to_owned() } else { url.to_string() }
    }

    /// The asset that a URL would name if there is one.
    pub(super) fn asset_at(&self, url: &Url) -> Option<AssetPath> {
        if url.origin() != self.site.origin() {
            return None;
        }
        self.mount.asset_path(url.path())
    }

    fn asset(&self, reference: &Reference<'_>) -> Option<AssetPath> {
        self.asset_at(reference.url)
    }

    fn url_of(&self, site: Site, asset: &AssetPath, key: &ObjectKey) -> Option<String> {
        match site {
            Site::ScriptAsset if media::is_html(&media::content_type(asset)) => None,
            Site::Plain | Site::Module | Site::ScriptAsset => self.public.url_of(key),
            Site::SameOrigin => self.same_origin.url_of(key),
            Site::Embedded if media::is_active(&media::content_type(asset)) => None,
            Site::Manifest if !media::is_web_manifest(&media::content_type(asset)) => None,
            Site::Embedded | Site::Manifest => self.same_origin.url_of(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(text: &str) -> AssetPath {
        AssetPath::parse(text).unwrap()
    }

    fn space(mount: &str) -> UrlSpace {
        let public = PublicBase::parse("https://cdn.example.nl").unwrap();
        let same_origin = PublicBase::parse("/_a").unwrap();
        UrlSpace::new(&Mount::at(mount), &public, &same_origin).unwrap()
    }

    fn references(
        mount: &str,
        path: &str,
        text: &str,
        known: &[&str],
    ) -> (Vec<String>, Vec<String>) {
        let known: Vec<_> = known.iter().map(|text| asset(text)).collect();
        let path = asset(path);
        let document = Document::of(&path).unwrap();
        let found =
            document.references(&path, text.as_bytes(), &space(mount), &known.iter().collect());
        (
            found.assets.iter().map(AssetPath::to_string).collect(),
            found.problems.iter().map(Problem::to_string).collect(),
        )
    }

    #[test]
    fn the_extension_tells_a_document() {
        let kind = |text| Document::of(&asset(text));
        assert_eq!(kind("a.html"), Some(Document::Html));
        assert_eq!(kind("a.HTM"), Some(Document::Html));
        assert_eq!(kind("a/b.css"), Some(Document::Css));
        assert_eq!(kind("app.webmanifest"), Some(Document::WebManifest));
        assert_eq!(kind("a.min.js"), Some(Document::Script));
        for other in ["css", ".css", "a.css.map", "manifest.json", "a.ts", "a.svg"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn relative_and_absolute_references_are_found_below_the_mount() {
        let css = "a{background:url(../img/a.png)} b{background:url(/static/img/a.png?v=2)}\n\
                   c{background:url(//elsewhere.nl/a.png)} d{background:url(/media/a.png)}\n\
                   e{background:url(img/b.png#x)} f{fill:url(#g)} g{background:url(data:,x)}\n";
        let (assets, dangling) = references("/static", "css/app.css", css, &["img/a.png"]);
        assert_eq!(assets, ["img/a.png"]);
        assert_eq!(dangling, ["css/app.css:3:18: warning: `img/b.png#x` names no asset"]);
    }

    #[test]
    fn an_index_refers_like_its_directory() {
        let html = "<img src='a.png'>\n<img src='./gone.png'>";
        let (assets, dangling) = references("/", "shop/index.html", html, &["shop/a.png"]);
        assert_eq!(assets, ["shop/a.png"]);
        assert_eq!(dangling, ["shop/index.html:2:11: warning: `./gone.png` names no asset"]);
    }

    #[test]
    fn only_known_names_are_replaced() {
        let fingerprint = crate::asset::Digest::of(b"").fingerprint();
        let path = asset("img/a b.png");
        let key = ObjectKey::for_asset(&path, &fingerprint);
        let settled = BTreeMap::from([(path, key)]);
        let (space, none) = (space("/"), BTreeMap::new());
        let names = Names {
            members: &BTreeMap::new(),
            settled: &settled,
            integrity: &none,
            modules: &Graph::new(Vec::new(), &space, modules::Modules::ImportMap),
            in_circle: false,
        };
        let css = b"a{background:url('img/a%20b.png'),url(img/c.png)}";
        let bytes = Document::Css.replace(&asset("app.css"), css, &space, names);
        let expected = format!(
            "a{{background:url('https://cdn.example.nl/img/a%20b.{fingerprint}.png'),url(img/c.png)}}"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
