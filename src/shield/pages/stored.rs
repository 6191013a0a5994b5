//! Stored responses of an upstream: never modified. Freshening makes a new one
//! that shares the body.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::semantics::freshness::Exchange;
use crate::semantics::partial::{ContentRange, belong_together};
use crate::semantics::reuse::Terms;
use crate::semantics::vary::{Selection, Vary};
use crate::shield::cache::{ENTRY_BYTES, Epoch, Epochs, Reservation};

/// Variants of one URI that are kept side by side. The oldest goes.
pub(crate) const VARIANTS_MAX: usize = 32;

/// What is known of a response besides its body.
#[derive(Clone, Debug)]
pub(crate) struct PageHead {
    pub(crate) status: StatusCode,
    /// The fields that are stored, those for caches among them.
    pub(crate) fields: HeaderMap,
    pub(crate) vary: Vary,
    pub(crate) selection: Selection,
    /// The part of the representation that it is; `None` for the whole.
    pub(crate) part: Option<ContentRange>,
    pub(crate) terms: Terms,
    pub(crate) exchange: Exchange,
    pub(crate) fill_epoch: Epoch,
    /// The turn in which the upstream was asked, among all requests and
    /// changes of this shield.
    pub(crate) turn: u64,
}

/// A response that may be served again, its references as the upstream wrote
/// them.
#[derive(Clone, Debug)]
pub(crate) struct StoredPage {
    pub(crate) head: PageHead,
    pub(crate) pieces: Arc<[Bytes]>,
    pub(crate) size: u64,
    /// What it takes of the budget, its body included.
    pub(crate) cost: u64,
    /// The share of the budget for what is not body.
    pub(crate) _share: Arc<Reservation>,
}

/// The stored responses for one URI, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Variants {
    pub(crate) kept: Vec<Arc<StoredPage>>,
    /// Leads to those on disk; another one to none that are there now.
    pub(crate) generation: u64,
    /// Bytes of the key.
    pub(crate) overhead: u64,
}

impl StoredPage {
    /// The same body with other fields.
    pub(crate) fn with(&self, head: PageHead) -> Self {
        Self { head, ..self.clone() }
    }

    /// Whether it answers requests of this selection.
    pub(crate) fn answers(&self, request: &HeaderMap, epochs: &Epochs) -> bool {
        epochs.usable(self.head.fill_epoch) && self.head.vary.select(request) == self.head.selection
    }

    /// When it was stored or last freshened.
    pub(crate) fn received(&self) -> SystemTime {
        self.head.exchange.received
    }
}

impl PageHead {
    /// Bytes that the fields take.
    pub(crate) fn bytes(&self) -> u64 {
        let fields = self.fields.iter();
        let bytes = fields.map(|(name, value)| name.as_str().len() + value.len());
        (bytes.sum::<usize>() + self.selection.as_str().len()) as u64
    }

    /// Whether both answer the same requests.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.vary == other.vary && self.selection == other.selection
    }

    /// Whether one takes the place of the other, which answers the same requests.
    fn replaces(&self, other: &Self) -> bool {
        self.is_beside(other)
            && match (self.part, other.part) {
                (None, _) => true,
                // The whole is better than parts.
                (Some(_), None) => false,
                (Some(part), Some(old)) => {
                    let within = part.first <= old.first && old.last <= part.last;
                    within || !belong_together(&self.fields, &other.fields)
                }
            }
    }
}

impl Variants {
    /// These with one more. `None` when it came too late: after a response that
    /// was asked for later.
    pub(crate) fn with(&self, page: Arc<StoredPage>) -> Option<Self> {
        let overtaken = |other: &Arc<StoredPage>| {
            let asked = |head: &PageHead| (head.fill_epoch, head.turn);
            page.head.replaces(&other.head) && asked(&other.head) > asked(&page.head)
        };
        if self.kept.iter().any(overtaken) {
            return None;
        }
        let others = self.kept.iter().filter(|other| !page.head.replaces(&other.head)).cloned();
        let kept = std::iter::once(Arc::clone(&page)).chain(others).take(VARIANTS_MAX).collect();
        Some(Self { kept, ..*self })
    }

    /// These without one.
    pub(crate) fn without(&self, page: &Arc<StoredPage>) -> Self {
        let kept = self.kept.iter().filter(|other| !Arc::ptr_eq(other, page)).cloned();
        Self { kept: kept.collect(), ..*self }
    }

    /// What they cost in memory.
    pub(crate) fn weight(&self) -> u64 {
        let costs: u64 = self.kept.iter().map(|page| page.cost).sum();
        costs + ENTRY_BYTES + self.overhead
    }
}
