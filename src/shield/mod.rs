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
mod derive;
mod fill;
mod flight;
mod forward;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod gate;
mod last_good;
mod listener;
mod listing;
pub mod metrics;
mod multipart;
pub mod origin;
mod pace;
pub mod page;
mod pages;
mod pass_on;
mod proof;
mod recall;
mod release;
mod reload;
mod render;
mod request;
mod respond;
mod route;
pub mod server;
mod settings;
mod silence;
mod site;
mod spool;
mod unshared;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::Histogram;
use arc_swap::ArcSwap;
use http::{Response, StatusCode};
use secrecy::SecretString;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::asset::KeyLayout;
use crate::clock::Clock;
use crate::manifest::{Channel, Manifest, ReleaseId};
use crate::semantics::cache_status::CacheStatus;
use crate::store::ObjectRead;
use admin::Tokens;
use body::{RequestBody, ResponseBody};
use cache::Cache;
use config::Config;
use deliver::Delivered;
use derive::Coder;
use fill::Fill;
use flight::Flights;
use metrics::{Counters, Metrics};
use origin::bucket::Bucket;
use origin::calls::Calls;
use pace::Pace;
use pages::Pages;
use release::Releases;
use reload::Reloads;
use route::{Target, route};
use settings::Settings;
use site::Site;

pub use cache::{
    CheckedEntry, Damage, DiskConfig, DiskError, Epoch, EpochNotKept, Epochs, check_entry,
};
pub use listener::{Answering, Entry, Tls, TlsError, Tunnel};
pub use release::{ChannelRefresh, RefreshOutcome, RefreshReport, ReleaseSnapshot};
pub use reload::{ReloadError, Reloaded, Standing};
pub use request::GatedRequest;
pub use site::ConfigError;

/// How long what waits to be written to disk may take when the tier is left.
const LEAVE_DISK: Duration = Duration::from_millis(500);

/// A shield: everything it owns, and nothing that is global. Settings come and
/// go with the configuration; the rest stays.
#[derive(Debug)]
pub struct Shield {
    settings: ArcSwap<Settings>,
    store: Option<(Arc<dyn ObjectRead>, KeyLayout)>,
    cache: Arc<Cache>,
    fill: Option<Arc<Fill>>,
    flights: Flights,
    pages: Arc<Pages>,
    reloads: Reloads,
    tokens: Arc<Tokens>,
    coder: Arc<Coder>,
    clock: Clock,
    metrics: Arc<Metrics>,
    request_seconds: Histogram,
    /// The requests that name a host of no site.
    strays: Counters,
}

