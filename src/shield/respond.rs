//! From what was found to a response: preconditions, ranges and header fields.
//!
//! Error bodies are a few fixed words. Nothing of the request is repeated.

use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, AGE, ALLOW, CACHE_CONTROL,
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
    RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::body::{ResponseBody, empty, full};
use super::cache::{Head, Written};
use super::multipart::Multipart;
use super::origin::Fault;
use super::request::GatedRequest;
use super::wanted::Policy;
use crate::asset::media;
use crate::semantics::cache_status::{CACHE_STATUS, CacheStatus, Forward};
use crate::semantics::range::{Selection, Span, select};
use crate::semantics::validator::{EntityTag, Precondition, evaluate, if_range_holds};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Fields of most answers, so that their map need not grow.
const FIELDS: usize = 16;

/// Lets an SVG draw itself, and any document do nothing else.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// What is sent of a representation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// 304: the client holds the content under this tag.
    NotModified(EntityTag),
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
    /// All of it.
    Whole,
    /// From the first offset to the last, both included.
    Part(u64, u64),
    /// Several parts, in this order.
    Parts(Vec<Span>),
}

/// An answer with a representation, but for its bytes.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) request: &'a GatedRequest,
    pub(crate) policy: &'a Policy,
    pub(crate) head: &'a Head,
    /// The validators of the head, if they are at hand as they are sent.
    pub(crate) written: Option<&'a Written>,
    pub(crate) status: CacheStatus,
    /// Time in the cache, for answers that come from there.
    pub(crate) age: Option<Duration>,
}

/// What a request asks for of a representation (RFC 9110 §13.2.2 and §14.2).
/// Conditions and ranges are about successful answers only.
pub(crate) fn delivery(request: &GatedRequest, policy: &Policy, head: &Head) -> Delivery {
    if policy.status != StatusCode::OK {
        return Delivery::Whole;
    }
    match evaluate(&request.headers, &head.tag, head.modified) {
        Precondition::NotModified(tag) => return Delivery::NotModified(tag),
        Precondition::Failed => return Delivery::PreconditionFailed,
        Precondition::Proceed => {}
    }
    // HEAD has no range (§14.2).
    let range = field(&request.headers, &RANGE).filter(|_| request.method == Method::GET);
    match range.filter(|_| may_be_partial(request, policy, head)) {
        Some(range) => match select(range, head.size) {
            Selection::Whole => Delivery::Whole,
            Selection::Part(first, last) => Delivery::Part(first, last),
            Selection::Parts(spans) => Delivery::Parts(spans),
            Selection::Unsatisfiable => Delivery::Unsatisfiable,
        },
        None => Delivery::Whole,
    }
}

/// Whether `If-Range`, if there is one, allows a part.
///
/// A date tells versions apart only where the name never changes its meaning
/// and has no codings: objects that are uploaded in one second share it, so
/// elsewhere it is weak (RFC 9110 §8.8.1 and §8.8.2.2).
fn may_be_partial(request: &GatedRequest, policy: &Policy, head: &Head) -> bool {
    if !request.headers.contains_key(IF_RANGE) {
        return true;
    }
    let dated = head.modified.filter(|_| policy.ages && !policy.varies);
    field(&request.headers, &IF_RANGE).is_some_and(|given| if_range_holds(given, &head.tag, dated))
}

/// The text of a field that may stand once. What stands more often has no
/// meaning that its sender and we could agree on.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let text = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(text)
}

