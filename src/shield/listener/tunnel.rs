//! A connection that stopped being HTTP: bytes go both ways until one side
//! ends, both are silent for too long, or the listener shuts down.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::roster::Slot;

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

    /// Joins the visitor's connection to `upstream` once the `101` is sent.
    pub fn join<U>(self, upstream: U)
    where
        U: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
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

    async fn copy<U: AsyncRead + AsyncWrite + Unpin>(self, upstream: U) {
        // Keeps the connection from looking idle, and so from making room.
        let vigil = self.slot.vigil();
        let response = vigil.request_began(false);
        if let Ok(visitor) = self.on_upgrade.await {
            copy_until_silent(TokioIo::new(visitor), upstream, SILENCE_MAX).await;
        }
        vigil.request_ended(response, Instant::now());
    }
}

async fn copy_until_silent<A, B>(mut visitor: A, upstream: B, silence_max: Duration)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let last = Arc::new(Mutex::new(Instant::now()));
    let mut upstream = Stamped { io: upstream, last: Arc::clone(&last) };
    let silent = async {
        loop {
            let due = *last.lock().unwrap_or_else(PoisonError::into_inner) + silence_max;
            if due <= Instant::now() {
                break;
            }
            sleep_until(due).await;
        }
    };
    tokio::select! {
        ended = copy_bidirectional(&mut visitor, &mut upstream) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel broke");
            }
        }
        () = silent => tracing::debug!("a tunnel was silent for too long"),
    }
}

/// Remembers when a byte last went through, either way.
struct Stamped<I> {
    io: I,
    last: Arc<Mutex<Instant>>,
}

impl<I> Stamped<I> {
    fn stamp(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Stamped<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if read.is_ready() {
            self.stamp();
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
            self.stamp();
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
