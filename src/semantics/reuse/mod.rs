//! Whether a stored response may answer a request now (RFC 9111 §4, §4.2.4,
//! §5.2.1; RFC 5861; RFC 8246).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use super::cache_status::Forward;
use super::directives::{MaxStale, RequestDirectives, ResponseDirectives, Scope};
use super::freshness::{Exchange, Freshness, is_heuristic};

/// What a stored response allows. Made when it is stored or freshened, and
/// asked for every request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// What the response wants.
    pub directives: ResponseDirectives,
    /// Its age and lifetime.
    pub freshness: Freshness,
}

/// Whether a stored response may answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reuse {
    /// As it is.
    Fresh,
    /// After it was validated, or for one of these excuses, or (RFC 9111
    /// §4.2.4) because the origin cannot be reached.
    Stale {
        /// Why it should be validated: it is stale, or the request wants it.
        reason: Forward,
        /// Why it may be used all the same.
        excuses: Excuses,
    },
    /// After it was validated, and never otherwise.
    MustRevalidate {
        /// Why it must be validated.
        reason: Forward,
    },
}

/// Why a response that should be validated may be used all the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Excuses {
    /// It may answer now, and be validated behind (RFC 5861 §3).
    pub while_revalidate: bool,
    /// It may answer if the origin fails: 500, 502, 503, 504, or no response
    /// at all (RFC 5861 §4).
    pub if_error: bool,
    /// The request accepts it as stale as it is (RFC 9111 §5.2.1.2).
    pub max_stale: bool,
}

impl Terms {
    /// What a response allows, as it was received. What a rule gives it by
    /// `default` is for what succeeded or moved for good: a failure must not
    /// last because nobody said how long (RFC 9111 §4.2.2).
    pub fn of(
        status: StatusCode,
        headers: &HeaderMap,
        default: Option<&ResponseDirectives>,
        exchange: Exchange,
    ) -> Self {
        let lasts = is_heuristic(status) && (status.is_success() || status.is_redirection());
        let directives = ResponseDirectives::with_default(headers, default.filter(|_| lasts));
        let freshness = Freshness::of(status, headers, &directives, exchange);
        Self { directives, freshness }
    }

    /// Whether the response may answer a request with these directives.
    pub fn reuse(&self, request: &RequestDirectives, now: SystemTime) -> Reuse {
        let fresh = self.freshness.is_fresh(now);
        if self.directives.no_cache == Scope::All {
            return Reuse::MustRevalidate { reason: Forward::Stale };
        }
        if fresh && self.satisfies(request, now) {
            return Reuse::Fresh;
        }
        let reason = if fresh { Forward::Request } else { Forward::Stale };
        if !fresh && self.directives.forbids_stale() {
            return Reuse::MustRevalidate { reason };
        }
        Reuse::Stale { reason, excuses: self.excuses(request, now) }
    }

    /// For how long after its lifetime the response may still be of use for an
    /// excuse of its own.
    pub fn grace(&self) -> Duration {
        let windows = [self.directives.stale_while_revalidate, self.directives.stale_if_error];
        let longest = windows.into_iter().flatten().max().unwrap_or_default();
        if self.directives.forbids_stale() { Duration::ZERO } else { longest }
    }

    /// Whether a fresh response is what the request wants (§5.2.1).
    fn satisfies(&self, request: &RequestDirectives, now: SystemTime) -> bool {
        // A reload by max-age is no sign that an immutable response needs to
        // be validated; no-cache is one (RFC 8246 §2).
        let young = self.directives.immutable
            || request.max_age.is_none_or(|limit| self.freshness.age(now) <= limit);
        let lasting = request.min_fresh.is_none_or(|least| self.freshness.left(now) >= least);
        !request.no_cache && young && lasting
    }

    /// Excuses last from the end of freshness, side by side. They speak for a
    /// response that is stale; what the request refuses for another reason has
    /// only the excuse that the origin fails.
    fn excuses(&self, request: &RequestDirectives, now: SystemTime) -> Excuses {
        let staleness = self.freshness.staleness(now);
        let within = |window: Option<Duration>| window.is_some_and(|window| staleness <= window);
        let wanted = !request.no_cache
            && request.min_fresh.is_none()
            && request.max_age.is_none_or(|limit| self.freshness.age(now) <= limit);
        let accepted = match request.max_stale {
            Some(MaxStale::Any) => true,
            Some(MaxStale::Within(limit)) => staleness <= limit,
            None => false,
        };
        let if_error = within(self.directives.stale_if_error) || within(request.stale_if_error);
        Excuses {
            while_revalidate: wanted && within(self.directives.stale_while_revalidate),
            if_error: if_error || self.freshness.is_fresh(now),
            max_stale: wanted && accepted,
        }
    }
}

impl Reuse {
    /// Why the request is forwarded, when it is (RFC 9211 §2.2).
    pub fn reason(self) -> Option<Forward> {
        match self {
            Self::Fresh => None,
            Self::Stale { reason, .. } | Self::MustRevalidate { reason } => Some(reason),
        }
    }

    /// Whether the response may answer without waiting for the origin.
    pub fn answers_now(self) -> bool {
        match self {
            Self::Fresh => true,
            Self::Stale { excuses, .. } => excuses.while_revalidate || excuses.max_stale,
            Self::MustRevalidate { .. } => false,
        }
    }

    /// Whether the response may answer when the origin gave none at all
    /// (RFC 9111 §4.2.4: disconnected).
    pub fn answers_disconnected(self) -> bool {
        !matches!(self, Self::MustRevalidate { .. })
    }

    /// Whether the response may answer in place of one with this status
    /// (RFC 5861 §4).
    pub fn answers_instead_of(self, status: StatusCode) -> bool {
        let failed = matches!(status.as_u16(), 500 | 502 | 503 | 504);
        match self {
            Self::Stale { excuses, .. } => failed && excuses.if_error,
            Self::Fresh | Self::MustRevalidate { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
