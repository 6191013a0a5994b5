//! Bodies that reach a client without being held: from the cache in pieces,
//! from a flight while it fills, and from the bucket for what is too large or
//! finds no room.
//!
//! Nothing is read before the client takes it, and no body that fails ends as
//! if it were whole.

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::body::{BoxError, ResponseBody, empty, full};
use super::cache::{Reservation, StoredResponse};
use super::flight::Flight;
use super::origin::Fault;
use super::origin::bucket::Opened;
use super::proof::Proof;
use crate::asset::Blake3;

/// The bytes of a stored response between two offsets, both included.
pub(crate) fn stored(stored: &StoredResponse, range: Option<(u64, u64)>) -> ResponseBody {
    range.map_or_else(empty, |(first, last)| pieces(&stored.pieces, first, last))
}

/// The bytes of a body in memory between two offsets, both included.
pub(crate) fn pieces(pieces: &[Bytes], first: u64, last: u64) -> ResponseBody {
    if let [whole] = pieces {
        return full(Cut::new(first, last).of(whole));
    }
    match <[Bytes; 1]>::try_from(slices(pieces, first, last)) {
        Ok([part]) => full(part),
        Err(parts) => body(stream::iter(parts.into_iter().map(Ok))),
    }
}

/// The parts of pieces that lie between two offsets, both included.
pub(crate) fn slices(pieces: &[Bytes], first: u64, last: u64) -> Vec<Bytes> {
    let mut cut = Cut::new(first, last);
    pieces.iter().map(|piece| cut.of(piece)).filter(|part| !part.is_empty()).collect()
}

/// The bytes of a body that still arrives.
pub(crate) fn flight(flight: Flight, range: Option<(u64, u64)>) -> ResponseBody {
    let Some((first, last)) = range else { return empty() };
    let start = (flight, 0_usize, Cut::new(first, last));
    body(stream::try_unfold(start, async |(mut flight, mut index, mut cut)| {
        while !cut.is_done() {
            let Some(piece) = flight.piece(index).await? else { return Err(Fault::Unavailable) };
            index += 1;
            let part = cut.of(&piece);
            if !part.is_empty() {
                return Ok(Some((part, (flight, index, cut))));
            }
        }
        Ok(None)
    }))
}

/// A body straight from the bucket.
pub(crate) struct Passing {
    opened: Opened,
    /// What the whole body must hash to; `None` for a part, which cannot be
    /// proven.
    proof: Option<Proof>,
    hasher: Blake3,
    /// Bytes that have not come yet.
    missing: u64,
    /// Held back until more has come, or until all of it is proven.
    pending: Option<Bytes>,
    /// The memory it takes while it lasts.
    _window: Reservation,
}

impl Passing {
    /// Passes on `size` bytes of `opened`.
    pub(crate) fn new(
        opened: Opened,
        size: u64,
        proof: Option<Proof>,
        window: Reservation,
    ) -> Self {
        let hasher = Blake3::default();
        Self { opened, proof, hasher, missing: size, pending: None, _window: window }
    }

    pub(crate) fn into_body(self) -> ResponseBody {
        body(stream::try_unfold(self, async |mut passing| {
            Ok(passing.next().await?.map(|bytes| (bytes, passing)))
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        while let Some(chunk) = self.opened.next().await? {
            if chunk.is_empty() {
                continue;
            }
            let length = chunk.len() as u64;
            self.missing = self.missing.checked_sub(length).ok_or(Fault::Corrupt)?;
            if self.proof.is_some() {
                self.hasher.update(&chunk);
            }
            if let Some(before) = self.pending.replace(chunk) {
                return Ok(Some(before));
            }
        }
        if self.missing > 0 {
            return Err(Fault::Unavailable);
        }
        let proven = self.proof.as_ref().is_none_or(|proof| proof.holds(&self.hasher.digest()));
        if proven { Ok(self.pending.take()) } else { Err(Fault::Corrupt) }
    }
}

/// Cuts a range out of pieces that come in order.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Bytes to leave out before the range begins.
    skip: u64,
    /// Bytes of the range that have not come yet.
    left: u64,
}

impl Cut {
    pub(crate) fn new(first: u64, last: u64) -> Self {
        Self { skip: first, left: (last - first).saturating_add(1) }
    }

    /// The part of the next piece that lies in the range.
    pub(crate) fn of(&mut self, piece: &Bytes) -> Bytes {
        // Both are at most the length of a piece, which is in memory.
        let start = self.skip.min(piece.len() as u64) as usize;
        let end = start + self.left.min((piece.len() - start) as u64) as usize;
        self.skip -= start as u64;
        self.left -= (end - start) as u64;
        piece.slice(start..end)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }
}

pub(crate) fn body(
    bytes: impl futures_util::Stream<Item = Result<Bytes, Fault>> + Send + 'static,
) -> ResponseBody {
    use futures_util::StreamExt as _;
    let frames = bytes.map(|part| part.map(Frame::data).map_err(BoxError::from));
    StreamBody::new(frames).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_out_of_any_pieces() {
        let whole: Vec<u8> = (0..10).collect();
        for size in 1..=10 {
            for (first, last) in (0..10).flat_map(|last| (0..=last).map(move |first| (first, last)))
            {
                let mut cut = Cut::new(first, last);
                let pieces = whole.chunks(size).map(Bytes::copy_from_slice);
                let found: Vec<u8> = pieces.flat_map(|piece| cut.of(&piece)).collect();
                assert_eq!(found, &whole[first as usize..=last as usize]);
                assert!(cut.is_done());
            }
        }
    }
}
