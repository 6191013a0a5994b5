//! Waiting until files below a directory change.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;

/// How long a tree must be quiet before it is published: an editor or a build
/// writes many files in one go.
const QUIET: Duration = Duration::from_millis(200);

/// A directory that is being watched.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: watch::Receiver<()>,
    /// Watches for as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Starts to watch everything below `root`.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Self> {
        let (changed, changes) = watch::channel(());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that events were lost, so something may have changed.
            if event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                return;
            }
            changed.send_replace(());
        })
        .context("cannot watch for changes")?;
        watcher
            .watch(root, RecursiveMode::Recursive)
            .with_context(|| format!("cannot watch `{}`", root.display()))?;
        Ok(Self { changes, _watcher: watcher })
    }

    /// Returns after something changed and then nothing did for a moment.
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        while tokio::time::timeout(QUIET, self.changes.changed())
            .await
            .is_ok_and(|seen| seen.is_ok())
        {}
    }
}
