//! `awning rollback`: back to a release that was current before, and locked there.

use anyhow::anyhow;
use awning::manifest::Channel;
use awning::publish::{History, Switch};
use clap::Args;

use super::Context;
use super::named::{Named, without_release};
use super::switch::{Summary, Switching, WHOLE};
use crate::exit::NotThere;
use crate::interrupt::Signals;

/// Switch a channel back to an earlier release, and lock it there
///
/// Every object of the release is looked up first; if one is missing, all of
/// them are told and nothing is switched. While the channel is locked,
/// publishes are refused, so that the next build does not undo the rollback;
/// `--unlock` and `promote` let them go on.
#[derive(Args, Debug)]
pub(crate) struct Rollback {
    /// The release: all 64 digits, or the first of them (8 or more) [default:
    /// the one before the current one]
    #[arg(value_name = "ID")]
    release: Option<Named>,

    /// Channel to switch [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = Channel::parse)]
    channel: Option<Channel>,

    /// Without ID: keep the current release, and let publishes go on. With
    /// one: switch, and do not lock
    #[arg(long)]
    unlock: bool,
}

impl Rollback {
    /// Rolls back, or unlocks.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let switching = Switching::new(context, self.channel.clone())?;
        let work = self.switch(&switching);
        let summary = Signals::listen()?.interrupt(WHOLE, work).await?;
        context.output.data(&summary, &summary)?;
        if self.release.is_none() && !self.unlock && summary.outcome == "unchanged" {
            context.output.note("it was rolled back already: name a release to go further back");
        }
        Ok(())
    }

    async fn switch(&self, switching: &Switching) -> anyhow::Result<Summary> {
        let history = switching.history().await?;
        let head = history.head().ok_or_else(|| without_release(&switching.channel))?;
        let release = match &self.release {
            Some(named) => {
                named.find(&switching.store, &switching.layout, &switching.channel).await?
            }
            None if self.unlock => {
                return switching.switch(Switch::unlock(head), &history, "unlocked").await;
            }
            // Typed twice, or again after it was interrupted, it is still one step back.
            None if head.locked => {
                return switching.switch(Switch::finish(head), &history, "rolled-back").await;
            }
            None => before(&history, &switching.channel)?,
        };
        let whole = switching.whole(release).await?;
        let to = if self.unlock { Switch::promote(&whole) } else { Switch::roll_back(&whole) };
        switching.switch(to, &history, "rolled-back").await
    }
}

fn before(history: &History, channel: &Channel) -> anyhow::Result<awning::manifest::ReleaseId> {
    history.before().ok_or_else(|| {
        anyhow!(NotThere(format!(
            "channel `{channel}` had no other release lately: name the release to roll back to"
        )))
    })
}
