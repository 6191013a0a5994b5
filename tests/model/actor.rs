//! What takes part: publishers, people who switch channels, and collectors,
//! each the real code over a port.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use awning::manifest::{Activation, Channel, ReleaseId};
use awning::publish::prune::{self, Policy, PruneError};
use awning::publish::{self, History, Options, PublishError, Refused, Switch};

use super::bucket::time;
use super::catalog::{Catalog, layout};
use super::port::Port;

/// What an actor does.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// Publishes the tree with this number.
    Publish { tree: usize, channel: Channel, order: u64, expires_hours: Option<u64> },
    /// Switches a channel by hand.
    Switch { to: To, channel: Channel },
    /// Collects.
    Collect { policy: Policy, phase: Phase },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum To {
    /// What stood before the head.
    Before,
    /// The release of this tree, with or without a lock.
    Tree(usize, bool),
    /// The head, without its lock.
    Unlocked,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Both,
    Mark,
    Sweep,
}

/// What an actor came to.
#[derive(Debug)]
pub(super) enum Ended {
    /// The channel was switched, or had the release.
    Acknowledged { channel: Channel, activation: Activation },
    /// A collector deleted this many versions, and condemned so many.
    Collected { deleted: usize, condemned: usize },
    /// It was refused, as it may be.
    Refused(&'static str),
    /// A call failed.
    Failed(String),
    /// It ended as it never may.
    Wrong(String),
}

/// The store's time, and how wrong the clock of one machine is.
#[derive(Clone, Debug)]
pub(super) struct MachineClock {
    pub(super) store: Arc<AtomicU64>,
    pub(super) skew: i64,
}

impl MachineClock {
    fn now(&self) -> SystemTime {
        time(self.store.load(Ordering::Relaxed).saturating_add_signed(self.skew))
    }
}

pub(super) type Life = Pin<Box<dyn Future<Output = Ended>>>;

/// Begins an actor. `nonce` tells it from all others.
pub(super) fn begin(
    role: &Role,
    catalog: &Arc<Catalog>,
    port: Port,
    clock: MachineClock,
    nonce: String,
) -> Life {
    let (role, catalog) = (role.clone(), Arc::clone(catalog));
    Box::pin(async move {
        match role {
            Role::Publish { tree, channel, order, expires_hours } => {
                let mut options = super::catalog::options(channel.clone());
                options.order = order;
                options.expires =
                    expires_hours.map(|hours| clock.now() + Duration::from_secs(hours * 3600));
                // More than one call at a time, in an order that the scheduler decides.
                options.concurrency = 2;
                let build = catalog.builds[tree].clone();
                let published = publish(build, &port, &clock, nonce, &options).await;
                switched(published, channel)
            }
            Role::Switch { to, channel } => {
                let made = switch(to, &channel, &catalog, &port, &clock, nonce).await;
                switched(made, channel)
            }
            Role::Collect { policy, phase } => collect(&port, &policy, phase, &clock).await,
        }
    })
}

/// Why a channel was not switched.
enum Trouble {
    Refused(Refused),
    Publish(PublishError),
    /// There is nothing to switch to.
    Nothing,
}

impl From<PublishError> for Trouble {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

async fn publish(
    build: publish::Build,
    port: &Port,
    clock: &MachineClock,
    nonce: String,
    options: &Options,
) -> Result<Activation, Trouble> {
    let base = publish::base(port, &layout(), &options.channel).await?;
    publish::refuse(&build, &base, options).map_err(Trouble::Refused)?;
    let base = base.renewed(&build, port, &layout(), &options.channel).await?;
    let plan = publish::plan(build, base, options).map_err(Trouble::Refused)?;
    let uploaded = publish::upload(plan, port, &layout(), options, &mut |_| ()).await?;
    let now = clock.now();
    let release = publish::activate(uploaded, port, &layout(), now, nonce, options).await?;
    Ok(release.activation)
}

async fn switch(
    to: To,
    channel: &Channel,
    catalog: &Catalog,
    port: &Port,
    clock: &MachineClock,
    nonce: String,
) -> Result<Activation, Trouble> {
    let layout = layout();
    let history = publish::history(port, &layout, channel, 50).await?;
    let head = history.head().ok_or(Trouble::Nothing)?;
    let (release, locked) = match to {
        To::Unlocked => (None, false),
        To::Before if head.locked => (None, true),
        To::Before => (Some(before(&history)?), true),
        To::Tree(tree, locked) => (Some(catalog.builds[tree].release()), locked),
    };
    let to = match release {
        None if locked => Switch::finish(head),
        None => Switch::unlock(head),
        Some(release) => {
            let now = clock.now();
            let whole = publish::whole(port, &layout, channel, release, 2, now).await?;
            if locked { Switch::roll_back(&whole) } else { Switch::promote(&whole) }
        }
    };
    let switched = publish::switch(to, &history, port, &layout, clock.now(), nonce).await?;
    Ok(switched.activation)
}

fn before(history: &History) -> Result<ReleaseId, Trouble> {
    history.before().ok_or(Trouble::Nothing)
}

fn switched(made: Result<Activation, Trouble>, channel: Channel) -> Ended {
    let error = match made {
        Ok(activation) => return Ended::Acknowledged { channel, activation },
        Err(Trouble::Nothing) => return Ended::Refused("nothing to switch to"),
        Err(Trouble::Refused(Refused::Locked { .. })) => return Ended::Refused("locked"),
        Err(Trouble::Refused(Refused::Superseded { .. })) => return Ended::Refused("an old order"),
        Err(Trouble::Refused(refused)) => return Ended::Wrong(refused.to_string()),
        Err(Trouble::Publish(error)) => error,
    };
    match &error {
        PublishError::Superseded { .. } => Ended::Refused("superseded"),
        PublishError::Locked { .. } => Ended::Refused("locked meanwhile"),
        PublishError::TooLate => Ended::Refused("too late"),
        PublishError::Collecting { .. } => Ended::Refused("being collected"),
        PublishError::Unsettled => Ended::Refused("unsettled"),
        PublishError::NoRelease { .. } => Ended::Refused("no such release"),
        PublishError::Broken { .. } => Ended::Refused("not whole any more"),
        PublishError::Store(_) | PublishError::Incomplete { .. } => Ended::Failed(causes(&error)),
        _ => Ended::Wrong(causes(&error)),
    }
}

async fn collect(port: &Port, policy: &Policy, phase: Phase, clock: &MachineClock) -> Ended {
    let (layout, now) = (layout(), clock.now());
    let done = match phase {
        Phase::Both => prune::collect(port, &layout, policy, now)
            .await
            .map(|it| (it.swept.deleted.len(), it.marked.condemned.len())),
        Phase::Mark => {
            prune::mark(port, &layout, policy, now).await.map(|it| (0, it.condemned.len()))
        }
        Phase::Sweep => {
            prune::sweep(port, &layout, policy, now).await.map(|it| (it.deleted.len(), 0))
        }
    };
    match done {
        Ok((deleted, condemned)) => Ended::Collected { deleted, condemned },
        Err(error @ PruneError::Store(_)) => Ended::Failed(causes(&error)),
        // It read something while another collector was deleting it.
        Err(PruneError::Malformed { source: None, .. } | PruneError::Unreadable(_)) => {
            Ended::Refused("unreadable")
        }
        // The same, of a preview that ended; `watch.rs` sees whether it had.
        Err(PruneError::NoManifest { .. }) => Ended::Refused("a manifest is gone"),
        Err(error) => Ended::Wrong(causes(&error)),
    }
}

/// An error and what caused it.
fn causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(&format!(": {error}"));
        cause = error.source();
    }
    told
}
