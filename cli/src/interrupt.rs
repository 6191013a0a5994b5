//! Ctrl-C and SIGTERM.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

/// The command was interrupted before it was done.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub(crate) struct Interrupted(pub &'static str);

/// Runs `work` until it is done or a signal arrives; `state` then tells the
/// user what the world looks like.
pub(crate) async fn until_interrupted<T>(
    state: &'static str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        // Polled first, so that signals are heard from before the work begins.
        biased;
        () = signalled() => Err(Interrupted(state).into()),
        result = work => result,
    }
}

/// Returns when the process is asked to end.
pub(crate) async fn signalled() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Without the hook only Ctrl-C ends the process gracefully.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
