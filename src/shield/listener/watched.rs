//! A connection's bytes, watched on their way so that its vigil sees them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::roster::Slot;
use super::socket::Abandon;
use super::vigil::Vigil;

/// A stream that reports to a vigil, and keeps its place among the open
/// connections for as long as it exists, upgraded or not.
#[derive(Debug)]
pub(super) struct Watched<I: Abandon> {
    io: I,
    vigil: Arc<Vigil>,
    /// The peer has not taken all that was written.
    behind: bool,
    _slot: Arc<Slot>,
}

impl<I: Abandon> Watched<I> {
    pub(super) fn new(io: I, slot: Arc<Slot>) -> Self {
        Self { io, vigil: slot.vigil(), behind: false, _slot: slot }
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) if *count > 0 => {
                self.vigil.write_progressed(*count, Instant::now());
            }
            Poll::Pending => self.blocked(),
            Poll::Ready(_) => {}
        }
    }

    /// hyper flushes what it has written whole.
    fn flushed(&mut self, flushed: &Poll<io::Result<()>>) {
        match flushed {
            Poll::Ready(Ok(())) if std::mem::take(&mut self.behind) => self.vigil.caught_up(),
            Poll::Pending => self.blocked(),
            Poll::Ready(_) => {}
        }
    }

    fn blocked(&mut self) {
        self.behind = true;
        self.vigil.write_blocked(Instant::now());
    }
}

impl<I: Abandon> Drop for Watched<I> {
    fn drop(&mut self) {
        if self.vigil.is_given_up() {
            self.io.abandon();
        } else {
            self.io.leave_rest();
        }
    }
}

impl<I: AsyncRead + Abandon + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.vigil.received(Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Abandon + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.flushed(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
