//! One configuration as it is served: made whole before it takes the place of
//! the one before. A request keeps the one that it began with to its end, so
//! gate, route and forward cannot disagree.

use std::sync::Arc;

use super::config::Config;
use super::metrics::Metrics;
use super::release::Channels;
use super::site::{ConfigError, Hosts, Site, Sites};

/// A configuration, and what was made of it.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) admission: Admission,
    pub(crate) sites: Sites,
    pub(crate) channels: Channels,
}

/// What the gate asks of a configuration.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) config: Arc<Config>,
    pub(crate) hosts: Hosts,
}

impl Settings {
    /// Settings of this configuration, whose channels are not yet read.
    pub(crate) fn new(
        config: Config,
        has_store: bool,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ConfigError> {
        let sites = Sites::new(&config, has_store, None, metrics)?;
        let channels = Channels::new(sites.channels().to_vec());
        Ok(Self { admission: Admission::of(Arc::new(config)), sites, channels })
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.admission.config
    }

    /// The site of a host.
    pub(crate) fn find(&self, host: &str) -> Option<&Site> {
        self.sites.get(self.admission.hosts.find(host)?)
    }
}

impl AsRef<Admission> for Settings {
    fn as_ref(&self) -> &Admission {
        &self.admission
    }
}

impl Admission {
    /// What the gate asks of this configuration.
    pub(crate) fn of(config: Arc<Config>) -> Self {
        Self { hosts: Hosts::of(&config), config }
    }
}

impl AsRef<Self> for Admission {
    fn as_ref(&self) -> &Self {
        self
    }
}
