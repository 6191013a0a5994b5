//! `Cache-Status` (RFC 9211): what a cache did for one request, as one value.
//!
//! `hit` and `fwd` exclude each other by type, so no answer can claim both.

use std::fmt::{self, Write as _};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The field's name.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Characters of most values; one with all members that there are has more.
const TEXT: usize = 48;

/// Characters of a key that a response shows.
const KEY_MAX: usize = 512;

/// What the cache did for one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CacheStatus {
    /// Where the response came from.
    pub source: Source,
    /// Freshness left in whole seconds; negative when stale (RFC 9211 §2.6).
    pub ttl: Option<i64>,
    /// A word of our own about it (RFC 9211 §2.8); a token.
    pub detail: Option<&'static str>,
}

/// Where a response came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// A stored response; nothing was forwarded.
    Hit,
    /// The origin, now.
    Forwarded {
        /// Why the request went there.
        reason: Forward,
        /// The status of the origin's answer, when there was one.
        status: Option<StatusCode>,
        /// Whether the answer is stored.
        stored: bool,
        /// Whether the request shared another one's forward.
        collapsed: bool,
    },
    /// awning itself: an error, a redirect, a preflight answer.
    Generated,
}

/// Why a request was forwarded (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forward {
    /// The cache is told not to answer such requests.
    Bypass,
    /// The method's semantics require it.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is stored for the URI, but not for these request headers.
    VaryMiss,
    /// The request itself does not allow a stored response.
    Request,
    /// A stored response is no longer fresh.
    Stale,
    /// Only a part of the response is stored, or wanted.
    Partial,
}

impl CacheStatus {
    /// A stored response with this much freshness left.
    pub fn hit(ttl: i64) -> Self {
        Self { source: Source::Hit, ttl: Some(ttl), detail: None }
    }

    /// An answer of awning's own, and why.
    pub fn generated(detail: &'static str) -> Self {
        Self { source: Source::Generated, ttl: None, detail: Some(detail) }
    }

    /// A forward that got an answer of this status.
    pub fn forwarded(reason: Forward, status: Option<StatusCode>) -> Self {
        let source = Source::Forwarded { reason, status, stored: false, collapsed: false };
        Self { source, ttl: None, detail: None }
    }

    /// The value for metrics: one of a closed set of words.
    pub fn label(&self) -> &'static str {
        match &self.source {
            Source::Hit => "hit",
            Source::Forwarded { collapsed: true, .. } => "collapsed",
            Source::Forwarded { reason: Forward::UriMiss | Forward::VaryMiss, .. } => "miss",
            Source::Forwarded { reason: Forward::Stale, .. } => "stale",
            Source::Forwarded { .. } => "bypass",
            Source::Generated => "none",
        }
    }

    /// Adds it to a response as the last member: what caches before this one
    /// said stays (RFC 9211 §2).
    pub fn append_to(&self, response: &mut HeaderMap) {
        response.append(CACHE_STATUS, self.to_header());
    }

    /// The same with the cache key in it (RFC 9211 §2.7), for who debugs.
    /// Characters that no string may hold are left out of the key, and it ends
    /// after 512 of them.
    pub fn append_with_key(&self, response: &mut HeaderMap, key: &str) {
        let mut text = format!("{self}; key=\"");
        for c in key.chars().filter(|c| matches!(c, ' '..='~')).take(KEY_MAX) {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
        let value = HeaderValue::from_str(&text).unwrap_or_else(|_| self.to_header());
        response.append(CACHE_STATUS, value);
    }

    /// The field's value.
    pub fn to_header(&self) -> HeaderValue {
        let mut text = String::with_capacity(TEXT);
        // A string takes whatever is written to it, and this holds tokens and
        // digits only, so it is always a value.
        let written = write!(text, "{self}").ok().and_then(|()| HeaderValue::from_str(&text).ok());
        written.unwrap_or(HeaderValue::from_static("awning"))
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("awning")?;
        match &self.source {
            Source::Hit => f.write_str("; hit")?,
            Source::Forwarded { reason, status, stored, collapsed } => {
                write!(f, "; fwd={reason}")?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={}", status.as_u16())?;
                }
                if *stored {
                    f.write_str("; stored")?;
                }
                if *collapsed {
                    f.write_str("; collapsed")?;
                }
            }
            Source::Generated => {}
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={ttl}")?;
        }
        if let Some(detail) = self.detail {
            write!(f, "; detail={detail}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_renders_as_one_list_member() {
        let stored = CacheStatus {
            source: Source::Forwarded {
                reason: Forward::UriMiss,
                status: Some(StatusCode::OK),
                stored: true,
                collapsed: true,
            },
            ttl: Some(60),
            detail: None,
        };
        let table = [
            (CacheStatus::hit(-3), "awning; hit; ttl=-3", "hit"),
            (
                stored,
                "awning; fwd=uri-miss; fwd-status=200; stored; collapsed; ttl=60",
                "collapsed",
            ),
            (CacheStatus::forwarded(Forward::Bypass, None), "awning; fwd=bypass", "bypass"),
            (CacheStatus::forwarded(Forward::Stale, None), "awning; fwd=stale", "stale"),
            (CacheStatus::generated("preflight"), "awning; detail=preflight", "none"),
        ];
        for (status, expected, label) in table {
            assert_eq!(status.to_header(), expected);
            assert_eq!(status.label(), label, "{expected}");
        }
    }

    #[test]
    fn what_other_caches_said_stays_before_it() {
        let mut response = HeaderMap::new();
        response.append(CACHE_STATUS, HeaderValue::from_static("inner; fwd=uri-miss"));
        CacheStatus::hit(5).append_to(&mut response);
        CacheStatus::hit(6).append_with_key(&mut response, "a\"b\\c\n\u{e9}");
        let lines: Vec<_> = response.get_all(CACHE_STATUS).into_iter().collect();
        let key = r#"awning; hit; ttl=6; key="a\"b\\c""#;
        assert_eq!(lines, ["inner; fwd=uri-miss", "awning; hit; ttl=5", key]);
        // All of them together are one list of a structured field.
        for line in lines {
            assert!(sfv::Parser::new(line.as_bytes()).parse::<sfv::List>().is_ok());
        }
        let mut response = HeaderMap::new();
        CacheStatus::hit(5).append_with_key(&mut response, &"k".repeat(2 * KEY_MAX));
        assert!(response[CACHE_STATUS].len() < KEY_MAX + 50);
    }
}
