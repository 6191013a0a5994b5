//! The sites of the configuration as requests find them, and what is wrong
//! with a configuration that cannot be served.

use std::collections::HashMap;

use url::Url;

use super::config::{Config, Serve, SiteConfig};
use super::metrics::Counters;
use super::origin::storefront::UpstreamError;
use crate::manifest::Channel;
use crate::rewrite::Mount;

/// Least memory a shield works with.
const MEMORY_BYTES_MIN: u64 = 256 * 1024;

/// The host that any host matches.
const ANY: &str = "*";

/// Why a shield cannot be made from a configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A site names a channel, and there is no bucket to read it from.
    #[error("site `{0}` names a channel, but no store is configured")]
    NoStore(String),
    /// An assets or release site without a channel.
    #[error("site `{0}` names no channel")]
    NoChannel(String),
    /// A site that no request can reach.
    #[error("site number {0} has no hosts")]
    NoHosts(usize),
    /// Two sites with the same host.
    #[error("host `{0}` belongs to two sites")]
    SharedHost(String),
    /// A host that cannot be the host of a URL.
    #[error("`{0}` is not a host")]
    Host(String),
    /// An upstream that cannot be forwarded to.
    #[error("a site cannot be a storefront")]
    Upstream(#[from] UpstreamError),
    /// Too little memory.
    #[error("{0} bytes of memory are less than {MEMORY_BYTES_MIN}")]
    Memory(u64),
}

/// A site, with its channels as numbers.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) config: SiteConfig,
    /// Its place in the configuration.
    pub(crate) number: usize,
    /// Where which channel's assets stand.
    pub(crate) assets: Vec<(Mount, usize)>,
    /// The origin that its pages are rewritten for. It does not depend on the
    /// request, so a rewritten page can be stored once.
    pub(crate) origin: Url,
    /// Its requests, by what the cache did.
    pub(crate) requests: Counters,
}

/// All sites, by host.
#[derive(Debug)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    /// The requests that no site has the host of.
    pub(crate) strays: Counters,
    hosts: Hosts,
    channels: Vec<Channel>,
}

/// Which site a host belongs to, by its place in the configuration. The gate
/// and the shield both ask this, so they cannot disagree.
#[derive(Debug)]
pub(crate) struct Hosts(HashMap<String, usize>);

impl Site {
    /// The site's name in logs and metrics: its first host.
    pub(crate) fn name(&self) -> &str {
        self.config.hosts.first().map_or("", String::as_str)
    }
}

impl Hosts {
    /// The hosts of a configuration. One that two sites name is the first's.
    pub(crate) fn of(config: &Config) -> Self {
        let mut hosts = HashMap::new();
        for (number, site) in config.sites.iter().enumerate() {
            for host in &site.hosts {
                hosts.entry(host.clone()).or_insert(number);
            }
        }
        Self(hosts)
    }

    /// The site that names `host`, or else the one for all hosts.
    pub(crate) fn find(&self, host: &str) -> Option<usize> {
        self.0.get(host).or_else(|| self.0.get(ANY)).copied()
    }
}

impl Sites {
    /// Checks the sites of a configuration.
    pub(crate) fn new(config: &Config, has_store: bool) -> Result<Self, ConfigError> {
        if config.memory_bytes_max < MEMORY_BYTES_MIN {
            return Err(ConfigError::Memory(config.memory_bytes_max));
        }
        let hosts = Hosts::of(config);
        let (sites, channels) = (Vec::new(), Vec::new());
        let mut found = Self { sites, strays: requests("-"), hosts, channels };
        for (number, site) in config.sites.iter().enumerate() {
            found.add(number, site, has_store)?;
        }
        Ok(found)
    }

    /// The site of a host.
    pub(crate) fn find(&self, host: &str) -> Option<&Site> {
        self.sites.get(self.hosts.find(host)?)
    }

    /// All sites, in the order of the configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.sites.iter()
    }

    /// The channels that the sites name, each once, by their numbers.
    pub(crate) fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn add(
        &mut self,
        number: usize,
        site: &SiteConfig,
        has_store: bool,
    ) -> Result<(), ConfigError> {
        let name = site.hosts.first().ok_or(ConfigError::NoHosts(number))?.clone();
        if !site.assets.is_empty() && !has_store {
            return Err(ConfigError::NoStore(name));
        }
        if site.assets.is_empty() && !matches!(site.serve, Serve::Storefront { .. }) {
            return Err(ConfigError::NoChannel(name));
        }
        for host in &site.hosts {
            if self.hosts.find(host) != Some(number) {
                return Err(ConfigError::SharedHost(host.clone()));
            }
        }
        let host = if name == ANY { "site.invalid" } else { name.as_str() };
        let origin = Url::parse(&format!("https://{host}/"));
        let origin = origin.map_err(|_| ConfigError::Host(name.clone()))?;
        let assets = site.assets.iter();
        let assets = assets.map(|at| (at.mount.clone(), self.number_of(&at.channel))).collect();
        let (config, requests) = (site.clone(), requests(&name));
        self.sites.push(Site { config, number, assets, origin, requests });
        Ok(())
    }

    fn number_of(&mut self, channel: &Channel) -> usize {
        let known = self.channels.iter().position(|known| known == channel);
        known.unwrap_or_else(|| {
            self.channels.push(channel.clone());
            self.channels.len() - 1
        })
    }
}

/// The labels are the configuration's words and ours, never a client's.
fn requests(site: &str) -> Counters {
    Counters::new("awning_requests_total", "site", site)
}