/// Whether every site has what it needs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether none lacks anything.
    pub ready: bool,
    /// What is lacking.
    pub reasons: Vec<NotReady>,
    /// The channels that serve the release of an earlier run, because none
    /// could be read from the bucket yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Channel>,
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
        let settings = Settings::new(config, store.is_some(), &metrics)?;
        let config = settings.config();
        let cache = Cache::new(config.memory_bytes_max, config.disk.as_ref(), &metrics)?;
        let cache = Arc::new(cache);
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
            settings: ArcSwap::from_pointee(settings),
            store: store.map(|store| (store, layout)),
            pages: Pages::new(&cache, &clock, &metrics),
            cache,
            fill,
            flights: Flights::default(),
            reloads: Reloads::new(clock.now(), &metrics),
            tokens: Arc::default(),
            coder: Arc::new(Coder::new(&metrics)),
            clock,
            request_seconds: metrics.histogram("awning_request_seconds", &[]),
            strays: site::requests("-"),
            metrics,
        }))
    }

    /// Answers a request. It never fails: errors are responses.
    pub async fn respond_to(
        self: &Arc<Self>,
        request: GatedRequest,
        body: RequestBody,
    ) -> Response<ResponseBody> {
        self.respond_under(&self.settings(), request, body).await
    }

    /// Answers a request that the gate let through under these settings.
    pub(crate) async fn respond_under(
        self: &Arc<Self>,
        settings: &Settings,
        request: GatedRequest,
        body: RequestBody,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let site = settings.find(&request.host);
        let (response, status) = match site {
            Some(site) => self.answer(settings, site, request, body).await,
            None => generated(StatusCode::MISDIRECTED_REQUEST, "unknown-host"),
        };
        let requests = site.map_or(&self.strays, |site| &site.requests);
        requests.count(&self.metrics, "cache", status.label());
        self.request_seconds.record(started.elapsed());
        response
    }

    /// Reads the heads of all channels again, and the manifests of those that
    /// changed. What cannot be read or believed changes nothing.
    pub async fn refresh(&self) -> RefreshReport {
        let Some((store, layout)) = &self.store else { return RefreshReport::default() };
        loop {
            let settings = self.settings();
            let before = settings.channels.releases();
            last_good::restore(&settings.channels, &self.cache, layout).await;
            let report = settings.channels.refresh(&**store, layout).await;
            self.show_releases(&settings, &before, &settings.channels.releases());
            last_good::keep(&settings.channels, &self.cache, layout, &report).await;
            // What was read for settings that are gone is not served.
            if Arc::ptr_eq(&settings, &self.settings()) {
                return report;
            }
        }
    }

    /// Refreshes now and then at least `every` so often, until `shutdown`: out
    /// of step with other shields, and sooner while the bucket cannot be read.
    /// It also keeps the metrics from growing while nobody reads them.
    pub async fn watch(self: Arc<Self>, every: Duration, shutdown: CancellationToken) {
        let mut pace = Pace::new(every, fastrand::u64(..));
        let watching = async {
            loop {
                self.metrics.tidy();
                let report = self.refresh().await;
                tokio::time::sleep(pace.pause(report.failing)).await;
            }
        };
        shutdown.run_until_cancelled(watching).await;
    }

    /// Whether every channel that a site names has a release.
    pub fn readiness(&self) -> Readiness {
        let settings = self.settings();
        let releases = settings.channels.releases();
        let lacking = settings.sites.iter().flat_map(|site| {
            let channels = site.assets.iter().map(|(_, channel)| *channel);
            channels.map(move |channel| (site, channel))
        });
        let lacking = lacking.filter(|(_, channel)| releases.of(*channel).is_none());
        let reasons: Vec<_> =
            lacking.map(|(site, channel)| not_ready(&settings, site, channel)).collect();
        let names = settings.channels.names().iter().enumerate();
        let kept = names.filter(|(number, _)| settings.channels.is_kept(*number));
        let kept = kept.map(|(_, name)| name.clone()).collect();
        Readiness { ready: reasons.is_empty(), reasons, kept }
    }

    /// The release that each channel serves.
    pub fn releases(&self) -> BTreeMap<Channel, Option<ReleaseId>> {
        let settings = self.settings();
        let releases = settings.channels.releases();
        let names = settings.channels.names().iter().enumerate();
        let release = |number| releases.of(number).map(|snapshot| snapshot.release);
        names.map(|(number, name)| (name.clone(), release(number))).collect()
    }

    /// The release that the channel of this name serves, and its manifest.
    pub fn manifest(&self, channel: &str) -> Option<(ReleaseId, Arc<Manifest>)> {
        let settings = self.settings();
        let mut names = settings.channels.names().iter();
        let number = names.position(|name| name.as_str() == channel)?;
        let releases = settings.channels.releases();
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

    /// Waits for the flights that are under way, and for what they left to be
    /// written to disk, at most this long. Returns whether all has ended.
    pub async fn drain(&self, at_most: Duration) -> bool {
        let ending = async {
            self.flights.drained().await;
            self.pages.drained().await;
            if let Some(disk) = &self.cache.disk {
                disk.flush().await;
            }
        };
        timeout(at_most, ending).await.is_ok()
    }

    /// Leaves the disk tier to another process that takes this one's place.
    /// Its entries are read for as long as this process goes on; no more are
    /// written once this returns, which takes a second at most.
    pub async fn leave_disk(&self) {
        if let Some(disk) = &self.cache.disk {
            disk.leave(LEAVE_DISK).await;
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes other tokens for the admin listener, in place of all there were.
    pub fn set_admin_tokens(&self, tokens: &[SecretString]) {
        self.tokens.replace(tokens);
    }

    /// What the shield is configured with now.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(self.settings.load().config())
    }

    /// What is in effect for requests that begin now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    async fn answer(
        &self,
        settings: &Settings,
        site: &Site,
        request: GatedRequest,
        body: RequestBody,
    ) -> Delivered {
        // Taken once: everything of this answer is of the same releases.
        let releases = settings.channels.releases();
        match route(site, &releases, &request) {
            Target::Asset(wanted, policy) => self.deliver(&request, &wanted, &policy).await,
            // Large, and not to be carried along by requests for assets.
            Target::Storefront => Box::pin(self.storefront(site, request, body, &releases)).await,
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

    /// Shows which release each site serves, and no longer the one before.
    fn show_releases(&self, settings: &Settings, before: &Releases, now: &Releases) {
        for site in settings.sites.iter() {
            for (_, channel) in &site.assets {
                for (releases, value) in [(before, 0.0), (now, 1.0)] {
                    let Some(snapshot) = releases.of(*channel) else { continue };
                    let release = snapshot.release.to_string();
                    let labels = [("site", site.name()), ("release", &release)];
                    self.metrics.gauge("awning_release_info", &labels).set(value);
                }
            }
        }
    }
}

fn not_ready(settings: &Settings, site: &Site, channel: usize) -> NotReady {
    let channels = &settings.channels;
    NotReady {
        site: site.name().to_owned(),
        channel: channels.names()[channel].clone(),
        reason: channels.fault(channel).unwrap_or_else(|| "not read yet".to_owned()),
    }
}

fn generated(status: StatusCode, detail: &'static str) -> Delivered {
    let cache = CacheStatus::generated(detail);
    (respond::neutral(status, &cache), cache)
}
