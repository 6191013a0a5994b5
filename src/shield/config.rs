//! What the shield is told: sites, limits and windows.

use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::cache::DiskConfig;
use crate::manifest::Channel;
use crate::rewrite::{Mount, PublicBase};

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
