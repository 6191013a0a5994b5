//! Bodies that arrived in small pieces, kept in one: an answer made of it is
//! one write, and a thousand pieces cost more than their bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::stored::{PageHead, StoredPage};
use crate::shield::cache::{Budget, Reservation};

/// Largest body that is joined: the copy is made between two reads of a
/// connection, and there is memory for both only while it is.
const JOINED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A stored response with this body, in one piece if there is room to make it
/// one. `cost` is what head and pieces take of the budget together.
pub(crate) fn page(
    budget: &Budget,
    head: PageHead,
    pieces: &Arc<[Bytes]>,
    cost: u64,
    share: Arc<Reservation>,
) -> StoredPage {
    let size = pieces.iter().map(|piece| piece.len() as u64).sum();
    match joined(budget, pieces, size) {
        Some((body, bytes)) => {
            let (pieces, cost) = (Arc::from([body]), share.bytes() + bytes);
            StoredPage { head, pieces, size, cost, _share: share }
        }
        None => StoredPage { head, pieces: Arc::clone(pieces), size, cost, _share: share },
    }
}

/// The pieces as one, and what that takes of the budget. `None` when they are
/// one already, or there is no room for another copy now.
fn joined(budget: &Budget, pieces: &[Bytes], size: u64) -> Option<(Bytes, u64)> {
    if pieces.len() < 2 || size > JOINED_BYTES_MAX {
        return None;
    }
    let room = budget.reserve(size, Duration::ZERO).now_or_never().flatten()?;
    let bytes = room.bytes();
    Some((Arc::new(room).keep(pieces.concat()), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shield::metrics::Metrics;

    async fn pieces(budget: &Budget, texts: &[&'static str]) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        for text in texts {
            let share = budget.reserve(text.len() as u64, Duration::ZERO).await.unwrap();
            pieces.push(Arc::new(share).keep(text.as_bytes().to_vec()));
        }
        pieces
    }

    #[tokio::test]
    async fn pieces_become_one_where_there_is_room_for_it() {
        let budget = Budget::new(4096, &Metrics::default());
        let few = pieces(&budget, &["a", "bc"]).await;
        let (body, bytes) = joined(&budget, &few, 3).unwrap();
        assert_eq!((&body[..], bytes), (&b"abc"[..], 1024));
        drop(few);
        assert_eq!(budget.bytes_held(), 1024);
        let more = pieces(&budget, &["a", "b", "c"]).await;
        assert!(joined(&budget, &more, 3).is_none(), "there is no room");
        drop(body);
        assert!(joined(&budget, &more[..1], 1).is_none(), "it is one already");
        assert!(joined(&budget, &more, JOINED_BYTES_MAX + 1).is_none());
    }
}
