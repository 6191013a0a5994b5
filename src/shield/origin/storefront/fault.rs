//! Why an upstream gave no response, and the answer that says so.

use http::{Response, StatusCode};

use crate::semantics::cache_status::{CacheStatus, Forward};
use crate::shield::body::{BoxError, ResponseBody};
use crate::shield::origin::Fault;
use crate::shield::respond::neutral;

/// An upstream gave no response that can be passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorefrontError {
    /// No connection, or it broke before the response began.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] BoxError),
    /// The response did not begin in time.
    #[error("the upstream does not answer in time")]
    TimedOut,
    /// The visitor's body broke off, or it stood still.
    #[error("the request's body broke off")]
    Request(#[source] BoxError),
    /// As many requests as it may get are at the upstream already.
    #[error("the upstream has too many requests")]
    Busy,
    /// It failed again and again, and is not asked for the moment.
    #[error("the upstream is down")]
    Down,
    /// The request went through this shield before (RFC 8586).
    #[error("the request goes in circles")]
    Loop,
    /// The response is not one to this request.
    #[error("the upstream's response does not fit the request")]
    Unfitting,
}

impl StorefrontError {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) | Self::Unfitting => StatusCode::BAD_GATEWAY,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::Down => StatusCode::SERVICE_UNAVAILABLE,
            Self::Loop => StatusCode::LOOP_DETECTED,
        }
    }

    /// The word for it in metrics and in `Cache-Status`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "upstream-unreachable",
            Self::TimedOut => "upstream-timeout",
            Self::Request(_) => "body-broken",
            Self::Busy => "upstream-busy",
            Self::Down => "upstream-down",
            Self::Loop => "loop",
            Self::Unfitting => "upstream-unfitting",
        }
    }

    /// The failure as those hear of it who share a flight.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::TimedOut => Fault::Timeout,
            Self::Busy => Fault::Overloaded,
            Self::Down => Fault::Down,
            _ => Fault::Unavailable,
        }
    }

    /// What the answer says of itself.
    pub(crate) fn cache_status(&self) -> CacheStatus {
        match self {
            Self::Loop | Self::Down => CacheStatus::generated(self.reason()),
            _ => CacheStatus {
                detail: Some(self.reason()),
                ..CacheStatus::forwarded(Forward::Bypass, None)
            },
        }
    }

    /// The answer: small and neutral, because htmx 4 swaps it into the page.
    pub fn response(&self) -> Response<ResponseBody> {
        neutral(self.status(), &self.cache_status())
    }
}
