//! A stored response: proven whole, and never modified afterwards.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::Epoch;
use super::budget::UNIT_BYTES;
use crate::asset::Digest;
use crate::semantics::date;
use crate::semantics::validator::EntityTag;
use crate::shield::wanted::Policy;

/// What an entry costs besides its body: the map's own, the key, the head.
pub(crate) const ENTRY_BYTES: u64 = 3072;

/// What is known of a response besides its bytes. Policy fields such as
/// `Cache-Control` are not here: they depend on the name a visitor used.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) content_type: HeaderValue,
    pub(crate) content_encoding: Option<HeaderValue>,
    pub(crate) content_disposition: Option<HeaderValue>,
    pub(crate) content_language: Option<HeaderValue>,
    pub(crate) tag: EntityTag,
    pub(crate) modified: Option<SystemTime>,
    pub(crate) size: u64,
}

/// A response that may be served again.
#[derive(Debug)]
pub(crate) struct StoredResponse {
    pub(crate) head: Head,
    /// The digest of the object it was made from.
    pub(crate) object: Digest,
    /// The body in pieces, none of them empty.
    pub(crate) pieces: Box<[Bytes]>,
    /// The epoch in which the origin was asked.
    pub(crate) fill_epoch: Epoch,
    pub(crate) stored_at: SystemTime,
    pub(crate) written: Written,
    /// The fields of its last hit, for the next one under the same policy.
    lasting: ArcSwapOption<Lasting>,
}

/// Fields that are the same with each hit under one policy.
#[derive(Debug)]
struct Lasting {
    policy: Arc<Policy>,
    fields: HeaderMap,
}

/// The validators of a response as they are sent: the same with each hit, and
/// dearer to write than to keep.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) tag: HeaderValue,
    pub(crate) modified: Option<HeaderValue>,
}

impl Head {
    /// The head of the page that was made from an object with this head.
    pub(crate) fn as_page(&mut self, bytes: &[u8]) {
        self.size = bytes.len() as u64;
        self.tag.content = Digest::of(bytes).fingerprint();
        // The page changes with its releases, the date of its object does not.
        self.modified = None;
    }
}

impl Written {
    pub(crate) fn of(head: &Head) -> Self {
        Self { tag: head.tag.to_header(), modified: head.modified.map(date::to_header) }
    }
}

impl StoredResponse {
    /// A response that was proven whole, and asked for in `fill_epoch`.
    pub(crate) fn new(
        head: Head,
        object: Digest,
        pieces: Box<[Bytes]>,
        fill_epoch: Epoch,
        stored_at: SystemTime,
    ) -> Self {
        let written = Written::of(&head);
        let lasting = ArcSwapOption::empty();
        Self { head, object, pieces, fill_epoch, stored_at, written, lasting }
    }

    /// Uses the fields of a hit under `policy`, which `make` makes where the
    /// last one was under another.
    pub(crate) fn with_lasting<T>(
        &self,
        policy: &Arc<Policy>,
        make: impl FnOnce() -> HeaderMap,
        using: impl FnOnce(&HeaderMap) -> T,
    ) -> T {
        let known = self.lasting.load();
        if let Some(known) = known.as_ref().filter(|known| Arc::ptr_eq(&known.policy, policy)) {
            return using(&known.fields);
        }
        let made = Lasting { policy: Arc::clone(policy), fields: make() };
        let used = using(&made.fields);
        self.lasting.store(Some(Arc::new(made)));
        used
    }

    /// Time since it was stored; nothing when the clock went back.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.stored_at).unwrap_or_default()
    }

    /// What it costs in memory: no less than its share of the budget, or a
    /// cache that seems to have room would leave none for fills.
    pub(crate) fn weight(&self) -> u64 {
        (self.head.size + ENTRY_BYTES).next_multiple_of(UNIT_BYTES)
    }
}
