//! Pages of an upstream: which responses have their references rewritten, and
//! what becomes of the fields that describe their bytes.
//!
//! Whatever is not plainly a whole HTML page in a known form passes as it is;
//! the original URLs in it still work.

mod base;
mod body;

mod validator;

use std::sync::Arc;

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED,
};
use http::response::Parts;
use http::{HeaderName, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;

pub(crate) use validator::Translated;

use self::base::Base;
use self::body::Rewritten;
use super::GatedRequest;
use super::body::ResponseBody;
use super::metrics::Metrics;
use crate::rewrite::{HtmlRewriter, Limits, Resolver};

/// Fields that describe bytes which are about to change.
const OF_OTHER_BYTES: [HeaderName; 7] = [
    ACCEPT_RANGES,
    CONTENT_LENGTH,
    LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// What `Sec-Fetch-Dest` says of requests whose answer is shown as a page, or
/// may be by a script.
const PAGE_DESTINATIONS: [&str; 6] = ["document", "embed", "empty", "frame", "iframe", "object"];

/// What the pages of a site are rewritten with: one release for a whole page.
#[derive(Clone)]
pub struct Rewriting {
    /// Knows which references are ours.
    pub resolver: Arc<dyn Resolver>,
    /// Names the release in validators: letters, digits and `-` only.
    pub release: String,
}

impl std::fmt::Debug for Rewriting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rewriting").field("release", &self.release).finish_non_exhaustive()
    }
}

/// Why a response passes as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unfit {
    /// It is no HTML; not counted, for nobody expects it to be rewritten.
    NoHtml,
    Status,
    Coding,
    NoTransform,
    Attachment,
}

impl Unfit {
    fn reason(self) -> Option<&'static str> {
        match self {
            Unfit::NoHtml => None,
            Unfit::Status => Some("status"),
            Unfit::Coding => Some("coding"),
            Unfit::NoTransform => Some("no-transform"),
            Unfit::Attachment => Some("attachment"),
        }
    }
}

/// The rewriting of the response to one request.
#[derive(Debug)]
pub(crate) struct PageOf {
    base: Option<Base>,
    translated: Translated,
    rewriting: Rewriting,
    metrics: Arc<Metrics>,
}

impl PageOf {
    /// Prepares for the response to `request`. `None` when it cannot be a page.
    pub(crate) fn expected(
        request: &GatedRequest,
        rewriting: Rewriting,
        metrics: &Arc<Metrics>,
    ) -> Option<Self> {
        if !may_be_page(request) {
            return None;
        }
        Some(Self {
            base: Base::of(request),
            translated: Translated::of(&request.headers, &rewriting.release),
            rewriting,
            metrics: Arc::clone(metrics),
        })
    }

    /// What the upstream is asked to compare its page with.
    pub(crate) fn translated(&self) -> &Translated {
        &self.translated
    }

    /// Rewrites `response` if it is a page.
    pub(crate) fn apply(self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let (mut parts, body) = response.into_parts();
        if parts.status == StatusCode::NOT_MODIFIED {
            if self.translated.restore(&mut parts.headers) {
                self.base.iter().for_each(|base| base.put_vary(&mut parts.headers));
            }
            return Response::from_parts(parts, body);
        }
        if let Err(unfit) = fitness(&parts) {
            if let Some(reason) = unfit.reason() {
                count_skipped(&self.metrics, reason);
            }
            return Response::from_parts(parts, body);
        }
        let Some(base) = self.base else { return Response::from_parts(parts, body) };
        redress(&mut parts.headers, &self.rewriting.release);
        base.put_vary(&mut parts.headers);
        // The answer to `HEAD` has the fields of the page, and no body.
        if body.is_end_stream() {
            return Response::from_parts(parts, body);
        }
        let resolver = base.restrict(self.rewriting.resolver);
        let mut rewriter = HtmlRewriter::new(&base.url, resolver, Limits::standard());
        for policy in parts.headers.get_all(CONTENT_SECURITY_POLICY) {
            rewriter = rewriter.under_policy(&String::from_utf8_lossy(policy.as_bytes()));
        }
        let content_type = text(&parts.headers, &CONTENT_TYPE).map(str::to_owned);
        let body = Rewritten::new(body, rewriter, content_type, self.metrics);
        Response::from_parts(parts, body.boxed_unsync())
    }
}

/// Whether the answer to `request` could be a page, so that it must be asked
/// for in a form that can be rewritten.
fn may_be_page(request: &GatedRequest) -> bool {
    let destination = text(&request.headers, &HeaderName::from_static("sec-fetch-dest"));
    let page = destination.is_none_or(|destination| PAGE_DESTINATIONS.contains(&destination));
    page && matches!(request.method, Method::GET | Method::HEAD)
}

fn fitness(response: &Parts) -> Result<(), Unfit> {
    let headers = &response.headers;
    let media_type = text(headers, &CONTENT_TYPE).and_then(|value| value.split(';').next());
    if !media_type.is_some_and(|media| media.trim().eq_ignore_ascii_case("text/html")) {
        return Err(Unfit::NoHtml);
    }
    if matches!(response.status.as_u16(), 100..=199 | 204 | 205 | 206 | 304) {
        return Err(Unfit::Status);
    }
    // `identity` should not be sent, but means that there is none (RFC 9110 §8.4.1).
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        return Err(Unfit::Coding);
    }
    if mentions(headers, &CACHE_CONTROL, "no-transform") {
        return Err(Unfit::NoTransform);
    }
    if mentions(headers, &CONTENT_DISPOSITION, "attachment") {
        return Err(Unfit::Attachment);
    }
    Ok(())
}

/// The fields of the page as it leaves, with its references rewritten.
fn redress(headers: &mut HeaderMap, release: &str) {
    for name in &OF_OTHER_BYTES {
        headers.remove(name);
    }
    let tag = headers.get(ETAG).and_then(|tag| validator::own(tag.as_bytes(), release));
    match tag {
        Some(tag) => drop(headers.insert(ETAG, tag)),
        None => drop(headers.remove(ETAG)),
    }
}

/// Whether a list-valued field has this element, parameters aside.
fn mentions(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut elements = lines.flat_map(|line| line.split([',', ';']));
    elements.any(|found| found.trim().eq_ignore_ascii_case(element))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn count_skipped(metrics: &Metrics, reason: &str) {
    metrics.counter("awning_rewrite_skipped_total", &[("reason", reason)]).increment(1);
}

#[cfg(test)]
mod tests;
