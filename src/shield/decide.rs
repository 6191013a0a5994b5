//! What to do about a request, from what is known: pure, `now` is an argument.

use std::sync::Arc;
use std::time::SystemTime;

use super::cache::{Known, StoredResponse};
use super::origin::Fault;
use super::wanted::{IMMUTABLE, Wanted};
use crate::semantics::cache_status::Forward;

/// What to do about a request.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Answer with what is stored.
    Serve(Arc<StoredResponse>),
    /// Ask the origin, and why.
    Fetch(Forward),
    /// Answer that there is nothing to be had.
    Refuse(Fault),
}

/// Decides about a request for `wanted`.
///
/// What is stored for an object whose digest is not the one that the manifest
/// names was damaged or replaced in the bucket; it is fetched again and checked.
pub(crate) fn decide(known: Known, wanted: &Wanted, now: SystemTime) -> Decision {
    let stored = match known {
        Known::Nothing => return Decision::Fetch(Forward::UriMiss),
        Known::Absent => return Decision::Refuse(Fault::NotFound),
        Known::Stored(stored) => stored,
    };
    let published = wanted.published.as_ref();
    if published.is_some_and(|published| published.digest != stored.object) {
        return Decision::Fetch(Forward::UriMiss);
    }
    if stored.age(now) >= IMMUTABLE {
        return Decision::Fetch(Forward::Stale);
    }
    Decision::Serve(stored)
}
