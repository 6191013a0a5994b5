//! What `promote` and `rollback` share: a channel that is switched by hand.

use awning::asset::KeyLayout;
use awning::clock::Clock;
use awning::manifest::{Channel, ReleaseId};
use awning::publish::{self, CONCURRENCY_DEFAULT, History, PublishError, Switch, Switched, Whole};
use awning::store::s3::{Profile, S3Store};
use serde::Serialize;

use super::publish::nonce;
use super::{Context, required};
use crate::config::Environment;
use crate::output::Output;

/// What an interrupted switch leaves behind.
pub(crate) const WHOLE: &str = "the channel has the release it had, or the new one, whole; \
                                `awning releases` tells which";

/// Records among which the release before the head is looked for.
const HISTORY_MAX: usize = 50;

/// Variables that tell who runs the command: on build machines, then elsewhere.
const WHO: [&str; 4] = ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "LOGNAME", "USER"];

/// A channel to be switched by hand.
#[derive(Debug)]
pub(crate) struct Switching {
    /// The bucket.
    pub(crate) store: S3Store,
    /// Where awning's keys lie in it.
    pub(crate) layout: KeyLayout,
    /// The channel.
    pub(crate) channel: Channel,
    who: String,
    output: Output,
}

/// What a switch by hand came to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// What was done: `promoted`, `rolled-back`, `unlocked` or `unchanged`.
    pub(crate) outcome: &'static str,
    /// The channel.
    pub(crate) channel: Channel,
    /// The release that visitors see now.
    pub(crate) release: ReleaseId,
    /// The one they saw before.
    pub(crate) from: Option<ReleaseId>,
    /// Whether publishes are refused.
    pub(crate) locked: bool,
}

impl Switching {
    /// Connects to the bucket.
    pub(crate) fn new(context: &Context, channel: Option<Channel>) -> anyhow::Result<Self> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        Ok(Self {
            store: context.store(&bucket, Profile::Publisher)?,
            layout: bucket.layout,
            channel: channel.unwrap_or(settings.publish.channel),
            who: who(&context.environment),
            output: context.output,
        })
    }

    /// What the channel was switched to so far.
    pub(crate) async fn history(&self) -> anyhow::Result<History> {
        let Self { store, layout, channel, .. } = self;
        let history = publish::history(store, layout, channel, HISTORY_MAX).await?;
        history.remarks().iter().for_each(|remark| self.output.warning(remark));
        Ok(history)
    }

    /// Looks up every object of a release; tells what is missing, a line each.
    pub(crate) async fn whole(&self, release: ReleaseId) -> anyhow::Result<Whole> {
        let Self { store, layout, channel, .. } = self;
        let now = Clock::System.now();
        let whole = publish::whole(store, layout, channel, release, CONCURRENCY_DEFAULT, now).await;
        if let Err(PublishError::Broken { objects, .. }) = &whole {
            objects.iter().for_each(|object| self.output.note(object));
        }
        Ok(whole?)
    }

    /// Switches the channel; `done` is the outcome if there was something to do.
    pub(crate) async fn switch(
        &self,
        to: Switch,
        history: &History,
        done: &'static str,
    ) -> anyhow::Result<Summary> {
        let Self { store, layout, channel, .. } = self;
        let (now, nonce) = (Clock::System.now(), nonce()?);
        let to = to.by(&self.who);
        let Switched { activation, unchanged } =
            publish::switch(to, history, store, layout, now, nonce).await?;
        Ok(Summary {
            outcome: if unchanged { "unchanged" } else { done },
            channel: channel.clone(),
            release: activation.release,
            from: history.shown().map(|shown| shown.release),
            locked: activation.locked,
        })
    }
}

/// Who runs the command, as far as the environment tells.
fn who(environment: &Environment) -> String {
    WHO.iter().find_map(|name| environment.exact(name)).unwrap_or_default().to_owned()
}
