//! A connection that stopped being HTTP: bytes go both ways until one side
//! ends, both are silent for too long, or the listener shuts down.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::roster::Slot;
use crate::shield::silence::Silence;

/// How long both sides may be silent. WebSocket peers ping far more often.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// The way to take over a visitor's connection after a `101` response.
#[derive(Clone, Debug)]
pub struct Tunnel {
    on_upgrade: OnUpgrade,
    slot: Arc<Slot>,
    ending: CancellationToken,
    tasks: TaskTracker,
}

impl Tunnel {
    pub(super) fn new(
        on_upgrade: OnUpgrade,
        slot: Arc<Slot>,
        ending: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self { on_upgrade, slot, ending, tasks }
    }

    /// Joins the visitor's connection to the upstream's, once the `101` is sent.
    pub fn join(self, upstream: OnUpgrade) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            let (ending, cut) = (self.ending.clone(), self.slot.cut().clone());
            tokio::select! {
                () = self.copy(upstream) => {}
                () = ending.cancelled() => {}
                () = cut.cancelled() => {}
            }
        });
    }

    async fn copy(self, upstream: OnUpgrade) {
        // Keeps the connection from looking idle, and so from making room.
        let vigil = self.slot.vigil();
        let response = vigil.request_began(false);
        if let (Ok(visitor), Ok(upstream)) = tokio::join!(self.on_upgrade, upstream) {
            copy_until_silent(TokioIo::new(visitor), TokioIo::new(upstream), SILENCE_MAX).await;
        }
        vigil.request_ended(response, Instant::now());
    }
}

async fn copy_until_silent<A, B>(mut visitor: A, upstream: B, silence_max: Duration)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let silence = Silence::begin();
    let mut upstream = Stamped { io: upstream, silence: silence.clone() };
    tokio::select! {
        ended = copy_bidirectional(&mut visitor, &mut upstream) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel broke");
            }
        }
        () = silence.lasts(silence_max) => tracing::debug!("a tunnel was silent for too long"),
    }
}

/// Notes when a byte goes through, either way.
struct Stamped<I> {
    io: I,
    silence: Silence,
}

impl<I: AsyncRead + Unpin> AsyncRead for Stamped<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            self.silence.broken();
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Stamped<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if written.is_ready() {
            self.silence.broken();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_ends_when_both_sides_are_silent_for_too_long() {
        let (mut visitor, near) = duplex(64);
        let (far, mut upstream) = duplex(64);
        let started = Instant::now();
        let tunnel = tokio::spawn(copy_until_silent(near, far, Duration::from_secs(600)));
        tokio::time::advance(Duration::from_secs(500)).await;
        visitor.write_all(b"ping").await.unwrap();
        let mut got = [0; 4];
        upstream.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ping");
        tunnel.await.unwrap();
        assert_eq!(started.elapsed().as_secs(), 1100);
    }
}
