//! `awning apply`: publish what a plan says, or refuse.

use std::path::PathBuf;
use std::sync::Arc;

use awning::store::s3::Profile;
use clap::Args;

use super::publish::{How, NOTHING_ACTIVATED, Publisher, coder, options};
use super::transfer::TransferFlags;
use super::{Context, required};
use crate::interrupt::Signals;
use crate::planned::{Planned, Settings};

/// Publish what a plan says, or refuse
///
/// The directory is built again. Where it makes another release, or the
/// channel is not where it was when it was planned, nothing is sent.
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// What `awning plan` wrote
    #[arg(value_name = "FILE")]
    plan: PathBuf,

    #[command(flatten)]
    transfer: TransferFlags,
}

impl Apply {
    /// Publishes once.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let planned = Planned::read(&self.plan)?;
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let mut options = options(&settings.publish);
        planned.options.set(&mut options)?;
        planned.check_settings(&Settings::of(&options, &bucket))?;

        let store = Arc::new(context.store(&bucket, Profile::Publisher)?);
        options.conditional_writes = bucket.conditional_writes;
        self.transfer.over(settings.publish.transfer).begin(&mut options);
        let (layout, output, source) = (bucket.layout, context.output, planned.source.clone());
        let coder = coder(settings.publish.cache.as_deref());
        let publisher = Publisher {
            planned: Some(planned),
            ..Publisher::new(store, layout, options, coder, output)
        };
        let work = publisher.publish(&source, How::Activate);
        let outcome = Signals::listen()?.interrupt(NOTHING_ACTIVATED, work).await?;
        output.data(&outcome, &outcome)?;
        Ok(())
    }
}
