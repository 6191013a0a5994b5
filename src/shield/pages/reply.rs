//! Answers made of stored responses: conditions and ranges are evaluated
//! against what the upstream sent, and its page is rewritten on the way out.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream;
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::fill::{Arriving, OpenedPage, Upstreamed};
use super::stored::{PageHead, StoredPage};
use crate::semantics::cache_status::CacheStatus;
use crate::semantics::conditional::{Outcome, evaluate, if_range_holds, not_modified_fields};
use crate::semantics::directives::RequestDirectives;
use crate::semantics::partial::ContentRange;
use crate::semantics::range::{Selection, select};
use crate::semantics::reuse::Reuse;
use crate::shield::body::{BoxError, ResponseBody, empty};
use crate::shield::deliver::Delivered;
use crate::shield::flight::Flight;
use crate::shield::origin::storefront::fields::to_visitor;
use crate::shield::page::PageOf;
use crate::shield::pass_on;

/// What an answer depends on besides what is stored.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) method: Method,
    /// The fields as they are forwarded.
    pub(crate) forwarded: http::HeaderMap,
    /// The rewriting of the answer, if it is a page.
    pub(crate) page: Option<PageOf>,
}

impl Visit {
    /// An answer with these fields of an upstream.
    pub(crate) fn answer(
        self,
        code: StatusCode,
        fields: &HeaderMap,
        body: ResponseBody,
        status: CacheStatus,
    ) -> Delivered {
        let mut response = Response::new(body);
        *response.status_mut() = code;
        *response.headers_mut() = to_visitor(fields, &status);
        let response = match self.page {
            Some(page) => page.apply(response),
            None => response,
        };
        (response, status)
    }

    /// Whether a response that another request brought may answer this one: a
    /// stored one must be fresh for that, and so must one that is shared before
    /// it is stored (RFC 9111 §4).
    pub(crate) fn may_share(
        &self,
        head: &PageHead,
        wants: &RequestDirectives,
        now: SystemTime,
    ) -> bool {
        let selected = head.vary.select(&self.forwarded) == head.selection;
        selected && head.terms.reuse(wants, now) == Reuse::Fresh
    }

    /// An answer made of a stored response.
    pub(crate) fn reply(
        self,
        page: &StoredPage,
        status: CacheStatus,
        now: SystemTime,
    ) -> Delivered {
        self.reply_with(page, None, status, now)
    }

