//! A connection's stream with its incoming bytes framed: hyper reads from it
//! what was admitted, and nothing else.
//!
//! In the place of a head that is refused hyper reads one that no client can
//! send, so that the refusal takes its turn behind the responses before it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, HeadLimits, Step};
use crate::shield::gate::Refusal;

/// Stands for a refused head: the framing admits no target in this form.
const REFUSED: &[u8] = b"REFUSED * HTTP/1.1\r\n\r\n";
/// The path of [`REFUSED`].
const REFUSED_PATH: &str = "*";
/// Bytes that are read at once behind an unfinished head.
const PIECE: usize = 4096;
/// Bytes that are still taken from a client that was refused, so that it gets
/// to read the answer: closing on unread bytes resets the connection.
const LINGER_MAX: usize = 512 * 1024;

const UNKNOWN: u8 = 0;
const PLAIN: u8 = 1;
const UPGRADED: u8 = 2;

/// What the two ends of hyper tell each other.
#[derive(Debug, Default)]
pub(super) struct Word {
    refusal: Mutex<Option<Refusal>>,
    answered: AtomicU8,
    asking: AtomicWaker,
    fault: OnceLock<Fault>,
}

/// What is wrong with bytes that were broken off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// More HTTP/2 frames that carry nothing than any client has use for.
    Flood,
    /// A body in chunks that cannot be read.
    Body,
}

impl Fault {
    /// The word for it in metrics.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Body => "body-malformed",
        }
    }
}

impl Word {
    /// Why the request at `path` is refused, if it is the one that stands for
    /// a refused head.
    pub(super) fn refusal_at(&self, path: &str) -> Option<Refusal> {
        if path == REFUSED_PATH { self.refusal() } else { None }
    }

    /// Why the last head of the connection was refused, if it was.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request that may end the protocol has its response.
    pub(super) fn answer(&self, upgraded: bool) {
        self.answered.store(if upgraded { UPGRADED } else { PLAIN }, Ordering::Release);
        self.asking.wake();
    }

    /// Why the bytes of the connection were broken off, if they were.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get().copied()
    }

    fn break_off(&self, fault: Fault) -> io::Error {
        let _ = self.fault.set(fault);
        io::Error::new(io::ErrorKind::InvalidData, fault.reason())
    }

    fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }

    fn poll_answered(&self, cx: &Context<'_>) -> Poll<bool> {
        self.asking.register(cx.waker());
        match self.answered.swap(UNKNOWN, Ordering::Acquire) {
            UNKNOWN => Poll::Pending,
            word => Poll::Ready(word == UPGRADED),
        }
    }
}

/// A stream whose incoming bytes are framed.
#[derive(Debug)]
pub(super) struct Framed<I> {
    io: I,
    framing: Framing,
    /// What was read and may not go on yet, behind `ready` bytes that may.
    held: Vec<u8>,
    ready: usize,
    /// What is held was not looked at since something changed.
    stale: bool,
    refusal: Refusing,
    lingered: usize,
    word: Arc<Word>,
}

/// How far the refusal of a head is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusing {
    Not,
    Decided,
    /// hyper has been given [`REFUSED`] to read.
    Told,
}

impl<I> Framed<I> {
    pub(super) fn new(io: I, limits: HeadLimits, word: Arc<Word>) -> Self {
        Self {
            io,
            framing: Framing::new(limits),
            held: Vec::new(),
            ready: 0,
            stale: false,
            refusal: Refusing::Not,
            lingered: 0,
            word,
        }
    }

    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.ready.min(buffer.remaining());
        buffer.put_slice(&self.held[..count]);
        self.held.drain(..count);
        self.ready -= count;
        if self.held.is_empty() {
            // An idle connection holds nothing.
            self.held = Vec::new();
        }
    }

    /// How many bytes off the front of `bytes` may go on: whole heads, and
    /// what belongs to bodies.
    fn frame(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut passed = 0;
        while passed < bytes.len() {
            match self.framing.step(&bytes[passed..]) {
                Step::Pass(count) => passed += count,
                Step::More | Step::Ask => break,
                Step::Refuse(refusal) => {
                    self.refusal = Refusing::Decided;
                    self.word.refuse(refusal);
                    break;
                }
                Step::Flood => return Err(self.word.break_off(Fault::Flood)),
                Step::Break if passed == 0 => return Err(self.word.break_off(Fault::Body)),
                // It is met again once what is before it went on.
                Step::Break => {
                    self.stale = true;
                    break;
                }
            }
        }
        Ok(passed)
    }

    fn frame_held(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.ready = self.frame(&held)?;
        self.held = held;
        Ok(())
    }

    /// What there is to read without asking the socket: `Ready(false)` when
    /// there is nothing.
    fn poll_held(&mut self, cx: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        if self.ready == 0 && self.refusal == Refusing::Decided {
            self.refusal = Refusing::Told;
            self.held = REFUSED.to_vec();
            self.ready = REFUSED.len();
        }
        if self.ready == 0 && self.refusal == Refusing::Told {
            return Poll::Pending;
        }
        if self.ready == 0 && self.framing.is_asking() {
            self.framing.answered(ready!(self.word.poll_answered(cx)));
            self.stale = true;
        }
        if self.ready == 0 && self.stale {
            self.stale = false;
            self.frame_held()?;
        }
        if self.ready > 0 {
            self.hand_over(buffer);
            return Poll::Ready(Ok(true));
        }
        Poll::Ready(Ok(false))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Framed<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if ready!(this.poll_held(cx, buffer))? {
                return Poll::Ready(Ok(()));
            }
            if this.refusal != Refusing::Not || this.framing.is_asking() || this.stale {
                continue;
            }
            let before = buffer.filled().len();
            if this.held.is_empty() {
                // The usual case: a whole head stays where it was read to.
                ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
                let bytes = &buffer.filled()[before..];
                if bytes.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let passed = this.frame(bytes)?;
                this.held.extend_from_slice(&bytes[passed..]);
                buffer.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut space = [MaybeUninit::uninit(); PIECE];
                let mut piece = ReadBuf::uninit(&mut space);
                ready!(Pin::new(&mut this.io).poll_read(cx, &mut piece))?;
                if piece.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.held.extend_from_slice(piece.filled());
                this.frame_held()?;
            }
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Framed<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        if self.refusal == Refusing::Not {
            return Poll::Ready(Ok(()));
        }
        let mut space = [MaybeUninit::uninit(); PIECE];
        while self.lingered < LINGER_MAX {
            let mut piece = ReadBuf::uninit(&mut space);
            // The answer is out; whatever happens now is no failure.
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut piece));
            if read.is_err() || piece.filled().is_empty() {
                break;
            }
            self.lingered += piece.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
