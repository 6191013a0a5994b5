//! From a request to what answers it: pure, and from names that are either
//! well-formed or refused. Nothing is fetched to find out what a request names.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};

use super::cache::CacheKey;
use super::config::Serve;
use super::derive;
use super::listing::{Answers, Name};
use super::release::{ReleaseSnapshot, Releases};
use super::request::GatedRequest;
use super::site::Site;
use super::wanted::{Page, Policy, Wanted};
use crate::asset::{AssetPath, ObjectKey, may_be_hashed, media};
use crate::manifest::Entry;
use crate::rewrite::{ManifestResolver, Mount, PublicBase};
use crate::semantics::encoding::AcceptEncoding;

/// Where every site answers fingerprinted names, for uses that work only with
/// URLs of the page's own origin.
pub(crate) const SAME_ORIGIN: &str = "/_a";

/// The page that a release shows for names it does not have.
const MISSING_PAGE: &str = "404.html";

/// What answers a request.
#[derive(Debug)]
pub(crate) enum Target {
    /// The first of these objects that can be had.
    Asset(Arc<[Wanted]>, Arc<Policy>),
    /// The upstream of the site.
    Storefront,
    /// The same page under its proper name: a path on this host.
    Redirect(HeaderValue),
    /// Nothing has this name.
    NotFound,
    /// The site's channel has no release yet.
    NotReady,
    /// The answer to `OPTIONS`; to other origins too, where they may read.
    Options {
        /// Whether other origins may read what has this name.
        cross_origin: bool,
    },
    /// The method is not for this.
    MethodNotAllowed,
}

/// Finds what answers `request` on `site`.
pub(crate) fn route(site: &Site, releases: &Releases, request: &GatedRequest) -> Target {
    if request.method.as_str() == "PURGE" {
        return Target::MethodNotAllowed;
    }
    let is_reserved = request.path.starts_with(Mount::SAME_ORIGIN.path());
    if !is_reserved && matches!(site.config.serve, Serve::Storefront { .. }) {
        return if is_last_hop(request) {
            Target::Options { cross_origin: false }
        } else {
            Target::Storefront
        };
    }
    let root = if is_reserved { Mount::SAME_ORIGIN } else { Mount::ROOT };
    let name = root.asset_path(&request.path);
    let asked = Asked { site, releases, request };
    match request.method {
        Method::GET | Method::HEAD if is_reserved => asked.own_name(name.as_ref()),
        Method::GET | Method::HEAD => asked.any_name(name.as_ref()),
        Method::OPTIONS => {
            let cross_origin = is_reserved
                || matches!(site.config.serve, Serve::Assets)
                || name.as_ref().is_some_and(|name| asked.is_own_name(name));
            Target::Options { cross_origin }
        }
        _ => Target::MethodNotAllowed,
    }
}

/// A request with what it is answered from.
struct Asked<'a> {
    site: &'a Site,
    releases: &'a Releases,
    request: &'a GatedRequest,
}

