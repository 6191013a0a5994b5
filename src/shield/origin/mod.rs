//! The origins as the shield sees them, and what a visitor may learn of their
//! failures.

mod backoff;
mod breaker;
pub(crate) mod bucket;
pub(crate) mod calls;
mod guard;
pub mod storefront;

use http::StatusCode;

use crate::store::{StoreError, StoreErrorKind};

/// Why an origin did not give what it was asked for. A closed set: a visitor
/// learns one of these words and nothing of the cause, which is logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Fault {
    /// The origin has no such thing.
    #[error("the origin has no such object")]
    NotFound,
    /// The origin has lost what a release says it has.
    #[error("the origin has lost an object of a release")]
    Lost,
    /// The origin cannot be reached, refused, or broke off.
    #[error("the origin is unavailable")]
    Unavailable,
    /// The origin took too long.
    #[error("the origin took too long")]
    Timeout,
    /// The shield itself has too much to do.
    #[error("there is too much to do")]
    Overloaded,
    /// The origin asks to be left alone for a while.
    #[error("the origin has too much to do")]
    Throttled,
    /// The origin failed again and again, and is not asked for the moment.
    #[error("the origin is down")]
    Down,
    /// The origin answers, and does not give this: the key lacks a capability,
    /// or the store cannot do what it is asked. It is not down for that.
    #[error("the origin refused")]
    Denied,
    /// What the origin sent is not what was published.
    #[error("the origin sent other bytes than were published")]
    Corrupt,
}

impl Fault {
    /// Whether the origin itself, when it was asked for a thing, failed to give
    /// it: then it is not asked for that thing again for a moment.
    pub(crate) fn is_of_origin(self) -> bool {
        matches!(
            self,
            Fault::Unavailable | Fault::Timeout | Fault::Throttled | Fault::Denied | Fault::Corrupt
        )
    }

    /// The status that a visitor gets.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::Lost | Fault::Unavailable | Fault::Denied | Fault::Corrupt => {
                StatusCode::BAD_GATEWAY
            }
            Fault::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Fault::Overloaded | Fault::Throttled | Fault::Down => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word for `Cache-Status` and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::NotFound => "absent",
            Fault::Lost => "lost",
            Fault::Timeout => "timeout",
            Fault::Overloaded => "overloaded",
            Fault::Throttled => "throttled",
            Fault::Down => "down",
            // What a key may do is nobody's business but the log's.
            Fault::Unavailable | Fault::Denied => "unavailable",
            Fault::Corrupt => "corrupt",
        }
    }
}

impl From<&StoreError> for Fault {
    fn from(error: &StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::NotFound => Fault::NotFound,
            StoreErrorKind::Throttled => Fault::Throttled,
            StoreErrorKind::Denied | StoreErrorKind::Rejected => Fault::Denied,
            StoreErrorKind::Corrupt => Fault::Corrupt,
            _ => Fault::Unavailable,
        }
    }
}
