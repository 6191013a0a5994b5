//! Another configuration in place of the one that is served.
//!
//! It is made whole first, and then swapped in at once; one that cannot be
//! served changes nothing. The cache, the flights and the budget stay.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge};
use serde::Serialize;

use super::config::Config;
use super::metrics::Metrics;
use super::release::{Channels, Releases};
use super::settings::{Admission, Settings};
use super::site::{ConfigError, Sites};
use super::{RefreshOutcome, Shield};
use crate::manifest::Channel;
use crate::store::ObjectRead;

/// Why a configuration does not take the place of the one before.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// No shield could be made from it.
    #[error("the configuration cannot be served")]
    Config(#[from] ConfigError),
    /// It names a channel whose release cannot be read, so a site of it could
    /// not be served, and the shield would not be ready any more. Later it may.
    #[error("channel `{channel}` is new and cannot be served yet: {reason}")]
    Unread {
        /// The channel.
        channel: Channel,
        /// What is wrong with its release.
        reason: String,
    },
}

/// What became of a configuration that was taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reloaded {
    /// What it changes and is not in effect before the next start, by the
    /// names of the settings.
    pub needs_restart: Vec<&'static str>,
}

/// How the shield stands by its configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Standing {
    /// When the configuration in effect was taken, in seconds of Unix time.
    pub taken_at: u64,
    /// Configurations that were taken while it ran.
    pub applied: u64,
    /// Configurations that were not.
    pub rejected: u64,
    /// What is wrong with the newest one, if that was not taken.
    pub problems: Option<String>,
    /// What the newest one changes and waits for the next start.
    pub needs_restart: Vec<&'static str>,
}

/// The configurations that came while a shield ran.
#[derive(Debug)]
pub(super) struct Reloads {
    turn: tokio::sync::Mutex<()>,
    standing: Mutex<Standing>,
    applied: Counter,
    rejected: Counter,
    last_good: Gauge,
}

impl Shield {
    /// Serves by another configuration from now on; requests in progress end
    /// by the one they began with.
    ///
    /// New channels are read first, so that a site is never served without
    /// its release. What cannot change while it runs (the memory, the limits
    /// of connections, and what the caller says is `fixed`) stays as it is,
    /// and is told. On an error nothing has changed.
    pub async fn reload(
        &self,
        config: Config,
        fixed: Vec<&'static str>,
    ) -> Result<Reloaded, ReloadError> {
        self.reload_through(config, fixed, None).await
    }

    /// The same, with new channels read through `connection`: one to the same
    /// bucket, that the caller means to use for all else once this is done.
    pub async fn reload_through(
        &self,
        config: Config,
        fixed: Vec<&'static str>,
        connection: Option<&dyn ObjectRead>,
    ) -> Result<Reloaded, ReloadError> {
        let _turn = self.reloads.turn.lock().await;
        match self.take(config, connection).await {
            Ok(mut needs_restart) => {
                needs_restart.extend(fixed);
                self.reloads.applied(self.clock.now(), &needs_restart);
                Ok(Reloaded { needs_restart })
            }
            Err(error) => {
                self.reloads.rejected(told(&error));
                Err(error)
            }
        }
    }

    /// Remembers a configuration that was not even one: `problems` are shown
    /// to operators until a good one comes.
    pub fn reject_config(&self, problems: &str) {
        self.reloads.rejected(problems.to_owned());
    }

    /// How the shield stands by its configuration.
    pub fn standing(&self) -> Standing {
        self.reloads.standing().clone()
    }

    async fn take(
        &self,
        mut config: Config,
        connection: Option<&dyn ObjectRead>,
    ) -> Result<Vec<&'static str>, ReloadError> {
        let before = self.settings();
        let needs_restart = keep_fixed(before.config(), &mut config);
        let has_store = self.store.is_some();
        let sites = Sites::new(&config, has_store, Some(&before.sites), &self.metrics)?;
        let new = self.read_new(&before.channels, sites.channels(), connection).await?;
        let admission = Admission::of(Arc::new(config));
        let releases = {
            let known = [before.channels.hold(), new.hold()];
            let channels = Channels::knowing(sites.channels().to_vec(), &known);
            // Under the lock: no release switches between the two.
            self.settings.store(Arc::new(Settings { admission, sites, channels }));
            before.channels.releases()
        };
        self.show_releases(&before, &releases, &Releases::default());
        let after = self.settings();
        self.show_releases(&after, &Releases::default(), &after.channels.releases());
        Ok(needs_restart)
    }

    /// The channels that were not watched before, each with its release.
    async fn read_new(
        &self,
        before: &Channels,
        names: &[Channel],
        connection: Option<&dyn ObjectRead>,
    ) -> Result<Channels, ReloadError> {
        let new = names.iter().filter(|name| before.position(name).is_none());
        let channels = Channels::new(new.cloned().collect());
        let Some((store, layout)) = &self.store else { return Ok(channels) };
        let report = channels.refresh(connection.unwrap_or(&**store), layout).await;
        let unread = report.channels.into_iter().find(|channel| channel.release.is_none());
        match unread {
            None => Ok(channels),
            Some(unread) => {
                let reason = match unread.outcome {
                    RefreshOutcome::Kept(why) => why,
                    _ => "it has no release".to_owned(),
                };
                Err(ReloadError::Unread { channel: unread.channel, reason })
            }
        }
    }
}

impl Reloads {
    pub(super) fn new(now: SystemTime, metrics: &Metrics) -> Self {
        let outcome = |outcome| {
            let counter = metrics.counter("awning_config_reloads_total", &[("outcome", outcome)]);
            // Counted from the start, so that a rate can be told from the first.
            counter.increment(0);
            counter
        };
        let (applied, rejected) = (outcome("applied"), outcome("rejected"));
        let last_good = metrics.gauge("awning_config_last_good_seconds", &[]);
        let taken_at = unix(now);
        last_good.set(as_gauge(taken_at));
        let standing =
            Standing { taken_at, applied: 0, rejected: 0, problems: None, needs_restart: vec![] };
        let (turn, standing) = (tokio::sync::Mutex::default(), Mutex::new(standing));
        Self { turn, standing, applied, rejected, last_good }
    }

    fn applied(&self, now: SystemTime, needs_restart: &[&'static str]) {
        let taken_at = unix(now);
        self.applied.increment(1);
        self.last_good.set(as_gauge(taken_at));
        let mut standing = self.standing();
        let applied = standing.applied + 1;
        let needs_restart = needs_restart.to_vec();
        *standing = Standing { taken_at, applied, problems: None, needs_restart, ..*standing };
    }

    fn rejected(&self, problems: String) {
        self.rejected.increment(1);
        let mut standing = self.standing();
        standing.rejected += 1;
        standing.problems = Some(problems);
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps what is bound to sockets and to memory that is in use as it was, and
/// names what differs.
fn keep_fixed(before: &Config, config: &mut Config) -> Vec<&'static str> {
    let mut differs = Vec::new();
    if config.memory_bytes_max != before.memory_bytes_max {
        config.memory_bytes_max = before.memory_bytes_max;
        differs.push("shield.memory");
    }
    if config.disk != before.disk {
        config.disk.clone_from(&before.disk);
        differs.push("shield.disk");
    }
    if config.limits != before.limits {
        config.limits = before.limits.clone();
        differs.push("shield.limits");
    }
    differs
}

fn told(error: &ReloadError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn unix(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats, exact far beyond any date")]
fn as_gauge(seconds: u64) -> f64 {
    seconds as f64
}
