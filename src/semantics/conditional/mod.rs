//! Preconditions of requests, evaluated by a cache against a stored response
//! of an upstream whose validators mean nothing to it (RFC 9110 §13,
//! RFC 9111 §4.3.2).
//!
//! For awning's own tags see [`super::validator`].

use std::time::{Duration, SystemTime};

use http::header::{
    CONTENT_LOCATION, DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::date;

/// How much younger than the last change a response must be, so that its date
/// tells the two apart (RFC 9110 §8.8.2.2).
const DATE_IS_STRONG_AFTER: Duration = Duration::from_secs(1);

/// What the preconditions of a GET or HEAD request come to at a cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// Only the origin can tell: the condition holds for another
    /// representation than the stored one, if for any (`If-Match`,
    /// `If-Unmodified-Since`).
    AskOrigin,
}

/// An entity tag, with its quotes. Tags without quotes, which some origins
/// send, are taken as they are, as weak ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tag<'a> {
    opaque: &'a [u8],
    weak: bool,
}

impl<'a> Tag<'a> {
    /// The tag of a response.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let tag = headers.get(ETAG)?.as_bytes().trim_ascii();
        let (weak, opaque) = match tag.strip_prefix(b"W/") {
            Some(opaque) => (true, opaque),
            None => (false, tag),
        };
        let quoted = opaque.len() > 1 && opaque.starts_with(b"\"") && opaque.ends_with(b"\"");
        (!opaque.is_empty()).then_some(Self { opaque, weak: weak || !quoted })
    }

    /// The tag without its weakness, with its quotes if it has any.
    pub fn opaque(&self) -> &'a [u8] {
        self.opaque
    }

    /// Whether it changes with every byte (RFC 9110 §8.8.1).
    pub fn is_strong(&self) -> bool {
        !self.weak
    }

    /// Strong comparison (RFC 9110 §8.8.3.2).
    pub fn is_strongly(&self, other: &Tag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Weak comparison (RFC 9110 §8.8.3.2).
    pub fn is_weakly(&self, other: &Tag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// Evaluates the preconditions of a request against a stored response, in the
/// order of RFC 9110 §13.2.2.
///
/// They count only for a success (§13.2.1). `received` is when the response was
/// stored or last freshened.
pub fn evaluate(
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
    received: SystemTime,
) -> Outcome {
    if !status.is_success() {
        return Outcome::Proceed;
    }
    if !origin_conditions_hold(request, stored) {
        return Outcome::AskOrigin;
    }
    let holds = if request.contains_key(IF_NONE_MATCH) {
        none_matches(request, stored)
    } else {
        is_modified(request, stored, received)
    };
    if holds { Outcome::Proceed } else { Outcome::NotModified }
}

/// Whether `If-Range` allows a part of the stored response: its validator must
/// be the same and strong (RFC 9110 §13.1.5). A request without it does.
pub fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let Some(field) = request.get(IF_RANGE) else { return true };
    let given = field.as_bytes().trim_ascii();
    if given.starts_with(b"\"") || given.starts_with(b"W/") {
        let own = Tag::of(stored);
        return own.is_some_and(|own| own.is_strong() && own.opaque == given);
    }
    let given = date::field(request, &IF_RANGE);
    given.is_some() && given == strong_date(stored)
}

/// The `Last-Modified` of a response, if it changes with every byte: if the
/// response was made at least a second later (RFC 9110 §8.8.2.2).
pub fn strong_date(stored: &HeaderMap) -> Option<SystemTime> {
    let modified = date::field(stored, &LAST_MODIFIED)?;
    let made = date::field(stored, &DATE)?;
    let later = made.duration_since(modified).ok()?;
    (later >= DATE_IS_STRONG_AFTER).then_some(modified)
}

/// The fields of a 304 made from a stored response (RFC 9110 §15.4.5): all but
/// those that describe the content, which the client has. `Last-Modified`
/// stays where it is the only validator.
pub fn not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let tagged = stored.contains_key(ETAG);
    let kept = |name: &HeaderName| {
        let of_content = name.as_str().starts_with("content-")
            && !name.as_str().starts_with("content-security-policy")
            && *name != CONTENT_LOCATION;
        let spare = tagged && *name == LAST_MODIFIED;
        !of_content && !spare
    };
    let fields = stored.iter().filter(|(name, _)| kept(name));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `If-Match` and `If-Unmodified-Since`, which are for the origin (RFC 9111
/// §4.3.2): a fresh response that meets them answers as well as the origin.
fn origin_conditions_hold(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if request.contains_key(IF_MATCH) {
        let own = Tag::of(stored);
        return given_tags(request, &IF_MATCH).any(|given| match given {
            Given::Any => true,
            Given::Tag(given) => own.is_some_and(|own| own.is_strongly(&given)),
        });
    }
    if !request.contains_key(IF_UNMODIFIED_SINCE) {
        return true;
    }
    // A date that is not one is ignored (RFC 9110 §13.1.4).
    let Some(since) = date::field(request, &IF_UNMODIFIED_SINCE) else { return true };
    date::field(stored, &LAST_MODIFIED).is_some_and(|modified| modified <= since)
}

/// `If-None-Match`, compared weakly (RFC 9110 §13.1.2).
fn none_matches(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let own = Tag::of(stored);
    !given_tags(request, &IF_NONE_MATCH).any(|given| match given {
        Given::Any => true,
        Given::Tag(given) => own.is_some_and(|own| own.is_weakly(&given)),
    })
}

/// `If-Modified-Since` (RFC 9110 §13.1.3), against the time of the last
/// change, else of generation, else of receipt (RFC 9111 §4.3.2).
fn is_modified(request: &HeaderMap, stored: &HeaderMap, received: SystemTime) -> bool {
    let Some(since) = date::field(request, &IF_MODIFIED_SINCE) else { return true };
    let changed = date::field(stored, &LAST_MODIFIED).or_else(|| date::field(stored, &DATE));
    changed.unwrap_or(received) > since
}

/// One member of `If-Match` or `If-None-Match`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Given<'a> {
    /// `*`.
    Any,
    /// A tag.
    Tag(Tag<'a>),
}

/// The members of all `If-Match` or `If-None-Match` fields of a request.
pub(super) fn given_tags<'a>(
    request: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Given<'a>> {
    let lines = request.get_all(name).into_iter();
    lines.flat_map(|line| {
        let mut rest = line.as_bytes();
        std::iter::from_fn(move || {
            while let [b' ' | b'\t' | b',', after @ ..] = rest {
                rest = after;
            }
            let (given, after) = first_given(rest)?;
            rest = after;
            Some(given)
        })
    })
}

/// The member that a list begins with, and what is behind it. Commas may be
/// part of a tag, quotes may not.
fn first_given(list: &[u8]) -> Option<(Given<'_>, &[u8])> {
    let (weak, tag) = match list.strip_prefix(b"W/") {
        Some(tag) => (true, tag),
        None => (false, list),
    };
    let until = |end: u8, from: &[u8]| from.iter().position(|byte| *byte == end);
    let (quoted, length) = match tag.strip_prefix(b"\"").map(|inner| until(b'"', inner)) {
        Some(Some(inner)) => (true, inner + 2),
        // A tag without quotes, or with one that is never closed.
        _ => (false, until(b',', tag).unwrap_or(tag.len())),
    };
    let (opaque, after) = tag.split_at_checked(length)?;
    match opaque.trim_ascii() {
        b"" => None,
        b"*" if !weak => Some((Given::Any, after)),
        opaque => Some((Given::Tag(Tag { opaque, weak: weak || !quoted }), after)),
    }
}

#[cfg(test)]
mod tests;
