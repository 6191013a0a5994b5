//! The shield: a caching origin in front of the bucket and the storefronts.
//!
//! A request is routed by pure rules, answered from the cache if those allow,
//! and else by a flight that it may share with others. Errors are responses.

pub mod admin;
pub mod body;
mod cache;
pub mod config;
mod decide;
mod deliver;
mod fill;
mod flight;
mod forward;
pub mod gate;
mod listener;
pub mod metrics;
pub mod origin;
pub mod page;
mod pass_on;
mod proof;
mod release;
mod render;
mod request;
mod respond;
mod route;
pub mod server;
mod silence;
mod site;
mod unshared;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::Histogram;
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::asset::KeyLayout;
use crate::clock::Clock;
use crate::manifest::{Channel, Manifest, ReleaseId};
use crate::semantics::cache_status::CacheStatus;
use crate::store::ObjectRead;
use body::{RequestBody, ResponseBody};
use cache::Cache;
use config::Config;
use deliver::Delivered;
use fill::Fill;
use flight::Flights;
use metrics::Metrics;
use origin::bucket::Bucket;
use origin::calls::Calls;
use origin::storefront::Storefront;
use release::{Channels, Releases};
use route::{Target, route};
use site::{Site, Sites};

pub use cache::{Epoch, Epochs};
pub use listener::Tunnel;
pub use release::{ChannelRefresh, RefreshOutcome, RefreshReport, ReleaseSnapshot};
pub use request::GatedRequest;
pub use site::ConfigError;

/// A shield: everything it owns, and nothing that is global.
#[derive(Debug)]
pub struct Shield {
    config: Config,
    sites: Sites,
    channels: Channels,
    store: Option<(Arc<dyn ObjectRead>, KeyLayout)>,
    cache: Arc<Cache>,
    fill: Option<Arc<Fill>>,
    storefronts: Vec<Option<Storefront>>,
    flights: Flights,
    clock: Clock,
    metrics: Arc<Metrics>,
    request_seconds: Histogram,
}

/// Whether every site has what it needs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether none lacks anything.
    pub ready: bool,
    /// What is lacking.
    pub reasons: Vec<NotReady>,
}

/// What one site lacks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NotReady {
    /// The site's first host.
    pub site: String,
    /// The channel without a release.
    pub channel: Channel,
    /// Why it has none.
    pub reason: String,
}

