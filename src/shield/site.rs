//! The sites of the configuration as requests find them, and what is wrong
//! with a configuration that cannot be served.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use url::Url;

use super::cache::DiskError;
use super::config::{Config, Serve, SiteConfig};
use super::forward::storefront;
use super::metrics::{Counters, Metrics};
use super::origin::storefront::{Storefront, UpstreamError};
use crate::asset::Digest;
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
    /// The disk tier cannot be used.
    #[error("the disk tier cannot be used")]
    Disk(#[from] DiskError),
    /// Too little memory.
    #[error("{0} bytes of memory are less than {MEMORY_BYTES_MIN}")]
    Memory(u64),
}

/// A site, with its channels as numbers.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) config: SiteConfig,
    pub(crate) id: SiteId,
    /// Where which channel's assets stand.
    pub(crate) assets: Vec<(Mount, usize)>,
    /// The origin that its pages are rewritten for. It does not depend on the
    /// request, so a rewritten page can be stored once.
    pub(crate) origin: Url,
    /// Its upstream, if it has one.
    pub(crate) storefront: Option<Storefront>,
    /// Its requests, by what the cache did.
    pub(crate) requests: Counters,
}

/// Which site a stored response is of: a digest of the site's policy. It
/// outlives reloads and restarts as long as the policy does, so what is stored
/// under it was made by the same rules, for the same origin, of the same
/// upstream. Hosts beside the first only lead to it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct SiteId(Digest);

/// All sites, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    channels: Vec<Channel>,
}

/// Which site a host belongs to, by its place in the configuration. The gate
/// and the shield both ask this, so they cannot disagree.
#[derive(Debug)]
pub(crate) struct Hosts(HashMap<String, usize, RandomState>);

impl Site {
    /// The site's name in logs and metrics: its first host.
    pub(crate) fn name(&self) -> &str {
        self.config.hosts.first().map_or("", String::as_str)
    }
}

impl SiteId {
    /// The `Debug` form has every field in it, so one that is added later
    /// cannot be forgotten. If a new version writes it in another way, pages
    /// are fetched again.
    pub(crate) fn of(site: &SiteConfig) -> Self {
        let hosts = site.hosts.first().cloned().into_iter().collect();
        let policy = SiteConfig { hosts, ..site.clone() };
        Self(Digest::of(format!("{policy:?}").as_bytes()))
    }

    /// The digest that it is.
    pub(crate) fn digest(&self) -> Digest {
        self.0
    }
}

impl Hosts {
    /// The hosts of a configuration. One that two sites name is the first's.
    pub(crate) fn of(config: &Config) -> Self {
        let mut hosts = HashMap::default();
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
    /// Checks the sites of a configuration. Those that are as they were
    /// `before` keep their connections to the upstream, and its limits.
    pub(crate) fn new(
        config: &Config,
        has_store: bool,
        before: Option<&Self>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ConfigError> {
        if config.memory_bytes_max < MEMORY_BYTES_MIN {
            return Err(ConfigError::Memory(config.memory_bytes_max));
        }
        let hosts = Hosts::of(config);
        let mut found = Self { sites: Vec::new(), channels: Vec::new() };
        for (number, site) in config.sites.iter().enumerate() {
            check(number, site, &hosts, has_store)?;
            let id = SiteId::of(site);
            let known = before.and_then(|sites| sites.iter().find(|known| known.id == id));
            let storefront = match known {
                Some(known) => known.storefront.clone(),
                None => storefront(&site.serve, metrics)?,
            };
            found.add(site, id, storefront)?;
        }
        Ok(found)
    }

    /// The site at a place in the configuration.
    pub(crate) fn get(&self, number: usize) -> Option<&Site> {
        self.sites.get(number)
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
        site: &SiteConfig,
        id: SiteId,
        storefront: Option<Storefront>,
    ) -> Result<(), ConfigError> {
        let name = site.hosts.first().cloned().unwrap_or_default();
        let host = if name == ANY { "site.invalid" } else { name.as_str() };
        let origin = Url::parse(&format!("https://{host}/"));
        let origin = origin.map_err(|_| ConfigError::Host(name.clone()))?;
        let assets = site.assets.iter();
        let assets = assets.map(|at| (at.mount.clone(), self.number_of(&at.channel))).collect();
        let (config, requests) = (site.clone(), requests(&name));
        self.sites.push(Site { config, id, assets, origin, storefront, requests });
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

fn check(
    number: usize,
    site: &SiteConfig,
    hosts: &Hosts,
    has_store: bool,
) -> Result<(), ConfigError> {
    let name = site.hosts.first().ok_or(ConfigError::NoHosts(number))?;
    if !site.assets.is_empty() && !has_store {
        return Err(ConfigError::NoStore(name.clone()));
    }
    if site.assets.is_empty() && !matches!(site.serve, Serve::Storefront { .. }) {
        return Err(ConfigError::NoChannel(name.clone()));
    }
    match site.hosts.iter().find(|host| hosts.find(host) != Some(number)) {
        Some(host) => Err(ConfigError::SharedHost(host.clone())),
        None => Ok(()),
    }
}

/// The requests that are answered for a site. The labels are the configuration's
/// words and ours, never a client's.
pub(crate) fn requests(site: &str) -> Counters {
    Counters::new("awning_requests_total", "site", site)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::PublicBase;
    use crate::shield::config::{Cookies, MountedChannel, Pages};

    fn shop() -> SiteConfig {
        let channel = Channel::parse("production").unwrap();
        SiteConfig {
            hosts: vec!["www.example.nl".into()],
            serve: Serve::Storefront { upstream: Url::parse("http://shop:8000").unwrap() },
            assets: vec![MountedChannel { mount: Mount::at("/static/"), channel }],
            public: PublicBase::parse("https://cdn.example.nl").unwrap(),
            rewrite: true,
            pages: Pages::default(),
        }
    }

    #[test]
    fn a_site_with_another_policy_is_another_site() {
        let id = SiteId::of(&shop());
        let changes: [fn(&mut SiteConfig); 10] = [
            |site| site.hosts[0] = "shop.example.nl".into(),
            |site| site.hosts.insert(0, "shop.example.nl".into()),
            |site| {
                site.serve = Serve::Storefront { upstream: Url::parse("http://b:8000").unwrap() };
            },
            |site| site.serve = Serve::Release,
            |site| site.assets[0].mount = Mount::at("/assets/"),
            |site| site.assets[0].channel = Channel::parse("next").unwrap(),
            |site| site.public = PublicBase::parse("https://cdn.example.com").unwrap(),
            |site| site.rewrite = false,
            |site| site.pages.cache = true,
            |site| site.pages.cookies = Cookies::Rfc,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = shop();
            change(&mut other);
            assert_ne!(SiteId::of(&other), id, "change {number}");
        }
    }

    #[test]
    fn a_site_with_more_hosts_is_the_same_site() {
        let mut more = shop();
        more.hosts.push("example.nl".into());
        assert_eq!(SiteId::of(&more), SiteId::of(&shop()));
    }
}
