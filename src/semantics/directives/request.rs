//! What a request accepts of what is stored (RFC 9111 §5.2.1).

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::syntax::Directive;
use crate::semantics::field;

/// The cache directives of a request. An argument that cannot be read makes
/// its directive void: these are wishes, and one that is not understood is
/// none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestDirectives {
    /// A stored response is wanted only after it was validated (§5.2.1.4), or
    /// `Pragma: no-cache` where there is no `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// Nothing of the exchange may be stored (§5.2.1.5).
    pub no_store: bool,
    /// The content is wanted as it is (§5.2.1.6).
    pub no_transform: bool,
    /// Nothing may be forwarded; 504 where nothing stored will do (§5.2.1.7).
    pub only_if_cached: bool,
    /// The greatest age that is accepted (§5.2.1.1).
    pub max_age: Option<Duration>,
    /// The least freshness that must be left (§5.2.1.3).
    pub min_fresh: Option<Duration>,
    /// How stale a response may be (§5.2.1.2).
    pub max_stale: Option<MaxStale>,
    /// How stale it may be if the origin fails (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// The staleness that a request accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MaxStale {
    /// Any (`max-stale` without an argument).
    Any,
    /// At most this much.
    Within(Duration),
}

impl RequestDirectives {
    /// The directives of a request's header fields.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            for line in headers.get_all(CACHE_CONTROL) {
                let line = String::from_utf8_lossy(line.as_bytes());
                Directive::all(&line).for_each(|directive| found.take(&directive));
            }
        } else {
            let mut pragmas = field::members(headers, &PRAGMA);
            found.no_cache = pragmas.any(|pragma| pragma.eq_ignore_ascii_case("no-cache"));
        }
        found
    }

    /// Of two numbers the stricter counts (RFC 9111 §4.2.1 on conflicts).
    fn take(&mut self, directive: &Directive<'_>) {
        let seconds = directive.seconds().ok();
        let least = |known: Option<Duration>| match (known, seconds) {
            (Some(known), Some(seconds)) => Some(known.min(seconds)),
            (known, seconds) => known.or(seconds),
        };
        match directive.name.as_str() {
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "no-transform" => self.no_transform = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => self.max_age = least(self.max_age),
            "min-fresh" => self.min_fresh = self.min_fresh.max(seconds),
            "max-stale" => self.max_stale = self.stricter(directive),
            "stale-if-error" => self.stale_if_error = least(self.stale_if_error),
            _ => {}
        }
    }

    fn stricter(&self, directive: &Directive<'_>) -> Option<MaxStale> {
        let wanted = match (&directive.argument, directive.seconds()) {
            (None, _) => Some(MaxStale::Any),
            (Some(_), read) => read.ok().map(MaxStale::Within),
        };
        match (self.max_stale, wanted) {
            (Some(MaxStale::Within(known)), Some(MaxStale::Within(new))) => {
                Some(MaxStale::Within(known.min(new)))
            }
            (Some(MaxStale::Any), Some(new)) => Some(new),
            (known, wanted) => known.or(wanted),
        }
    }
}
