//! Which release is meant, and its manifest from the bucket.

use awning::asset::KeyLayout;
use awning::manifest::{Channel, ReleaseId};
use awning::publish::{self, StoredManifest};
use awning::store::ObjectRead;
use clap::Args;

use super::named::without_release;
use crate::config::PublishSettings;

/// The release that a command is about.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// The release, all 64 digits [default: the current one of the channel]
    #[arg(value_name = "ID", value_parser = ReleaseId::parse)]
    pub(crate) release: Option<ReleaseId>,

    /// The channel whose current release is meant [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = Channel::parse)]
    pub(crate) channel: Option<Channel>,
}

/// Reads the manifest of the release that is meant.
pub(crate) async fn read(
    which: &Which,
    store: &dyn ObjectRead,
    layout: &KeyLayout,
    settings: &PublishSettings,
) -> anyhow::Result<StoredManifest> {
    let release = match which.release {
        Some(release) => release,
        None => {
            let channel = which.channel.as_ref().unwrap_or(&settings.channel);
            current(store, layout, channel).await?
        }
    };
    Ok(publish::stored(store, layout, release).await?)
}

async fn current(
    store: &dyn ObjectRead,
    layout: &KeyLayout,
    channel: &Channel,
) -> anyhow::Result<ReleaseId> {
    let base = publish::base(store, layout, channel).await?;
    Ok(base.head().ok_or_else(|| without_release(channel))?.release)
}
