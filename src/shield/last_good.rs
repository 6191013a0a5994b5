//! The last good release of each channel, kept on disk: with it a shield
//! starts and serves while the bucket cannot be read.
//!
//! It is never the newer one: whatever a head says that is read goes before.

use super::cache::Cache;
use super::release::{Channels, RefreshOutcome, RefreshReport, ReleaseSnapshot};
use crate::asset::KeyLayout;
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest, ReleaseId};

/// Bytes of the release's name before its manifest, with the line's end.
const NAME_BYTES: usize = 65;

/// Gives channels without a release the one that was kept of them.
pub(super) async fn restore(channels: &Channels, cache: &Cache, keys: &KeyLayout) {
    let Some(disk) = &cache.disk else { return };
    for (number, channel) in channels.names().iter().enumerate() {
        if channels.releases().of(number).is_some() {
            continue;
        }
        let Some(text) = disk.saved(&keys.head(channel), NAME_BYTES + MANIFEST_BYTES_MAX).await
        else {
            continue;
        };
        let parsing = tokio::task::spawn_blocking(move || parse(&text));
        let Ok(Some(snapshot)) = parsing.await else {
            tracing::warn!(%channel, "the release that was kept cannot be believed");
            continue;
        };
        let release = snapshot.release;
        channels.restore(number, snapshot);
        tracing::info!(%channel, %release, "the release of an earlier run is served");
    }
}

/// Keeps the releases that were switched to.
pub(super) async fn keep(
    channels: &Channels,
    cache: &Cache,
    keys: &KeyLayout,
    report: &RefreshReport,
) {
    let Some(disk) = &cache.disk else { return };
    for (number, refreshed) in report.channels.iter().enumerate() {
        let releases = channels.releases();
        let (RefreshOutcome::Switched, Some(snapshot)) = (&refreshed.outcome, releases.of(number))
        else {
            continue;
        };
        let (release, manifest) = (snapshot.release, snapshot.manifest.clone());
        let writing = tokio::task::spawn_blocking(move || text_of(release, &manifest));
        let Ok(Some(text)) = writing.await else { continue };
        let channel = &refreshed.channel;
        if let Err(error) = disk.save(&keys.head(channel), text).await {
            let why = &error as &dyn std::error::Error;
            tracing::warn!(%channel, error = why, "the release cannot be kept for the next start");
        }
    }
}

fn text_of(release: ReleaseId, manifest: &Manifest) -> Option<Vec<u8>> {
    let (found, bytes) = manifest.to_bytes().ok()?;
    // A manifest of a later version may hold what this one does not write.
    let text = format!("{release}\n");
    (found == release && text.len() == NAME_BYTES).then(|| [text.as_bytes(), &bytes].concat())
}

fn parse(text: &[u8]) -> Option<ReleaseSnapshot> {
    let (name, manifest) = text.split_at_checked(NAME_BYTES)?;
    let release = ReleaseId::parse(std::str::from_utf8(name).ok()?.trim_end()).ok()?;
    let manifest = Manifest::from_bytes(release, manifest).ok()?;
    Some(ReleaseSnapshot::new(release, manifest))
}