impl Shield {
    /// A shield of this configuration, with its channels not yet read:
    /// [`Shield::refresh`] reads them. `store` may be absent when no site names
    /// a channel; then no site answers fingerprinted names.
    pub fn new(
        config: Config,
        store: Option<Arc<dyn ObjectRead>>,
        layout: KeyLayout,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, ConfigError> {
        let sites = Sites::new(&config, store.is_some())?;
        let storefronts = forward::storefronts(&config, &metrics)?;
        let cache = Arc::new(Cache::new(config.memory_bytes_max, &metrics));
        let store = store.map(|store| Calls::to(store, &metrics));
        // Counted from the start, so that a rate can be told from the first.
        metrics.counter("awning_collapsed_total", &[]).increment(0);
        let fill = store.as_ref().map(|store| {
            Arc::new(Fill {
                bucket: Bucket::new(Arc::clone(store), layout.clone(), &metrics),
                cache: Arc::clone(&cache),
                clock: clock.clone(),
                metrics: Arc::clone(&metrics),
            })
        });
        Ok(Arc::new(Self {
            channels: Channels::new(sites.channels().to_vec()),
            sites,
            store: store.map(|store| (store, layout)),
            cache,
            fill,
            storefronts,
            flights: Flights::default(),
            clock,
            request_seconds: metrics.histogram("awning_request_seconds", &[]),
            metrics,
            config,
        }))
    }

    /// Answers a request. It never fails: errors are responses.
    pub async fn respond_to(
        self: &Arc<Self>,
        request: GatedRequest,
        body: RequestBody,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let site = self.sites.find(&request.host);
        let (response, status) = match site {
            Some(site) => self.answer(site, request, body).await,
            None => generated(StatusCode::MISDIRECTED_REQUEST, "unknown-host"),
        };
        let requests = site.map_or(&self.sites.strays, |site| &site.requests);
        requests.count(&self.metrics, "cache", status.label());
        self.request_seconds.record(started.elapsed());
        response
    }

    /// Reads the heads of all channels again, and the manifests of those that
    /// changed. What cannot be read or believed changes nothing.
    pub async fn refresh(&self) -> RefreshReport {
        let Some((store, layout)) = &self.store else { return RefreshReport::default() };
        let before = self.channels.releases();
        let report = self.channels.refresh(&**store, layout).await;
        self.show_releases(&before);
        report
    }

    /// Refreshes now and then `every` so often, until `shutdown`. It also keeps
    /// the metrics from growing while nobody reads them.
    pub async fn watch(self: Arc<Self>, every: Duration, shutdown: CancellationToken) {
        loop {
            self.metrics.tidy();
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = self.refresh() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    /// Whether every channel that a site names has a release.
    pub fn readiness(&self) -> Readiness {
        let releases = self.channels.releases();
        let lacking = self.sites.iter().flat_map(|site| {
            let channels = site.assets.iter().map(|(_, channel)| *channel);
            channels.map(move |channel| (site, channel))
        });
        let lacking = lacking.filter(|(_, channel)| releases.of(*channel).is_none());
        let reasons: Vec<_> =
            lacking.map(|(site, channel)| self.not_ready(site, channel)).collect();
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// The release that each channel serves.
    pub fn releases(&self) -> BTreeMap<Channel, Option<ReleaseId>> {
        let releases = self.channels.releases();
        let names = self.channels.names().iter().enumerate();
        let release = |number| releases.of(number).map(|snapshot| snapshot.release);
        names.map(|(number, name)| (name.clone(), release(number))).collect()
    }

    /// The release that the channel of this name serves, and its manifest.
    pub fn manifest(&self, channel: &str) -> Option<(ReleaseId, Arc<Manifest>)> {
        let number = self.channels.names().iter().position(|name| name.as_str() == channel)?;
        let releases = self.channels.releases();
        let snapshot = releases.of(number)?;
        Some((snapshot.release, Arc::clone(&snapshot.manifest)))
    }

    /// The purges of this shield. Advancing them makes everything that was
    /// asked for before unusable.
    pub fn epochs(&self) -> &Epochs {
        &self.cache.epochs
    }

    /// Bytes of bodies that are held now, stored or in flight: at most
    /// [`Config::memory_bytes_max`].
    pub fn memory_bytes_held(&self) -> u64 {
        self.cache.budget.bytes_held()
    }

    /// Waits for the flights that are under way, at most this long. Returns
    /// whether all have landed.
    pub async fn drain(&self, at_most: Duration) -> bool {
        timeout(at_most, self.flights.drained()).await.is_ok()
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What the shield was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    async fn answer(&self, site: &Site, request: GatedRequest, body: RequestBody) -> Delivered {
        // Taken once: everything of this answer is of the same releases.
        let releases = self.channels.releases();
        match route(site, &releases, &request) {
            Target::Asset(wanted, policy) => self.deliver(&request, wanted, &policy).await,
            Target::Storefront => self.storefront(site, request, body, &releases).await,
            Target::Redirect(location) => {
                let status = CacheStatus::generated("redirect");
                (respond::redirect(location, &status), status)
            }
            Target::Options { cross_origin } => {
                let status = CacheStatus::generated("options");
                (respond::options(cross_origin, &status), status)
            }
            Target::NotFound => generated(StatusCode::NOT_FOUND, "not-in-release"),
            Target::NotReady => generated(StatusCode::SERVICE_UNAVAILABLE, "no-release"),
            Target::MethodNotAllowed => generated(StatusCode::METHOD_NOT_ALLOWED, "method"),
        }
    }

    fn not_ready(&self, site: &Site, channel: usize) -> NotReady {
        let reason = self.channels.fault(channel).unwrap_or_else(|| "not read yet".to_owned());
        NotReady {
            site: site.name().to_owned(),
            channel: self.channels.names()[channel].clone(),
            reason,
        }
    }

    /// Shows which release each site serves, and no longer the one before.
    fn show_releases(&self, before: &Releases) {
        let now = self.channels.releases();
        for site in self.sites.iter() {
            for (_, channel) in &site.assets {
                for (releases, value) in [(before, 0.0), (&*now, 1.0)] {
                    let Some(snapshot) = releases.of(*channel) else { continue };
                    let release = snapshot.release.to_string();
                    let labels = [("site", site.name()), ("release", &release)];
                    self.metrics.gauge("awning_release_info", &labels).set(value);
                }
            }
        }
    }
}

fn generated(status: StatusCode, detail: &'static str) -> Delivered {
    let cache = CacheStatus::generated(detail);
    (respond::neutral(status, &cache), cache)
}
