//! A response that one client reads, and that is stored when it read all of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Body, Frame, SizeHint};

use super::Pages;
use super::fill::{PIECE_BYTES, Room};
use super::joined;
use super::key::PageKey;
use super::sortie::Sortie;
use super::stored::PageHead;
use crate::semantics::directives::ResponseDirectives;
use crate::shield::body::{BoxError, ResponseBody};
use crate::shield::cache::{ENTRY_BYTES, Reservation};

/// A body on its way to a client and into the cache.
pub(crate) struct Kept {
    body: ResponseBody,
    pages: Arc<Pages>,
    /// `None` when the body is stored, or not to be stored any more.
    draft: Option<Draft>,
}

struct Draft {
    key: PageKey,
    /// What the site's rules say of the path.
    rule: Option<ResponseDirectives>,
    head: PageHead,
    length: Option<u64>,
    share: Arc<Reservation>,
    pieces: Vec<Bytes>,
    size: u64,
    cost: u64,
}

impl Kept {
    /// Stores `body` while it passes. The body as it was, if there is no room.
    pub(crate) fn new(
        pages: &Arc<Pages>,
        sortie: &Sortie,
        head: PageHead,
        length: Option<u64>,
        body: ResponseBody,
    ) -> Result<Self, ResponseBody> {
        let mut room = Room::of(&pages.cache.budget);
        let needed = ENTRY_BYTES + head.bytes();
        let Some(share) = at_once(&mut room, needed) else { return Err(body) };
        let (pieces, size, cost) = (Vec::new(), 0, room.cost);
        let (key, rule) = (sortie.key.clone(), sortie.rule.clone());
        let draft = Draft { key, rule, head, length, share, pieces, size, cost };
        let mut kept = Self { body, pages: Arc::clone(pages), draft: Some(draft) };
        if kept.body.is_end_stream() {
            kept.finish();
        }
        Ok(kept)
    }

    fn keep(&mut self, chunk: &Bytes) {
        let Some(mut draft) = self.draft.take() else { return };
        let mut room = Room::of(&self.pages.cache.budget);
        room.cost = draft.cost;
        let Some(share) = at_once(&mut room, chunk.len() as u64 + PIECE_BYTES) else { return };
        draft.cost = room.cost;
        draft.size += chunk.len() as u64;
        draft.pieces.push(share.keep(chunk.to_vec()));
        self.draft = Some(draft);
    }

    fn finish(&mut self) {
        let Some(draft) = self.draft.take() else { return };
        // A part that is not as long as it says is none (RFC 9110 §14.4).
        let length = draft.head.part.map(|part| part.length()).or(draft.length);
        if length.is_some_and(|length| length != draft.size) {
            return;
        }
        let Draft { key, rule, head, share, pieces, cost, .. } = draft;
        let page = joined::page(&self.pages.cache.budget, head, &pieces.into(), cost, share);
        let page = self.pages.joined_with_stored(&key, rule.as_ref(), page);
        self.pages.shelf.put(&key, Arc::new(page));
    }
}

impl Body for Kept {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(chunk) = frame.data_ref().filter(|chunk| !chunk.is_empty()) {
                    let chunk = chunk.clone();
                    self.keep(&chunk);
                }
                // Whoever knows the length does not ask for the end.
                if self.body.is_end_stream() {
                    self.finish();
                }
            }
            Some(Err(_)) => self.draft = None,
            None => self.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Memory that is there now.
fn at_once(room: &mut Room<'_>, bytes: u64) -> Option<Arc<Reservation>> {
    room.take_within(bytes, Duration::ZERO).now_or_never().flatten()
}