impl Asked<'_> {
    /// Whether `name` is that of an object, so that other origins may read it.
    fn is_own_name(&self, name: &AssetPath) -> bool {
        let listed = || self.releases.entry_of(&ObjectKey::of_public_name(name)).is_some();
        ObjectKey::for_public_name(name).is_some() || listed()
    }

    /// A name below [`SAME_ORIGIN`].
    fn own_name(&self, name: Option<&AssetPath>) -> Target {
        let Some(name) = name else { return Target::NotFound };
        let known = self.listed(name).or_else(|| self.sibling(name));
        known.or_else(|| self.unlisted(name)).unwrap_or(Target::NotFound)
    }

    /// An asset under its logical name beside the fingerprinted ones, where
    /// relative URLs lead that no document names in a form that is rewritten:
    /// the imports of a module, the images of an SVG. `None` when the site's
    /// channels have different assets of that name.
    fn sibling(&self, name: &AssetPath) -> Option<Target> {
        let releases =
            self.site.assets.iter().filter_map(|(_, channel)| self.releases.of(*channel));
        let mut entries =
            releases.filter_map(|release| Some((release, release.manifest.get(name.as_str())?)));
        let (release, entry) = entries.next()?;
        let same = entries.all(|(_, other)| other.key == entry.key);
        same.then(|| self.asset(&release.answers_at(name, entry), Name::Logical))
    }

    /// A name at the root of an assets or release site. What the releases know
    /// comes first; only then may a name be that of an older release's object.
    fn any_name(&self, name: Option<&AssetPath>) -> Target {
        let listed = name.and_then(|name| self.listed(name));
        listed
            .or_else(|| self.logical())
            .or_else(|| self.unlisted(name?))
            .unwrap_or_else(|| self.missing())
    }

    /// An object that a release which is served now has under its own name.
    fn listed(&self, name: &AssetPath) -> Option<Target> {
        let answers = self.releases.answers_of(&ObjectKey::of_public_name(name))?;
        Some(self.asset(&answers, Name::Own))
    }

    /// An object that may be in the bucket although no release at hand names it.
    /// One that another tool named is served only if the publisher's digest of its
    /// bytes is with it, for nothing else proves them. Pages are none of those: a
    /// site has a page of its own for one that is missing.
    fn unlisted(&self, name: &AssetPath) -> Option<Target> {
        let content_type = media::content_type(name);
        let is_page =
            || name.split_extension().1.is_none() || media::essence(&content_type) == "text/html";
        let named = may_be_hashed(name) && !is_page();
        let other_tools = || named.then(|| ObjectKey::of_public_name(name));
        let object = ObjectKey::for_public_name(name).or_else(other_tools)?;
        // Whether it is large enough to be coded is not known yet.
        let varies = media::is_compressible(&content_type);
        let identity = Wanted::unlisted(object);
        let wanted = if varies { self.made(identity) } else { identity };
        Some(answer(wanted, Policy { varies, ..Policy::own_name(None) }))
    }

    /// An asset of the site's channels under its logical name.
    fn logical(&self) -> Option<Target> {
        let path = &self.request.path;
        if matches!(self.site.config.serve, Serve::Assets) {
            let mounted = self.entry(path);
            let at_mount = mounted.map(|found| self.asset(&found.answers(), Name::Logical));
            return at_mount.or_else(|| self.sibling(&Mount::ROOT.asset_path(path)?));
        }
        if path.ends_with('/') {
            return self.in_site(&format!("{path}index.html"));
        }
        self.in_site(path)
            .or_else(|| self.in_site(&format!("{path}.html")))
            .or_else(|| self.directory(path))
    }

    /// A file of a release site; HTML is rewritten.
    fn in_site(&self, path: &str) -> Option<Target> {
        let found = self.entry(path)?;
        if !is_html(found.entry) {
            return Some(self.asset(&found.answers(), Name::OfSite));
        }
        Some(answer(self.page(&found)?, Policy::page(found.entry, StatusCode::OK)))
    }

    /// A directory that was named without its slash. The location is made from
    /// the decoded, checked path, so it cannot name another authority.
    fn directory(&self, path: &str) -> Option<Target> {
        let url_path = self.entry(&format!("{path}/index.html"))?.url_path();
        let mut location = url_path.strip_suffix("index.html")?.to_owned();
        if let Some(query) = &self.request.query {
            location = format!("{location}?{query}");
        }
        HeaderValue::from_str(&location).ok().map(Target::Redirect)
    }

    /// What is said when nothing has the name.
    fn missing(&self) -> Target {
        let any_release = |(_, channel): &(Mount, usize)| self.releases.of(*channel).is_some();
        if !self.site.assets.iter().any(any_release) {
            return Target::NotReady;
        }
        if !matches!(self.site.config.serve, Serve::Release) {
            return Target::NotFound;
        }
        let own = self.site.assets.iter().find_map(|(mount, _)| {
            let found = self.entry(&format!("{}{MISSING_PAGE}", mount.path()))?;
            Some(answer(self.page(&found)?, Policy::page(found.entry, StatusCode::NOT_FOUND)))
        });
        own.unwrap_or(Target::NotFound)
    }

    /// The asset at a URL path.
    fn entry(&self, url_path: &str) -> Option<Found<'_>> {
        self.site.assets.iter().find_map(|(mount, channel)| {
            let path = mount.asset_path(url_path)?;
            let release = self.releases.of(*channel)?;
            let entry = release.manifest.get(path.as_str())?;
            Some(Found { mount, path, release, entry })
        })
    }

    /// An asset in the coding that the request likes best, of those that there
    /// are or that are made here.
    fn asset(&self, answers: &Answers, name: Name) -> Target {
        let form = answers.form(|object| self.releases.publisher_codes(object));
        Target::Asset(form.wanted(|| self.accepted()), form.policy(name))
    }

    /// An object of which no codings are known, in one that is made here.
    fn made(&self, identity: Wanted) -> Wanted {
        match self.accepted().prefer(derive::MADE) {
            Some(coding) => Wanted::made(identity, coding),
            None => identity,
        }
    }

    fn accepted(&self) -> AcceptEncoding {
        let fields = self.request.headers.get_all(header::ACCEPT_ENCODING);
        AcceptEncoding::parse(fields.iter().filter_map(|field| field.to_str().ok()))
    }

    /// A page, with the releases that its references are resolved against.
    fn page(&self, found: &Found<'_>) -> Option<Wanted> {
        let (site, entry) = (self.site, found.entry);
        let releases = site.assets.iter().map(|(_, channel)| self.releases.of(*channel));
        let releases = releases.map(|snapshot| snapshot.map(|snapshot| snapshot.release));
        let key = CacheKey::Page {
            site: site.id,
            releases: releases.collect(),
            object: entry.key.clone(),
        };
        let url = site.origin.join(&found.url_path()).ok()?;
        let policy = entry.headers.get(header::CONTENT_SECURITY_POLICY.as_str());
        let policy = policy.cloned().unwrap_or_default();
        let page = Page { url, policy, resolvers: self.resolvers() };
        Some(Wanted { key, page: Some(page), ..Wanted::identity(entry) })
    }

    fn resolvers(&self) -> Vec<ManifestResolver> {
        let Ok(same_origin) = PublicBase::parse(SAME_ORIGIN) else { return Vec::new() };
        let resolver = |mount: &Mount, snapshot: &Arc<ReleaseSnapshot>| ManifestResolver {
            manifest: Arc::clone(&snapshot.manifest),
            mount: mount.clone(),
            public: self.site.config.public.clone(),
            same_origin: same_origin.clone(),
            page: self.site.origin.clone(),
        };
        let assets = self.site.assets.iter();
        assets
            .filter_map(|(mount, channel)| Some(resolver(mount, self.releases.of(*channel)?)))
            .collect()
    }
}

/// An asset of a channel that a URL path names.
struct Found<'a> {
    mount: &'a Mount,
    path: AssetPath,
    release: &'a ReleaseSnapshot,
    entry: &'a Entry,
}

impl Found<'_> {
    /// The URL path as it is properly written.
    fn url_path(&self) -> String {
        format!("{}{}", self.mount.path(), self.path.to_url_path())
    }

    fn answers(&self) -> Arc<Answers> {
        self.release.answers_at(&self.path, self.entry)
    }
}

fn answer(wanted: Wanted, policy: Policy) -> Target {
    Target::Asset(Arc::from([wanted]), Arc::new(policy))
}

/// Whether a request is to be answered here, wherever it was going
/// (RFC 9110 §7.6.2). `TRACE`, the other method that asks so, is refused.
fn is_last_hop(request: &GatedRequest) -> bool {
    let forwards = request.headers.get(header::MAX_FORWARDS).and_then(|n| n.to_str().ok());
    request.method == Method::OPTIONS && forwards.is_some_and(|n| n.parse() == Ok(0_u64))
}

fn is_html(entry: &Entry) -> bool {
    media::essence(&entry.content_type).eq_ignore_ascii_case("text/html")
}
