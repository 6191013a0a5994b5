//! A response on its way to hyper: its body in pieces that the vigil counts, and
//! that leave others a turn.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::roster::Slot;
use super::vigil::Vigil;
use crate::shield::body::{BoxError, ResponseBody};

/// Most bytes that are handed to hyper at once, so that a reader who takes
/// nothing is told from one who takes them slowly.
const PIECE_MAX: usize = 64 * 1024;
/// Bytes of a response after which other connections have a turn, however
/// fast its body comes and its peer takes it.
const TURN_MAX: usize = 512 * 1024;

/// A request without a whole response yet.
pub(super) struct InFlight {
    pub(super) vigil: Arc<Vigil>,
    pub(super) response: u64,
    pub(super) multiplexed: bool,
}

impl InFlight {
    pub(super) fn begin(slot: &Slot, multiplexed: bool) -> Self {
        let vigil = slot.vigil();
        let response = vigil.request_began(multiplexed);
        if response == 1 {
            slot.heard();
        }
        Self { vigil, response, multiplexed }
    }

    /// The body of the response, which lasts as long as the request does.
    pub(super) fn count(self, body: ResponseBody) -> Counted {
        Counted { body, rest: Bytes::new(), handed: false, turn: 0, in_flight: self }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.vigil.request_ended(self.response, Instant::now());
    }
}

/// A response's body, handed to hyper in small pieces. On HTTP/1 they are
/// written as they come; on HTTP/2 the vigil counts those for which the peer
/// has no window.
pub(crate) struct Counted {
    body: ResponseBody,
    rest: Bytes,
    /// Whether the vigil waits for the peer to take a piece.
    handed: bool,
    /// Bytes that were handed over since others had a turn.
    turn: usize,
    in_flight: InFlight,
}

impl Counted {
    fn piece(&mut self) -> Frame<Bytes> {
        let InFlight { vigil, response, multiplexed } = &self.in_flight;
        let most = if *multiplexed { vigil.piece_max().min(PIECE_MAX) } else { PIECE_MAX };
        self.handed = *multiplexed;
        if self.handed {
            vigil.piece_handed(*response, Instant::now());
        }
        let piece = self.rest.split_to(self.rest.len().min(most));
        self.turn += piece.len();
        Frame::data(piece)
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if std::mem::take(&mut self.handed) {
            self.in_flight.vigil.piece_wanted(self.in_flight.response);
        }
        if self.turn >= TURN_MAX {
            self.turn = 0;
            // It waits for nothing but the others.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx)? else {
            self.turn = 0;
            return Poll::Pending;
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        match frame.into_data() {
            Ok(bytes) => {
                self.rest = bytes;
                Poll::Ready(Some(Ok(self.piece())))
            }
            Err(trailers) => Poll::Ready(Some(Ok(trailers))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::super::vigil::Patience;
    use super::*;
    use crate::shield::body::full;

    fn in_flight() -> InFlight {
        let second = Duration::from_secs(1);
        let patience = Patience { head: second, idle: second, write: second };
        let vigil = Arc::new(Vigil::new(patience, Instant::now()));
        let response = vigil.request_began(false);
        InFlight { vigil, response, multiplexed: false }
    }

    #[tokio::test]
    async fn a_long_body_gives_others_a_turn_now_and_then() {
        let whole = vec![7; 3 * TURN_MAX + 5];
        let mut body = in_flight().count(full(whole.clone()));
        let (mut pieces, mut turns) = (Vec::new(), Vec::new());
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(Some(frame)) => pieces.extend(frame.unwrap().into_data().unwrap()),
                Poll::Ready(None) => break,
                Poll::Pending => turns.push(pieces.len()),
            }
        }
        assert!(pieces == whole, "other bytes");
        assert_eq!(turns, [TURN_MAX, 2 * TURN_MAX, 3 * TURN_MAX]);
    }
}
