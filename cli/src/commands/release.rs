//! Which release is meant, and its manifest from the bucket.

use anyhow::{Context as _, anyhow};
use awning::asset::KeyLayout;
use awning::manifest::{Channel, MANIFEST_BYTES_MAX, Manifest, ReleaseId};
use awning::publish;
use awning::store::{GetOutcome, GetRequest, ObjectRead, StoreErrorKind};
use bytes::Bytes;
use clap::Args;

use crate::config::PublishSettings;
use crate::exit::NotThere;

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

/// A manifest as it lies in the bucket.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    /// Its canonical bytes.
    pub(crate) bytes: Bytes,
    /// The same, read.
    pub(crate) manifest: Manifest,
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
    let key = layout.manifest(release);
    let found = store.get(&key, GetRequest::default()).await.map_err(|error| match error.kind() {
        StoreErrorKind::NotFound => {
            anyhow!(NotThere(format!("there is no release {release} in the bucket")))
        }
        _ => error.into(),
    });
    let GetOutcome::Found(object) = found? else {
        anyhow::bail!("the store answered an unconditional read as conditional");
    };
    let bytes = object.collect(&key, MANIFEST_BYTES_MAX).await?;
    let manifest = Manifest::from_bytes(release, &bytes)
        .with_context(|| format!("cannot read release {}", release.short()))?;
    Ok(StoredManifest { bytes, manifest })
}

async fn current(
    store: &dyn ObjectRead,
    layout: &KeyLayout,
    channel: &Channel,
) -> anyhow::Result<ReleaseId> {
    let base = publish::base(store, layout, channel).await?;
    let head = base.head().ok_or_else(|| {
        NotThere(format!("channel `{channel}` has no release yet: run `awning publish` first"))
    })?;
    Ok(head.release)
}
