//! What to do about a request to an upstream, from what is stored: pure, `now`
//! is an argument.

use std::sync::Arc;
use std::time::SystemTime;

use super::shelf::Found;
use super::stored::StoredPage;
use crate::semantics::cache_status::Forward;
use crate::semantics::directives::RequestDirectives;
use crate::semantics::reuse::Reuse;

/// What to do about a request.
#[derive(Debug)]
pub(crate) enum Choice {
    /// Answer with what is stored.
    Serve(Arc<StoredPage>),
    /// Answer with what is stored although it is stale, and have it validated
    /// behind where that is not what the request itself accepted.
    ServeStale { page: Arc<StoredPage>, behind: bool },
    /// Ask the upstream whether it still holds.
    Validate { page: Arc<StoredPage>, reuse: Reuse, reason: Forward },
    /// Ask the upstream, and why.
    Fetch(Forward),
    /// Answer that nothing stored will do (RFC 9111 §5.2.1.7).
    Refuse,
}

/// Chooses for a request with these directives. `page` is the stored response
/// that could answer it, if there is one.
pub(crate) fn choose(
    page: Option<&Arc<StoredPage>>,
    found: &Found,
    request: &RequestDirectives,
    now: SystemTime,
) -> Choice {
    let Some(page) = page else {
        let partial = found.page.is_none() && !found.parts.is_empty();
        return match request.only_if_cached {
            true => Choice::Refuse,
            false if partial => Choice::Fetch(Forward::Partial),
            false if found.others => Choice::Fetch(Forward::VaryMiss),
            false => Choice::Fetch(Forward::UriMiss),
        };
    };
    let page = Arc::clone(page);
    let reuse = page.head.terms.reuse(request, now);
    match reuse {
        Reuse::Fresh => Choice::Serve(page),
        Reuse::Stale { excuses, .. } if excuses.max_stale => {
            Choice::ServeStale { page, behind: false }
        }
        Reuse::Stale { excuses, .. } if excuses.while_revalidate => {
            Choice::ServeStale { page, behind: true }
        }
        _ if request.only_if_cached => Choice::Refuse,
        Reuse::Stale { reason, .. } | Reuse::MustRevalidate { reason } => {
            Choice::Validate { page, reuse, reason }
        }
    }
}
