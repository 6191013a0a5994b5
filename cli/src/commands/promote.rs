//! `awning promote`: a release that is in the bucket becomes the current one.

use std::fmt;

use awning::manifest::Channel;
use awning::publish::Switch;
use clap::Args;

use super::Context;
use super::named::Named;
use super::switch::{Summary, Switching, WHOLE};
use crate::interrupt::Signals;

/// Make a release of the bucket the current one of a channel
///
/// Every object of the release is looked up first; if one is missing, all of
/// them are told and nothing is switched. Lets publishes go on where the
/// channel was locked by a rollback.
#[derive(Args, Debug)]
pub(crate) struct Promote {
    /// The release: all 64 digits, or the first of them (8 or more)
    #[arg(value_name = "ID")]
    release: Named,

    /// Channel to switch [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = Channel::parse)]
    channel: Option<Channel>,
}

impl Promote {
    /// Verifies the release, and switches the channel to it.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let switching = Switching::new(context, self.channel)?;
        let work = async {
            let Switching { store, layout, channel, .. } = &switching;
            let release = self.release.find(store, layout, channel).await?;
            let history = switching.history().await?;
            let whole = switching.whole(release).await?;
            switching.switch(Switch::promote(&whole), &history, "promoted").await
        };
        let summary = Signals::listen()?.interrupt(WHOLE, work).await?;
        context.output.data(&summary, &summary)?;
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outcome, channel, release, from, locked } = self;
        write!(f, "{outcome} {} on {channel}", release.short())?;
        if let Some(from) = from.filter(|from| from != release) {
            write!(f, ", from {}", from.short())?;
        }
        if *locked {
            let unlock = "awning rollback --unlock --channel";
            write!(f, "; publishes are refused until `{unlock} {channel}`")?;
        }
        Ok(())
    }
}
