//! One request on its way to an upstream, and what of the answer is stored.

use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, SET_COOKIE, TRAILER, TRANSFER_ENCODING,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body::Body as _;
use url::Url;

use super::key::PageKey;
use super::parts::Gap;
use super::stored::PageHead;
use crate::semantics::directives::{ResponseDirectives, Scope};
use crate::semantics::freshness::Exchange;
use crate::semantics::partial::ContentRange;
use crate::semantics::reuse::Terms;
use crate::semantics::storable::{Candidate, Unstorable, may_store, stored_fields};
use crate::semantics::vary::Vary;
use crate::shield::body::ResponseBody;
use crate::shield::cache::Epoch;
use crate::shield::origin::storefront::{Asked, Storefront, is_event_stream};

/// Fields by which a request wants less than a whole answer.
pub(crate) const CONDITIONS: [HeaderName; 6] =
    [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE];

/// Fields that select variants whatever `Vary` says. By those of htmx an
/// upstream answers with a part of a page: it has the URI of the page, and few
/// upstreams tell. By those of a trusted proxy it makes its links. What the
/// address bar shows, `HX-Current-URL`, is not among them: it would make a
/// variant for every page that a visitor comes from.
const SELECTING: [HeaderName; 10] = [
    HeaderName::from_static("hx-boosted"),
    HeaderName::from_static("hx-history-restore-request"),
    HeaderName::from_static("hx-prompt"),
    HeaderName::from_static("hx-request"),
    HeaderName::from_static("hx-target"),
    HeaderName::from_static("hx-trigger"),
    HeaderName::from_static("hx-trigger-name"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-server"),
];

/// A request as it is forwarded.
#[derive(Clone, Debug)]
pub(crate) struct Sortie {
    pub(crate) storefront: Storefront,
    pub(crate) asked: Asked,
    pub(crate) key: PageKey,
    /// The URI that the visitor asked for.
    pub(crate) target: Url,
    /// The fields as they are forwarded, conditions included.
    pub(crate) forwarded: HeaderMap,
    /// What the site's rules say of the path.
    pub(crate) rule: Option<ResponseDirectives>,
    /// Whether a response that sets a cookie is stored.
    pub(crate) stores_cookies: bool,
    /// The part of what is stored whose rest alone may be asked for.
    pub(crate) gap: Option<Gap>,
    pub(crate) epoch: Epoch,
    pub(crate) turn: u64,
}

impl Sortie {
    /// The fields of a request for the whole, without a body.
    pub(crate) fn unconditional(&self) -> HeaderMap {
        let mut fields = self.forwarded.clone();
        for name in CONDITIONS.iter().chain([&CONTENT_LENGTH]) {
            fields.remove(name);
        }
        fields
    }

    /// Whether a 304 speaks to one visitor alone, so that what it says must not
    /// be merged into a response that others get.
    pub(crate) fn is_personal(&self, not_modified: &HeaderMap) -> bool {
        let cookie = !self.stores_cookies && not_modified.contains_key(SET_COOKIE);
        let private = ResponseDirectives::of(not_modified).private == Scope::All;
        // Nor what says that nobody can tell whom it is for.
        cookie || private || Vary::of(not_modified).is_err()
    }

    /// What is to be stored of a response, or why nothing is.
    pub(crate) fn storable(
        &self,
        response: &Parts,
        body: &ResponseBody,
        exchange: Exchange,
    ) -> Result<PageHead, &'static str> {
        let headers = &response.headers;
        let terms = Terms::of(response.status, headers, self.rule.as_ref(), exchange);
        may_store(&Candidate {
            method: &self.asked.method,
            target: &self.target,
            request: &self.forwarded,
            status: response.status,
            response: headers,
            directives: &terms.directives,
            freshness: &terms.freshness,
        })
        .map_err(Unstorable::word)?;
        let framed =
            headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH);
        match () {
            () if !self.stores_cookies && headers.contains_key(SET_COOKIE) => Err("set-cookie"),
            // That such a body is whole is known to nobody.
            () if !framed && !body.is_end_stream() => Err("close-delimited"),
            () if headers.contains_key(TRAILER) => Err("trailers"),
            () if is_event_stream(headers) => Err("event-stream"),
            () => Ok(self.head(response.status, headers, terms, exchange)),
        }
    }

    /// The head of a stored response, with the fields that are stored.
    pub(crate) fn head(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        terms: Terms,
        exchange: Exchange,
    ) -> PageHead {
        let fields = stored_fields(headers, &terms.directives, exchange.received);
        // Those that cannot be read are refused before.
        let mut vary = Vary::of(headers).unwrap_or_default().and(SELECTING);
        // Many upstreams code without saying that they chose to.
        if headers.contains_key(CONTENT_ENCODING) {
            vary = vary.and([ACCEPT_ENCODING]);
        }
        let partial = status == StatusCode::PARTIAL_CONTENT;
        PageHead {
            status,
            fields,
            selection: vary.select(&self.forwarded),
            vary,
            part: partial.then(|| ContentRange::of(headers)).flatten(),
            terms,
            exchange,
            fill_epoch: self.epoch,
            turn: self.turn,
        }
    }
}

/// The length that a response announces.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
