//! A request that goes to the upstream for itself alone: other methods, parts,
//! conditions, and what is known not to be shared.

use std::sync::Arc;

use http::{Method, Response, StatusCode};

use super::key::PageKey;
use super::reply::Visit;
use super::sortie::{Sortie, length};
use super::stored::StoredPage;
use super::tee::Kept;
use super::{Pages, Stale, excuses, forwarded};
use crate::semantics::cache_status::Forward;
use crate::semantics::directives::RequestDirectives;
use crate::semantics::freshen::head_agrees;
use crate::semantics::freshness::Exchange;
use crate::semantics::unsafe_method::{is_safe, makes_unusable};
use crate::shield::body::{RequestBody, ResponseBody};
use crate::shield::deliver::Delivered;
use crate::shield::origin::storefront::StorefrontError;
use http_body_util::BodyExt as _;
use url::Position;

impl Pages {
    /// Forwards a request as it is. `stores`: what it brings may be stored.
    pub(super) async fn direct(
        self: &Arc<Self>,
        visit: Visit,
        mut sortie: Sortie,
        body: RequestBody,
        reason: Forward,
        stale: Stale,
        stores: bool,
    ) -> Result<Delivered, StorefrontError> {
        (sortie.epoch, sortie.turn) = (self.cache.epochs.current(), self.shelf.turn());
        let requested = self.clock.now();
        let answered = sortie.storefront.ask(&sortie.asked, visit.forwarded.clone(), body).await;
        let received = self.clock.now();
        let response = match (answered, stale) {
            (Ok(response), Some((page, reuse))) if reuse.answers_instead_of(response.status()) => {
                return Ok(excused(visit, &page, reason, Some(response.status()), received));
            }
            (Ok(response), _) => response,
            (Err(error), stale) => {
                self.note_error(&sortie, &error);
                return match stale.filter(|(page, reuse)| excuses(error.fault(), page, *reuse)) {
                    Some((page, _)) => Ok(excused(visit, &page, reason, None, received)),
                    None => Err(error),
                };
            }
        };
        let exchange = Exchange { requested, received };
        let unusable = unusable_keys(&sortie, &response);
        if !unusable.is_empty() {
            self.make_unusable(&unusable).await;
            // What it brings itself is of after the change.
            sortie.turn = self.shelf.turn();
        }
        if stores {
            return Ok(self.pass(visit, &sortie, response, exchange, reason));
        }
        let (parts, body) = response.into_parts();
        let status = forwarded(reason, Some(parts.status), false, false, None, None);
        Ok(visit.answer(parts.status, &parts.headers, body, status))
    }

    /// Passes on an answer that is one client's, and stores it while it passes.
    pub(super) fn pass(
        self: &Arc<Self>,
        visit: Visit,
        sortie: &Sortie,
        response: Response<ResponseBody>,
        exchange: Exchange,
        reason: Forward,
    ) -> Delivered {
        let (parts, body) = response.into_parts();
        self.learn(&visit, sortie, &parts, exchange);
        let (mut body, mut stored, mut detail, mut ttl) = (body, false, None, None);
        match sortie.storable(&parts, &body, exchange) {
            Ok(head) => {
                ttl = Some(head.terms.freshness.ttl(exchange.received));
                match Kept::new(self, sortie, head, length(&parts.headers), body) {
                    Ok(kept) => (body, stored) = (kept.boxed_unsync(), true),
                    Err(passed) => (body, detail) = (passed, Some("no-room")),
                }
            }
            Err(word) => detail = Some(word),
        }
        let status = forwarded(reason, Some(parts.status), stored, false, ttl, detail);
        visit.answer(parts.status, &parts.headers, body, status)
    }

    /// Remembers that the upstream failed, if it was that.
    pub(super) fn note_error(&self, sortie: &Sortie, error: &StorefrontError) {
        let of_upstream =
            matches!(error, StorefrontError::Unreachable(_) | StorefrontError::TimedOut);
        if of_upstream && is_safe(&sortie.asked.method) {
            self.shelf.note_failed(sortie, error.fault(), self.clock.now());
        }
    }

    /// Makes unusable what is stored for these URIs.
    async fn make_unusable(&self, keys: &[PageKey]) {
        let known: Vec<_> =
            keys.iter().map(|key| self.shelf.empty(key, self.clock.now())).collect();
        // Before the answer: who has it may count on what it means.
        for (key, known) in keys.iter().zip(known) {
            self.shelf.forget_saved(key, known, self.clock.now()).await;
        }
    }

    /// What the answer to this request says about what is stored.
    fn learn(
        &self,
        visit: &Visit,
        sortie: &Sortie,
        response: &http::response::Parts,
        exchange: Exchange,
    ) {
        if sortie.is_personal(&response.headers)
            || RequestDirectives::of(&sortie.forwarded).no_store
        {
            return;
        }
        let found = self.shelf.find(&sortie.key, &visit.forwarded);
        let Some(page) = found.page else { return };
        if response.status == StatusCode::NOT_MODIFIED && visit.method == Method::GET {
            self.freshen(sortie, &page, &response.headers, exchange);
        } else if visit.method == Method::HEAD && response.status == page.head.status {
            // RFC 9111 §4.3.5.
            match head_agrees(&page.head.fields, &response.headers) {
                Some(true) => drop(self.freshened(sortie, &page, &response.headers, exchange)),
                Some(false) => self.shelf.forget(&sortie.key, &page),
                None => {}
            }
        }
    }
}

/// What a request that may change things makes unusable (RFC 9111 §4.4).
fn unusable_keys(sortie: &Sortie, response: &Response<ResponseBody>) -> Vec<PageKey> {
    let (method, target) = (&sortie.asked.method, &sortie.target);
    let unusable = makes_unusable(method, target, response.status(), response.headers());
    if unusable.is_empty() {
        return Vec::new();
    }
    let targets = unusable.iter().map(|uri| &uri[Position::BeforePath..Position::AfterQuery]);
    let mut keys = vec![sortie.key.clone()];
    keys.extend(targets.map(|target| sortie.key.sibling(target)));
    keys.dedup();
    keys
}

fn excused(
    visit: Visit,
    page: &Arc<StoredPage>,
    reason: Forward,
    code: Option<StatusCode>,
    now: std::time::SystemTime,
) -> Delivered {
    let ttl = Some(page.head.terms.freshness.ttl(now));
    visit.reply(page, forwarded(reason, code, false, false, ttl, Some("stale-if-error")), now)
}
