//! Documents of the source tree: what they refer to, and their bytes with
//! those references replaced.
//!
//! Both come from the same rewriter: references are collected by a resolver
//! that answers nothing, and replaced by one that knows the names. So what is
//! replaced is what was collected.

use std::collections::{BTreeMap, BTreeSet};

use url::{ParseError, Position, Url};

use super::collect::{Collector, Found};
use super::deep::with_stack;
use super::modules::{self, Graph};
use super::properties::Decided;
use crate::asset::{AssetPath, ObjectKey, media};
use crate::rewrite::{
    Limits, Mount, PublicBase, Reference, Resolver, Site, Summary, inject_import_map, rewrite_css,
    rewrite_html_under, rewrite_js, rewrite_json, rewrite_svg, rewrite_web_manifest,
    script_stack_bytes,
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
    /// Only where a rule says so: a string is not known for a URL otherwise.
    Json,
    Script,
    Svg,
    WebManifest,
}

/// Which URLs name assets, and what they become.
#[derive(Clone, Debug)]
pub(super) struct UrlSpace {
    site: Url,
    mount: Mount,
    public: PublicBase,
    same_origin: PublicBase,
    /// What relative URLs in custom properties name.
    properties: Decided,
    /// Assets that keep their logical URLs.
    stable: BTreeSet<AssetPath>,
    /// `Content-Security-Policy` of the responses that pages come in.
    policies: BTreeMap<AssetPath, String>,
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
            "svg" => Some(Self::Svg),
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
        let collector = Collector::new(space, path);
        let (_, summary) = self.rewrite(path, bytes, space, &collector);
        let found = collector.found(path, bytes, known, &summary, self == Self::Json);
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
        let properties = space.properties.get(path);
        let moves_modules = names.modules.moves_modules(path);
        let naming = Naming { document: self, space, names, moves_modules, properties };
        let (replaced, _) = self.rewrite(path, bytes, space, &naming);
        if self == Self::Html {
            return inject_import_map(&replaced, &names.modules.import_map(path, names));
        }
        replaced
    }

    fn rewrite(
        self,
        path: &AssetPath,
        bytes: &[u8],
        space: &UrlSpace,
        resolver: &dyn Resolver,
    ) -> (Vec<u8>, Summary) {
        let page = &space.page(path);
        match self {
            Self::Css => rewrite_css(bytes, page, resolver),
            Self::Html => {
                let policy = space.policy(path);
                rewrite_html_under(policy, bytes, page, resolver, Limits::default())
            }
            Self::Json => rewrite_json(bytes, page, resolver),
            Self::Script => {
                let rewrite = || rewrite_js(bytes, page, modules::kind(path), resolver);
                with_stack(script_stack_bytes(bytes), rewrite)
                    .unwrap_or_else(|| (bytes.to_vec(), Summary::default()))
            }
            Self::Svg => rewrite_svg(bytes, page, resolver),
            Self::WebManifest => rewrite_web_manifest(bytes, page, resolver),
        }
    }
}

/// Answers with the names that are known.
struct Naming<'a> {
    document: Document,
    /// Whether modules that the document names by URLs get other ones.
    moves_modules: bool,
    space: &'a UrlSpace,
    names: Names<'a>,
    /// What the custom properties of the document name, by offset.
    properties: Option<&'a BTreeMap<usize, AssetPath>>,
}

impl Resolver for Naming<'_> {
    fn resolve(&self, reference: &Reference<'_>) -> Option<String> {
        let asset = self.space.asset(reference.url)?;
        match reference.site {
            Site::Module => self.module(&asset),
            site => self.url_of(site, &asset),
        }
    }

    fn resolve_in_property(&self, _: &str, reference: &Reference<'_>) -> Option<String> {
        self.url_of(reference.site, self.properties?.get(&reference.offset)?)
    }
}