impl Answer<'_> {
    /// The response. `body` is asked only for bytes that are sent, from the
    /// first and the last offset, both included, and `None` when there is none;
    /// once for each of several parts.
    pub(crate) fn respond(
        &self,
        delivery: Delivery,
        mut body: impl FnMut(Option<Span>) -> ResponseBody,
    ) -> Response<ResponseBody> {
        match delivery {
            Delivery::NotModified(tag) => self.not_modified(&tag),
            Delivery::PreconditionFailed => self.refuse(StatusCode::PRECONDITION_FAILED),
            Delivery::Unsatisfiable => {
                let mut response = self.refuse(StatusCode::RANGE_NOT_SATISFIABLE);
                let range = format!("bytes */{}", self.head.size);
                put_text(response.headers_mut(), CONTENT_RANGE, &range);
                response
            }
            Delivery::Whole => self.content(self.policy.status, self.whole(), body),
            Delivery::Part(first, last) => {
                let mut response =
                    self.content(StatusCode::PARTIAL_CONTENT, Some((first, last)), body);
                let range = format!("bytes {first}-{last}/{}", self.head.size);
                put_text(response.headers_mut(), CONTENT_RANGE, &range);
                response
            }
            Delivery::Parts(spans) => self.parts(&spans, |span| body(Some(span))),
        }
    }

    /// Several parts. Their type is that of each part, and the coding stays
    /// with the whole: it is of the representation (RFC 9110 §15.3.7.2).
    fn parts(
        &self,
        spans: &[Span],
        part: impl FnMut(Span) -> ResponseBody,
    ) -> Response<ResponseBody> {
        let mut response = self.content(StatusCode::PARTIAL_CONTENT, None, |_| empty());
        let (tag, headers) = (self.head.tag.to_string(), response.headers_mut());
        let content_type = headers.get(CONTENT_TYPE);
        let multipart = Multipart::of(&tag, content_type, self.head.size, spans);
        headers.insert(CONTENT_TYPE, multipart.content_type());
        headers.insert(CONTENT_LENGTH, HeaderValue::from(multipart.length()));
        *response.body_mut() = multipart.into_body(part);
        response
    }

    fn content(
        &self,
        status: StatusCode,
        range: Option<Span>,
        body: impl FnOnce(Option<Span>) -> ResponseBody,
    ) -> Response<ResponseBody> {
        let length = range.map_or(0, |(first, last)| last - first + 1);
        self.with_fields(status, self.fields(length), range, body)
    }

    /// The fields of the whole answer, with places for those of the moment, so
    /// that a copy need not grow.
    pub(crate) fn lasting(&self) -> HeaderMap {
        self.fields(self.head.size)
    }

    /// The whole, with a copy of the fields that last.
    pub(crate) fn respond_with(
        &self,
        lasting: &HeaderMap,
        body: impl FnOnce(Option<Span>) -> ResponseBody,
    ) -> Response<ResponseBody> {
        let mut fields = lasting.clone();
        self.put_moment(&mut fields);
        self.with_fields(self.policy.status, fields, self.whole(), body)
    }

    /// All bytes that there are; `None` when there is none.
    fn whole(&self) -> Option<Span> {
        self.head.size.checked_sub(1).map(|last| (0, last))
    }

    fn fields(&self, length: u64) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(FIELDS);
        self.put_policy(&mut fields);
        self.put_moment(&mut fields);
        self.put_representation(&mut fields);
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        fields
    }

    fn with_fields(
        &self,
        status: StatusCode,
        fields: HeaderMap,
        range: Option<Span>,
        body: impl FnOnce(Option<Span>) -> ResponseBody,
    ) -> Response<ResponseBody> {
        let is_head = self.request.method == Method::HEAD;
        let mut response = Response::new(if is_head { empty() } else { body(range) });
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        response
    }

    fn not_modified(&self, tag: &EntityTag) -> Response<ResponseBody> {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        self.put_policy(response.headers_mut());
        self.put_moment(response.headers_mut());
        response.headers_mut().insert(ETAG, tag.to_header());
        response
    }

    fn refuse(&self, status: StatusCode) -> Response<ResponseBody> {
        let mut response = neutral(status, &self.status);
        if self.policy.cross_origin {
            put_cross_origin(response.headers_mut());
        }
        if self.policy.varies {
            response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        response
    }

    /// Fields that depend on the name that was asked for.
    fn put_policy(&self, headers: &mut HeaderMap) {
        if self.policy.cross_origin {
            put_cross_origin(headers);
        }
        // A rule may narrow who may read, and nothing that follows.
        for (name, value) in self.policy.fields.iter().flat_map(|fields| &fields.others) {
            headers.insert(name, value.clone());
        }
        headers.insert(CACHE_CONTROL, self.policy.cache_control.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.policy.varies {
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
    }

    /// Fields that are of this answer alone.
    fn put_moment(&self, headers: &mut HeaderMap) {
        headers.insert(CACHE_STATUS, self.status.to_header());
        if let Some(age) = self.age {
            let seconds = if self.policy.ages { age.as_secs() } else { 0 };
            headers.insert(AGE, HeaderValue::from(seconds));
        }
    }

    /// Fields that belong to the bytes.
    fn put_representation(&self, headers: &mut HeaderMap) {
        let head = self.head;
        if let Some(coding) = &head.content_encoding {
            headers.insert(CONTENT_ENCODING, coding.clone());
        }
        let content_type = match &self.policy.fields {
            Some(fields) => {
                headers.extend(fields.content.iter().cloned());
                &fields.content_type
            }
            None => {
                put_stored(headers, head);
                &head.content_type
            }
        };
        headers.insert(CONTENT_TYPE, content_type.clone());
        if self.policy.status == StatusCode::OK {
            let written = self.written.cloned().unwrap_or_else(|| Written::of(head));
            headers.insert(ETAG, written.tag);
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            if let Some(modified) = written.modified {
                headers.insert(LAST_MODIFIED, modified);
            }
        }
        let active = content_type.to_str().is_ok_and(media::is_active);
        if self.policy.sandbox && active {
            // Beside one that a rule set: browsers keep to both.
            headers.append(CONTENT_SECURITY_POLICY, SANDBOX);
        }
    }
}

/// Fields that the bucket answered with an object of no release at hand.
fn put_stored(headers: &mut HeaderMap, head: &Head) {
    let stored = [
        (CONTENT_DISPOSITION, &head.content_disposition),
        (CONTENT_LANGUAGE, &head.content_language),
    ];
    for (name, value) in stored {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
}

/// A failure of an origin.
pub(crate) fn fault(
    fault: Fault,
    forwarded: Option<Forward>,
) -> (Response<ResponseBody>, CacheStatus) {
    let absent = matches!(fault, Fault::NotFound | Fault::Lost);
    let answered = absent.then_some(StatusCode::NOT_FOUND);
    let status = match forwarded {
        Some(reason) => {
            CacheStatus { detail: Some(fault.name()), ..CacheStatus::forwarded(reason, answered) }
        }
        // Nothing was asked: the absence itself was remembered.
        None if absent => {
            CacheStatus { ttl: None, detail: Some(fault.name()), ..CacheStatus::hit(0) }
        }
        // A failure that was remembered, or an origin that is left alone.
        None => CacheStatus::generated(fault.name()),
    };
    (neutral(fault.status(), &status), status)
}

/// An answer of awning's own, with a few neutral words as its body.
pub(crate) fn neutral(status: StatusCode, cache: &CacheStatus) -> Response<ResponseBody> {
    let words = status.canonical_reason().unwrap_or("Error");
    let mut response = Response::new(full(format!("{words}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CACHE_STATUS, cache.to_header());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, METHODS);
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from(1));
        }
        _ => {}
    }
    response
}

/// A redirect to a path of the same host.
pub(crate) fn redirect(location: HeaderValue, cache: &CacheStatus) -> Response<ResponseBody> {
    let mut response = neutral(StatusCode::PERMANENT_REDIRECT, cache);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    headers.insert(LOCATION, location);
    response
}

/// The answer to `OPTIONS`, a CORS preflight among them.
pub(crate) fn options(cross_origin: bool, cache: &CacheStatus) -> Response<ResponseBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(CACHE_STATUS, cache.to_header());
    if cross_origin {
        put_cross_origin(headers);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(86_400));
    }
    response
}

/// Lets other origins see what is said. Without it a failure, too, looks to
/// their scripts like a refusal to say anything.
pub(crate) fn put_cross_origin(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
}

/// Puts a field whose text is made of what headers may hold.
fn put_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
