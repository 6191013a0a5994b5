//! Waiting until files below a directory change.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;

/// How long a tree must be quiet before it is published: an editor or a build
/// writes many files in one go.
const QUIET: Duration = Duration::from_millis(200);

/// How long a tree that never is quiet is waited for.
const RESTLESS_MAX: Duration = Duration::from_secs(5);

/// What `up` writes to itself while it publishes; never published.
const OWN_DIRECTORY: &str = ".awning";

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
        let own = root.join(OWN_DIRECTORY);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that events were lost, so something may have changed.
            if event.as_ref().map_or(true, |event| matters(event, &own)) {
                changed.send_replace(());
            }
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
        let quiet = async {
            while tokio::time::timeout(QUIET, self.changes.changed())
                .await
                .is_ok_and(|seen| seen.is_ok())
            {}
        };
        // A file that is written all the time must not hold back the others.
        let _ = tokio::time::timeout(RESTLESS_MAX, quiet).await;
    }
}

/// Whether a file that may be published could have changed.
fn matters(event: &Event, own: &Path) -> bool {
    let within = !event.paths.is_empty() && event.paths.iter().all(|path| path.starts_with(own));
    !within && !matches!(event.kind, EventKind::Access(_))
}
