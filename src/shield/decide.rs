//! What to do about a request, from what is known: pure, `now` is an argument.

use std::sync::Arc;
use std::time::SystemTime;

use super::cache::{Known, StoredResponse, Why};
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
        // What was asked for too early is there once a release lists it.
        Known::Refused(Why::Absent { listed: false }) if wanted.published.is_some() => {
            return Decision::Fetch(Forward::UriMiss);
        }
        Known::Refused(Why::Absent { .. }) => return Decision::Refuse(Fault::NotFound),
        Known::Refused(Why::Failed(fault)) => return Decision::Refuse(fault),
        Known::Stored(stored) => stored,
    };
    if !wanted.is(&stored) {
        return Decision::Fetch(Forward::UriMiss);
    }
    if stored.age(now) >= IMMUTABLE {
        return Decision::Fetch(Forward::Stale);
    }
    Decision::Serve(stored)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::HeaderValue;

    use super::*;
    use crate::asset::{AssetPath, Digest, ObjectKey};
    use crate::semantics::validator::EntityTag;
    use crate::shield::cache::{Epoch, Head};
    use crate::shield::wanted::Published;

    fn wanted(digest: Option<Digest>) -> Wanted {
        let path = AssetPath::parse("a.abcdefghijklmn23.css").unwrap();
        let published = digest.map(|digest| Published {
            digest,
            size: 0,
            content: digest.fingerprint(),
            content_type: HeaderValue::from_static("text/css"),
        });
        Wanted { published, ..Wanted::unlisted(ObjectKey::of_public_name(&path)) }
    }

    fn stored(object: Digest) -> Known {
        let head = Head {
            content_type: HeaderValue::from_static("text/css"),
            content_encoding: None,
            content_disposition: None,
            content_language: None,
            tag: EntityTag { content: object.fingerprint(), coding: None },
            modified: None,
            size: 0,
        };
        let (pieces, fill_epoch, stored_at) = (Box::default(), Epoch::default(), UNIX_EPOCH);
        let stored = StoredResponse::new(head, object, pieces, fill_epoch, stored_at);
        Known::Stored(Arc::new(stored))
    }

    fn absent(listed: bool) -> Known {
        Known::Refused(Why::Absent { listed })
    }

    #[test]
    fn each_state_of_the_cache_has_its_decision() {
        let (right, other) = (Digest::of(b"right"), Digest::of(b"other"));
        let year = UNIX_EPOCH + IMMUTABLE;
        let second = Duration::from_secs(1);
        let table = [
            (Known::Nothing, None, year, "fetch uri-miss"),
            (absent(true), Some(right), year, "refuse absent"),
            (absent(true), None, year, "refuse absent"),
            (absent(false), None, year, "refuse absent"),
            (absent(false), Some(right), year, "fetch uri-miss"),
            (Known::Refused(Why::Failed(Fault::Timeout)), Some(right), year, "refuse timeout"),
            (Known::Refused(Why::Failed(Fault::Corrupt)), None, year, "refuse corrupt"),
            (stored(right), Some(right), year - second, "serve"),
            (stored(right), None, UNIX_EPOCH, "serve"),
            (stored(right), Some(right), UNIX_EPOCH - second, "serve"),
            (stored(right), Some(right), year, "fetch stale"),
            (stored(other), Some(right), UNIX_EPOCH, "fetch uri-miss"),
        ];
        for (known, digest, now, expected) in table {
            let decided = match decide(known, &wanted(digest), now) {
                Decision::Serve(_) => "serve".to_owned(),
                Decision::Fetch(reason) => format!("fetch {reason}"),
                Decision::Refuse(fault) => format!("refuse {}", fault.name()),
            };
            assert_eq!(decided, expected);
        }
    }
}
