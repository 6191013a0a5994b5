//! Whether a shared cache may store a response, and which fields of it
//! (RFC 9111 §3).

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LOCATION, DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

use super::date;
use super::directives::{DecidedBy, RequestDirectives, ResponseDirectives, Scope};
use super::field;
use super::freshness::{Freshness, is_heuristic};
use super::partial::ContentRange;
use super::vary::{Vary, VaryFault};

/// A response, and the request that it answers.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The URI that the request was for.
    pub target: &'a Url,
    /// The request's fields.
    pub request: &'a HeaderMap,
    /// The response's status.
    pub status: StatusCode,
    /// The response's fields, as received.
    pub response: &'a HeaderMap,
    /// The response's directives.
    pub directives: &'a ResponseDirectives,
    /// Its age and lifetime.
    pub freshness: &'a Freshness,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unstorable {
    /// Responses to the method are not for other requests (RFC 9110 §9.2.3).
    Method,
    /// The status is not final, or says something about the request alone.
    Status,
    /// `no-store`, in the request or the response.
    NoStore,
    /// `private`, and the cache is shared.
    Private,
    /// The request had `Authorization`, and nothing allows to share the answer.
    Authorization,
    /// `must-understand`, and the status is unknown.
    MustUnderstand,
    /// A part that does not say which one it is.
    Partial,
    /// `Vary: *`: it fits no other request.
    VaryAny,
    /// `Vary` names more fields than a key may hold.
    VaryTooLong,
    /// Neither a lifetime nor a validator nor an excuse: it could never be used.
    NoFreshness,
}

impl Unstorable {
    /// The word for it: the `detail` of `Cache-Status` (RFC 9211 §2.8).
    pub fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::MustUnderstand => "must-understand",
            Self::Partial => "partial",
            Self::VaryAny => "vary-any",
            Self::VaryTooLong => "vary-too-long",
            Self::NoFreshness => "no-freshness",
        }
    }
}

/// Whether a response may be stored, in the order of RFC 9111 §3.
pub fn may_store(candidate: &Candidate<'_>) -> Result<(), Unstorable> {
    let Candidate { status, directives, .. } = *candidate;
    method_allows(candidate)?;
    if !status_allows(status) {
        return Err(Unstorable::Status);
    }
    if directives.must_understand && !is_understood(status) {
        return Err(Unstorable::MustUnderstand);
    }
    if status == StatusCode::PARTIAL_CONTENT && ContentRange::of(candidate.response).is_none() {
        return Err(Unstorable::Partial);
    }
    // Who understands the status puts must-understand above no-store (§5.2.2.3).
    let forbidden = directives.no_store && !directives.must_understand;
    if forbidden || RequestDirectives::of(candidate.request).no_store {
        return Err(Unstorable::NoStore);
    }
    if directives.private == Scope::All {
        return Err(Unstorable::Private);
    }
    if candidate.request.contains_key(AUTHORIZATION) && !allows_authorized(directives) {
        return Err(Unstorable::Authorization);
    }
    match Vary::of(candidate.response) {
        Ok(_) => {}
        Err(VaryFault::Any) => return Err(Unstorable::VaryAny),
        Err(VaryFault::TooLong) => return Err(Unstorable::VaryTooLong),
    }
    is_of_use(candidate).then_some(()).ok_or(Unstorable::NoFreshness)
}

/// The fields to store of a response: all but those of its connection and those
/// that a qualified `private` or `no-cache` excludes (RFC 9111 §3.1, §5.2.2.4,
/// §5.2.2.7).
///
/// A response without `Date` gets one (RFC 9110 §6.6.1).
pub fn stored_fields(
    response: &HeaderMap,
    directives: &ResponseDirectives,
    received: std::time::SystemTime,
) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(response.len() + 1);
    for (name, value) in response {
        if is_stored(response, directives, name) {
            fields.append(name.clone(), value.clone());
        }
    }
    fields.entry(DATE).or_insert_with(|| date::to_header(received));
    fields
}

/// Whether a field of a response is stored with it.
pub fn is_stored(response: &HeaderMap, directives: &ResponseDirectives, name: &HeaderName) -> bool {
    !field::is_of_connection(response, name)
        && !directives.no_cache.names(name)
        && !directives.private.names(name)
}

/// GET, and a POST that answers what a GET would get (RFC 9110 §9.3.3): with
/// explicit freshness and its own URI as `Content-Location`.
///
/// The response to a HEAD has no content to store; it can only freshen.
fn method_allows(candidate: &Candidate<'_>) -> Result<(), Unstorable> {
    let own_location = || {
        let location = candidate.response.get(CONTENT_LOCATION)?.to_str().ok()?;
        candidate.target.join(location).ok()
    };
    let allowed = match *candidate.method {
        Method::GET => true,
        Method::POST => {
            candidate.freshness.is_explicit() && own_location().as_ref() == Some(candidate.target)
        }
        _ => false,
    };
    allowed.then_some(()).ok_or(Unstorable::Method)
}

/// Final statuses, except those about the conditions and ranges of one request
/// (304, 412, 416) and those that must not be stored (RFC 6585 §3 to §6).
fn status_allows(status: StatusCode) -> bool {
    !status.is_informational()
        && !matches!(status.as_u16(), 304 | 412 | 416 | 428 | 429 | 431 | 511)
}

/// The final statuses of RFC 9110 §15, whose rules for caches are known here.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// RFC 9111 §3.5: the response itself must say so, not a rule in its place.
fn allows_authorized(directives: &ResponseDirectives) -> bool {
    let allows = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    allows && directives.decided_by != DecidedBy::Rule
}

/// Whether the response could answer any later request: §3 wants freshness, a
/// status with heuristic freshness, or `public`; and without a lifetime only a
/// validator or an excuse makes it of use.
fn is_of_use(candidate: &Candidate<'_>) -> bool {
    let Candidate { freshness, directives, response, .. } = candidate;
    let allowed = freshness.is_explicit() || directives.public || is_heuristic(candidate.status);
    let excuse = [directives.stale_while_revalidate, directives.stale_if_error];
    let excused = !directives.forbids_stale()
        && excuse.into_iter().flatten().any(|window| window > Duration::ZERO);
    let fresh = freshness.lifetime > freshness.initial_age && directives.no_cache != Scope::All;
    let validator = response.contains_key(ETAG) || response.contains_key(LAST_MODIFIED);
    allowed && (fresh || validator || excused)
}

#[cfg(test)]
mod tests;