    /// The same with the fields that the upstream `sent`, of which some may not
    /// be stored, to the request that it sent them for.
    pub(crate) fn reply_with(
        self,
        page: &StoredPage,
        sent: Option<&HeaderMap>,
        status: CacheStatus,
        now: SystemTime,
    ) -> Delivered {
        let head = &page.head;
        let outcome = evaluate(&self.forwarded, head.status, &head.fields, page.received());
        let age = head.terms.freshness.age_field(now);
        if outcome == Outcome::AskOrigin {
            return self.failed_precondition(status);
        }
        if outcome == Outcome::NotModified {
            let mut fields = not_modified_fields(&head.fields);
            fields.insert(AGE, age);
            return self.answer(StatusCode::NOT_MODIFIED, &fields, empty(), status);
        }
        let mut fields = sent.unwrap_or(&head.fields).clone();
        fields.insert(AGE, age);
        let whole = (0, page.size.saturating_sub(1));
        let (code, span) = match self.range(page) {
            Ranged::Whole => (head.status, whole),
            Ranged::Part(part, span) => {
                fields.insert(CONTENT_RANGE, part.to_header());
                fields.insert(CONTENT_LENGTH, HeaderValue::from(part.length()));
                (StatusCode::PARTIAL_CONTENT, span)
            }
            Ranged::Nothing => {
                fields.remove(CONTENT_LENGTH);
                let text = format!("bytes */{}", page.size);
                if let Ok(range) = HeaderValue::from_str(&text) {
                    fields.insert(CONTENT_RANGE, range);
                }
                return self.answer(StatusCode::RANGE_NOT_SATISFIABLE, &fields, empty(), status);
            }
        };
        let has_content = !matches!(head.status.as_u16(), 204 | 205 | 304);
        if has_content {
            fields.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(page.size));
        }
        let body = match self.method == Method::HEAD || page.size == 0 {
            true => empty(),
            false => pass_on::pieces(&page.pieces, span.0, span.1),
        };
        self.answer(code, &fields, body, status)
    }

    /// The origin was asked, and what it has is not what the request is about
    /// (RFC 9110 §13.2.2).
    fn failed_precondition(self, status: CacheStatus) -> Delivered {
        self.answer(StatusCode::PRECONDITION_FAILED, &HeaderMap::new(), empty(), status)
    }

    /// An answer whose body still arrives. `leads`: it is the one that was
    /// asked for; others get what is stored of it.
    pub(crate) fn arriving(
        self,
        arriving: &Arriving,
        flight: Flight<Upstreamed>,
        leads: bool,
        status: CacheStatus,
        now: SystemTime,
    ) -> Delivered {
        let head = &arriving.head;
        let received = head.exchange.received;
        let mut fields = if leads { arriving.sent.clone() } else { head.fields.clone() };
        if !leads {
            fields.insert(AGE, head.terms.freshness.age_field(now));
        }
        let outcome = evaluate(&self.forwarded, head.status, &head.fields, received);
        if outcome == Outcome::AskOrigin {
            return self.failed_precondition(status);
        }
        if outcome == Outcome::NotModified {
            let fields = not_modified_fields(&fields);
            return self.answer(StatusCode::NOT_MODIFIED, &fields, empty(), status);
        }
        let body = match arriving.length {
            Some(0) => empty(),
            _ => following(flight),
        };
        self.answer(head.status, &fields, body, status)
    }

    /// An answer that nobody shares.
    pub(crate) fn opened(self, opened: OpenedPage, status: CacheStatus) -> Delivered {
        let outcome = evaluate(
            &self.forwarded,
            opened.parts.status,
            &opened.parts.headers,
            SystemTime::UNIX_EPOCH,
        );
        if outcome == Outcome::NotModified && opened.parts.headers.contains_key(http::header::ETAG)
        {
            let fields = not_modified_fields(&opened.parts.headers);
            return self.answer(StatusCode::NOT_MODIFIED, &fields, empty(), status);
        }
        self.answer(opened.parts.status, &opened.parts.headers, opened.body, status)
    }

    /// Whether the answer is rewritten if it has these fields.
    pub(crate) fn rewrites(&self, fields: &HeaderMap) -> bool {
        let html = fields.get(CONTENT_TYPE).is_some_and(|media| {
            media.as_bytes().get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
        });
        self.page.is_some() && html
    }

    /// Which bytes of a stored response are wanted.
    pub(crate) fn range(&self, page: &StoredPage) -> Ranged {
        let head = &page.head;
        let field = self.forwarded.get(RANGE).and_then(|field| field.to_str().ok());
        let ranged = self.method == Method::GET
            && matches!(head.status.as_u16(), 200 | 206)
            && if_range_holds(&self.forwarded, &head.fields);
        let Some(field) = field.filter(|_| ranged) else { return Ranged::Whole };
        // The bytes of a page are others once it is rewritten.
        if self.rewrites(&head.fields) {
            return Ranged::Whole;
        }
        let (start, complete) = match head.part {
            Some(part) => (part.first, part.complete),
            None => (0, Some(page.size)),
        };
        match select(field, complete.unwrap_or(u64::MAX)) {
            Selection::Part(first, last) => {
                match (first.checked_sub(start), last.checked_sub(start)) {
                    (Some(from), Some(to)) if to < page.size => {
                        Ranged::Part(ContentRange { first, last, complete }, (from, to))
                    }
                    _ => Ranged::Whole,
                }
            }
            Selection::Unsatisfiable if head.part.is_none() => Ranged::Nothing,
            _ => Ranged::Whole,
        }
    }
}

/// Which bytes of a stored response are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ranged {
    /// All that are stored.
    Whole,
    /// A part, and where it is in what is stored.
    Part(ContentRange, (u64, u64)),
    /// None that exist.
    Nothing,
}

/// The bytes of a body that still arrives.
fn following(flight: Flight<Upstreamed>) -> ResponseBody {
    enum Source {
        Flight(Flight<Upstreamed>, usize),
        Rest(Option<Bytes>, ResponseBody),
    }
    let start = Source::Flight(flight, 0);
    let frames = stream::try_unfold(start, async |source| {
        let (first, mut body) = match source {
            Source::Flight(mut flight, index) => match flight.piece(index).await? {
                Some(piece) => {
                    return Ok(Some((Frame::data(piece), Source::Flight(flight, index + 1))));
                }
                None => match flight.rest()? {
                    Some(opened) => (opened.first, opened.body),
                    None => return Ok(None),
                },
            },
            Source::Rest(first, body) => (first, body),
        };
        if let Some(first) = first {
            return Ok(Some((Frame::data(first), Source::Rest(None, body))));
        }
        match body.frame().await {
            Some(frame) => Ok(Some((frame?, Source::Rest(None, body)))),
            None => Ok(None),
        }
    });
    use futures_util::TryStreamExt as _;
    StreamBody::new(frames.map_err(|error: BoxError| error)).boxed_unsync()
}
