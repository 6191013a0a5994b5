//! How old a stored response is, and for how long it is fresh (RFC 9111 §4.2).
//!
//! Computed once, when a response is stored or freshened; afterwards only the
//! time since its receipt matters. Nothing here reads a clock.

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::date;
use super::directives::{DELTA_MAX, ResponseDirectives};
use super::field;

/// The longest lifetime that is guessed from `Last-Modified`: a day. What the
/// origin did not promise should not outlive the day's deployment.
pub const HEURISTIC_MAX: Duration = Duration::from_secs(86_400);

/// The part of the time since the last change that is taken for a lifetime:
/// a tenth (RFC 9111 §4.2.2).
const HEURISTIC_DIVISOR: u32 = 10;

/// When a request was sent, and when the head of its response was received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// The instant at which the request was sent.
    pub requested: SystemTime,
    /// The instant at which the response began.
    pub received: SystemTime,
}

/// The age and the lifetime of a stored response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Freshness {
    /// How long it is fresh, counted from its generation by the origin.
    pub lifetime: Duration,
    /// How old it was when it was received (`corrected_initial_age`, §4.2.3).
    pub initial_age: Duration,
    /// When that was.
    pub received: SystemTime,
    /// What the lifetime rests on.
    pub basis: Basis,
}

/// What a lifetime rests on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// The `s-maxage` directive.
    SharedMaxAge,
    /// The `max-age` directive.
    MaxAge,
    /// The `Expires` field.
    Expires,
    /// The time since the last change (§4.2.2).
    Heuristic,
    /// Nothing: the response was never fresh.
    Nothing,
}

impl Basis {
    /// The word for it, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::SharedMaxAge => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::Heuristic => "heuristic",
            Self::Nothing => "nothing",
        }
    }
}

impl Freshness {
    /// The freshness of a response as it was received.
    pub fn of(
        status: StatusCode,
        headers: &HeaderMap,
        directives: &ResponseDirectives,
        exchange: Exchange,
    ) -> Self {
        // A date that is missing or unreadable is the time of receipt
        // (RFC 9110 §6.6.1).
        let date = date::field(headers, &DATE).unwrap_or(exchange.received);
        let (lifetime, basis) = lifetime(status, headers, directives, date);
        let initial_age = initial_age(headers, date, exchange);
        Self { lifetime, initial_age, received: exchange.received, basis }
    }

    /// `current_age` (§4.2.3). A clock that went back does not make younger.
    pub fn age(&self, now: SystemTime) -> Duration {
        let resident = now.duration_since(self.received).unwrap_or_default();
        self.initial_age.saturating_add(resident)
    }

    /// Whether it is fresh: its lifetime exceeds its age (§4.2).
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.lifetime > self.age(now)
    }

    /// How long ago it became stale; zero while it is fresh.
    pub fn staleness(&self, now: SystemTime) -> Duration {
        self.age(now).saturating_sub(self.lifetime)
    }

    /// The freshness left.
    pub fn left(&self, now: SystemTime) -> Duration {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// The freshness left in whole seconds, negative when stale: the `ttl` of
    /// `Cache-Status` (RFC 9211 §2.6).
    pub fn ttl(&self, now: SystemTime) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime).saturating_sub(seconds(self.age(now)))
    }

    /// The `Age` field of an answer made from it, in whole seconds (§5.1).
    pub fn age_field(&self, now: SystemTime) -> HeaderValue {
        HeaderValue::from(self.age(now).min(DELTA_MAX).as_secs())
    }

    /// Whether the origin, or a rule in its place, gave the lifetime.
    pub fn is_explicit(&self) -> bool {
        matches!(self.basis, Basis::SharedMaxAge | Basis::MaxAge | Basis::Expires)
    }
}

/// `freshness_lifetime` for a shared cache, in the order of §4.2.1.
fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    date: SystemTime,
) -> (Duration, Basis) {
    if let Some(lifetime) = directives.s_maxage {
        return (lifetime, Basis::SharedMaxAge);
    }
    if let Some(lifetime) = directives.max_age {
        return (lifetime, Basis::MaxAge);
    }
    if directives.leaves_expires() && headers.contains_key(EXPIRES) {
        // What is no date, and what is there twice, is in the past (§5.3).
        let expires = date::field(headers, &EXPIRES).unwrap_or(date);
        return (expires.duration_since(date).unwrap_or_default(), Basis::Expires);
    }
    let guessed = (directives.public || is_heuristic(status))
        .then(|| date::field(headers, &LAST_MODIFIED))
        .flatten()
        .and_then(|modified| date.duration_since(modified).ok());
    match guessed {
        Some(unchanged) => ((unchanged / HEURISTIC_DIVISOR).min(HEURISTIC_MAX), Basis::Heuristic),
        None => (Duration::ZERO, Basis::Nothing),
    }
}

/// Whether responses of this status may be given a lifetime that nobody
/// promised (RFC 9110 §15.1).
pub fn is_heuristic(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// `corrected_initial_age` (§4.2.3).
fn initial_age(headers: &HeaderMap, date: SystemTime, exchange: Exchange) -> Duration {
    let received = exchange.received;
    // A date has no fractions, so neither has what is measured against it.
    let apparent = received.duration_since(date).unwrap_or_default().as_secs();
    let delay = received.duration_since(exchange.requested).unwrap_or_default();
    Duration::from_secs(apparent).max(age_value(headers).saturating_add(delay))
}

/// The `Age` of the response: the first value of all, if it is a whole number
/// (§5.1). One that is not is ignored; one past all counting is very old.
fn age_value(headers: &HeaderMap) -> Duration {
    let first = field::members(headers, &AGE).next();
    first.and_then(|value| super::directives::delta_seconds(&value)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
