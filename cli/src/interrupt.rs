//! Ctrl-C and SIGTERM.

use std::future::Future;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The command was interrupted before it was done.
#[derive(Debug, thiserror::Error)]
#[error("interrupted: {0}")]
pub(crate) struct Interrupted(pub &'static str);

/// Hears the signals that ask the process to end, from the moment it is made:
/// one that arrives between two waits is not lost.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen; until then, signals end the process at once.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let hear = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
        })
    }

    /// Returns when the process is asked to end.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Runs `work` until it is done or a signal arrives; `state` then tells
    /// the user what the world looks like.
    pub(crate) async fn interrupt<T>(
        &mut self,
        state: &'static str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            // Polled first, so that a signal is not drowned by ready work.
            biased;
            () = self.received() => Err(Interrupted(state).into()),
            result = work => result,
        }
    }
}
