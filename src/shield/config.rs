//! What the shield is told: sites, limits and windows.

use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use ipnet::IpNet;
use url::Url;

use super::cache::DiskConfig;
use crate::manifest::Channel;
use crate::rewrite::{Mount, PublicBase};
use crate::semantics::directives::ResponseDirectives;

/// Everything the shield is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sites. A request goes to the first one that has its host.
    pub sites: Vec<SiteConfig>,
    /// Bound on the bytes of cached and in-flight bodies together.
    pub memory_bytes_max: u64,
    /// Where responses are kept beyond memory and beyond the process.
    pub disk: Option<DiskConfig>,
    /// Peers whose `X-Forwarded-*` fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Limits on connections and requests.
    pub limits: Limits,
}

/// A set of hosts with one policy.
#[derive(Clone, Debug)]
pub struct SiteConfig {
    /// Host names in lower case without port; `*` is any host.
    pub hosts: Vec<String>,
    /// What the site does.
    pub serve: Serve,
    /// Which channels' assets stand where in the site's URL space.
    pub assets: Vec<MountedChannel>,
    /// What references to assets become on this site's pages.
    pub public: PublicBase,
    /// Whether the upstream's HTML is rewritten (storefronts only).
    pub rewrite: bool,
    /// What is kept of the upstream's responses (storefronts only).
    pub pages: Pages,
}

/// What a storefront keeps of its upstream's responses. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Whether responses are stored, as far as RFC 9111 allows.
    pub cache: bool,
    /// What cookies change about that.
    pub cookies: Cookies,
    /// Freshness by path for responses that say nothing of it themselves. The
    /// first rule that matches decides.
    pub rules: Vec<PageRule>,
}

/// What cookies change about what is stored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cookies {
    /// A request with any cookie goes to the upstream and is not answered from
    /// the cache, and a response that sets one is not stored.
    #[default]
    Safe,
    /// Nothing: RFC 9111 alone decides.
    Rfc,
}

/// Freshness for the paths that match.
#[derive(Clone, Debug)]
pub struct PageRule {
    matching: GlobMatcher,
    /// What is taken for the response's own directives.
    pub directives: ResponseDirectives,
}

/// A pattern that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no pattern for paths, as in /static/**")]
pub struct PatternError(String);

impl PageRule {
    /// A rule for the paths that `pattern` matches whole, as they are in the
    /// URL: `/static/**`. `*` stays within a directory.
    pub fn new(pattern: &str, cache_control: &str) -> Result<Self, PatternError> {
        let refuse = || PatternError(pattern.to_owned());
        if !pattern.starts_with(['/', '*']) {
            return Err(refuse());
        }
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        let matching = glob.map_err(|_| refuse())?.compile_matcher();
        Ok(Self { matching, directives: ResponseDirectives::parse(cache_control) })
    }
}

impl Pages {
    /// What the first rule that matches says of this path.
    pub fn directives(&self, path: &str) -> Option<&ResponseDirectives> {
        let rule = self.rules.iter().find(|rule| rule.matching.is_match(path));
        rule.map(|rule| &rule.directives)
    }
}

/// A channel's assets at a place in a site's URL space.
#[derive(Clone, Debug)]
pub struct MountedChannel {
    /// Where the root of the published tree is.
    pub mount: Mount,
    /// The channel whose head is served.
    pub channel: Channel,
}

/// What a site does.
#[derive(Clone, Debug)]
pub enum Serve {
    /// Assets by fingerprinted name, and by logical name of the channel's head.
    Assets,
    /// A whole static site from a channel: directory indexes, `404.html`.
    Release,
    /// An HTTP upstream.
    Storefront {
        /// Scheme, host and port of the upstream; its path is ignored.
        upstream: Url,
    },
}

/// Limits of the public listener.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Open connections; more are closed at once.
    pub connections_max: usize,
    /// Open connections of one peer address, trusted proxies excepted.
    pub connections_per_peer_max: usize,
    /// Time until the first byte of a connection, and for a whole request head.
    pub head_timeout: Duration,
    /// Time a connection may make no progress while a response is written.
    pub write_timeout: Duration,
    /// Header fields of a request.
    pub header_fields_max: usize,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Time that requests in progress get at shutdown.
    pub drain: Duration,
}

impl Limits {
    /// The limits that the shield runs with unless told otherwise.
    pub fn standard() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_peer_max: 2_500,
            head_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(15),
            header_fields_max: 64,
            head_bytes_max: 32 * 1024,
            drain: Duration::from_secs(20),
        }
    }
}
