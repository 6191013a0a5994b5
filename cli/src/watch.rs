//! Waiting until files change: those below a directory, or some by name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a tree must be quiet before it is published: an editor or a build
/// writes many files in one go.
const QUIET: Duration = Duration::from_millis(200);

/// How long a tree that never is quiet is waited for.
const RESTLESS_MAX: Duration = Duration::from_secs(5);

/// What `up` writes to itself while it publishes; never published.
const OWN_DIRECTORY: &str = ".awning";

/// What is being watched.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: watch::Receiver<()>,
    /// Watches for as long as it lives.
    watcher: RecommendedWatcher,
}

impl Watch {
    /// Starts to watch everything below `root`.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Self> {
        let own = root.join(OWN_DIRECTORY);
        let mut watch = Self::idle(move |event| matters(event, &own))?;
        watch.add(root, RecursiveMode::Recursive)?;
        Ok(watch)
    }

    /// Starts to watch files that need not be there. Their directories are
    /// watched too, because most programs do not write a file but put another
    /// in its place, or point a symbolic link elsewhere.
    pub(crate) fn files(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut watch = Self::idle(|event| !matches!(event.kind, EventKind::Access(_)))?;
        for path in paths {
            watch.add(directory(path), RecursiveMode::NonRecursive)?;
        }
        watch.look_again(paths);
        Ok(watch)
    }

    /// Watches other files beside those of before.
    pub(crate) fn follow(&mut self, paths: &[PathBuf]) {
        for path in paths {
            if let Err(error) = self.add(directory(path), RecursiveMode::NonRecursive) {
                tracing::warn!("only SIGHUP tells of changes there: {error:#}");
            }
        }
        self.look_again(paths);
    }

    /// Watches the files that are in these places now.
    pub(crate) fn look_again(&mut self, paths: &[PathBuf]) {
        for path in paths {
            // A file that is not there is seen by its directory when it comes.
            let Ok(real) = std::fs::canonicalize(path) else { continue };
            for place in [directory(&real), &real] {
                if let Err(error) = self.add(place, RecursiveMode::NonRecursive) {
                    tracing::debug!("{error:#}");
                }
            }
        }
    }

    fn idle(matters: impl Fn(&Event) -> bool + Send + 'static) -> anyhow::Result<Self> {
        let (changed, changes) = watch::channel(());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that events were lost, so something may have changed.
            if event.as_ref().map_or(true, &matters) {
                changed.send_replace(());
            }
        })
        .context("cannot watch for changes")?;
        Ok(Self { changes, watcher })
    }

    fn add(&mut self, place: &Path, mode: RecursiveMode) -> anyhow::Result<()> {
        let watching = self.watcher.watch(place, mode);
        watching.with_context(|| format!("cannot watch `{}`", place.display()))
    }

    /// Returns after something changed and then nothing did for a moment.
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        quiet(&mut self.changes).await;
    }
}

/// The directory that a file is in.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Waits until nothing changed for a moment, but not for ever: a file that is
/// written all the time must not hold back the others.
async fn quiet(changes: &mut watch::Receiver<()>) {
    let quiet =
        async { while timeout(QUIET, changes.changed()).await.is_ok_and(|seen| seen.is_ok()) {} };
    let _ = timeout(RESTLESS_MAX, quiet).await;
}

/// Whether a file that may be published could have changed.
fn matters(event: &Event, own: &Path) -> bool {
    let within = !event.paths.is_empty() && event.paths.iter().all(|path| path.starts_with(own));
    !within && !matches!(event.kind, EventKind::Access(_))
}

#[cfg(test)]
mod tests {
    use notify::event::ModifyKind;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tree_that_never_is_quiet_is_not_waited_for_without_end() {
        let (changed, mut changes) = watch::channel(());
        let restless = async {
            loop {
                sleep(QUIET / 2).await;
                changed.send_replace(());
            }
        };
        let began = Instant::now();
        tokio::select! {
            () = restless => {}
            () = quiet(&mut changes) => assert_eq!(began.elapsed(), RESTLESS_MAX),
        }
        let began = Instant::now();
        changes.mark_unchanged();
        quiet(&mut changes).await;
        assert_eq!(began.elapsed(), QUIET);
    }

    #[test]
    fn what_up_writes_itself_is_no_change() {
        let own = Path::new("site/.awning");
        let event = |path: &str| {
            Event::new(EventKind::Modify(ModifyKind::Any)).add_path(Path::new(path).to_owned())
        };
        assert!(!matters(&event("site/.awning/bucket/lock"), own));
        assert!(matters(&event("site/a.css"), own));
        assert!(matters(&event("site/.awning/lock").add_path("site/a.css".into()), own));
        assert!(
            matters(&Event::new(EventKind::Other), own),
            "what was lost may have been anything"
        );
    }
}