impl Naming<'_> {
    fn module(&self, asset: &AssetPath) -> Option<String> {
        let modules = self.names.modules;
        if !self.moves_modules {
            return None;
        }
        if self.document != Document::Script {
            return self.url_of(Site::Module, asset);
        }
        let site = if modules.is_public() { Site::Module } else { Site::SameOrigin };
        modules.names_module(asset).then(|| self.url_of(site, asset)).flatten()
    }

    fn url_of(&self, site: Site, asset: &AssetPath) -> Option<String> {
        self.space.url_of(site, asset, self.names.key(asset)?)
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
            properties: Decided::default(),
            stable: BTreeSet::new(),
            policies: BTreeMap::new(),
        })
    }

    /// Takes over what is decided of custom properties.
    pub(super) fn with_properties(self, properties: Decided) -> Self {
        Self { properties, ..self }
    }

    /// The public URL of an asset that keeps its own name.
    pub(super) fn kept(&self, asset: &AssetPath) -> Option<Url> {
        let url = self.public.url_of(&ObjectKey::of_public_name(asset))?;
        self.site.join(&url).ok()
    }

    /// Whether `text` leads to `asset` from a document with the public URL
    /// `from`, once both keep their own names.
    pub(super) fn leads(&self, from: Option<&Url>, text: &str, asset: &AssetPath) -> bool {
        let plain = |mut url: Url| {
            url.set_fragment(None);
            url.set_query(None);
            url
        };
        let to = from.and_then(|from| from.join(text).ok()).map(plain);
        to.is_some() && to == self.kept(asset).map(plain)
    }

    /// The same, with references to these assets left as they are.
    pub(super) fn keeping(self, stable: BTreeSet<AssetPath>) -> Self {
        Self { stable, ..self }
    }

    /// The same, with a `Content-Security-Policy` of these pages.
    pub(super) fn under(self, policies: BTreeMap<AssetPath, String>) -> Self {
        Self { policies, ..self }
    }

    /// The `Content-Security-Policy` of a page's response; empty where it has none.
    pub(super) fn policy(&self, path: &AssetPath) -> &str {
        self.policies.get(path).map_or("", String::as_str)
    }

    /// Whether references to an asset stay as they are.
    pub(super) fn keeps(&self, asset: &AssetPath) -> bool {
        self.stable.contains(asset)
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
    pub(super) fn asset(&self, url: &Url) -> Option<AssetPath> {
        if url.origin() != self.site.origin() {
            return None;
        }
        self.mount.asset_path(url.path())
    }

    /// The asset of this public path.
    pub(super) fn asset_at(&self, url_path: &str) -> Option<AssetPath> {
        self.mount.asset_path(url_path)
    }

    fn url_of(&self, site: Site, asset: &AssetPath, key: &ObjectKey) -> Option<String> {
        match site {
            _ if self.keeps(asset) => None,
            Site::ScriptAsset if media::is_html(&media::content_type(asset)) => None,
            Site::Plain | Site::SourceMap | Site::Module | Site::ScriptAsset => {
                self.public.url_of(key)
            }
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
            found.problems.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn the_extension_tells_a_document() {
        let kind = |text| Document::of(&asset(text));
        assert_eq!(kind("a.html"), Some(Document::Html));
        assert_eq!(kind("a.HTM"), Some(Document::Html));
        assert_eq!(kind("a/b.css"), Some(Document::Css));
        assert_eq!(kind("app.webmanifest"), Some(Document::WebManifest));
        assert_eq!(kind("a.svg"), Some(Document::Svg));
        assert_eq!(kind("a.min.js"), Some(Document::Script));
        for other in ["css", ".css", "a.css.map", "manifest.json", "a.ts", "a.svgz"] {
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
    fn what_cannot_be_read_is_told_with_its_place() {
        let table = [
            ("a.svg", "<svg>\n  <g>\n</svg>", "3:1"),
            ("a.svg", "<svg>\n<g a=b/></svg>", "2:1"),
            ("a.svg", "<svg>\n<g>", "2:4"),
            ("a.webmanifest", "{\n  \"a\": \u{e9}\n}", "2:8"),
            ("a.webmanifest", "\u{feff}[]", "1:2"),
        ];
        for (path, text, place) in table {
            let (_, problems) = references("/", path, text, &[]);
            let why = "references in it may be left as they are: it is not well-formed";
            assert_eq!(problems, [format!("{path}:{place}: warning: {why}")], "{text}");
        }
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
