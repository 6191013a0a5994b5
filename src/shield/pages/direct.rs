//! A request that goes to the upstream for itself alone: other methods, parts,
//! conditions, and what is known not to be shared.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::reply::Visit;
use super::sortie::{Sortie, length};
use super::stored::StoredPage;
use super::tee::Kept;
use super::{Pages, Stale, forwarded, stands_in};
use crate::semantics::cache_status::Forward;
use crate::semantics::directives::RequestDirectives;
use crate::semantics::freshen::head_agrees;
use crate::semantics::freshness::Exchange;
use crate::semantics::unsafe_method::makes_unusable;
use crate::shield::body::RequestBody;
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
            (Err(error), Some((page, reuse))) if stands_in(&page, reuse, &error) => {
                return Ok(excused(visit, &page, reason, None, received));
            }
            (Err(error), _) => return Err(error),
        };
        let exchange = Exchange { requested, received };
        let (parts, body) = response.into_parts();
        self.make_unusable(&mut sortie, &parts);
        if !stores {
            let status = forwarded(reason, Some(parts.status), false, false, None, None);
            return Ok(visit.answer(parts.status, &parts.headers, body, status));
        }
        self.learn(&visit, &sortie, &parts, exchange);
        let (mut body, mut stored, mut detail, mut ttl) = (body, false, None, None);
        match sortie.storable(&parts, &body, exchange) {
            Ok(head) => {
                ttl = Some(head.terms.freshness.ttl(received));
                let key = sortie.key.clone();
                match Kept::new(self, key, head, length(&parts.headers), body) {
                    Ok(kept) => (body, stored) = (kept.boxed_unsync(), true),
                    Err(passed) => (body, detail) = (passed, Some("no-room")),
                }
            }
            Err(word) => detail = Some(word),
        }
        let status = forwarded(reason, Some(parts.status), stored, false, ttl, detail);
        Ok(visit.answer(parts.status, &parts.headers, body, status))
    }

    /// What a request that may change things makes unusable (RFC 9111 §4.4).
    fn make_unusable(&self, sortie: &mut Sortie, response: &http::response::Parts) {
        let (method, target) = (&sortie.asked.method, &sortie.target);
        let unusable = makes_unusable(method, target, response.status, &response.headers);
        if unusable.is_empty() {
            return;
        }
        self.shelf.empty(&sortie.key);
        for uri in &unusable {
            let target = &uri[Position::BeforePath..Position::AfterQuery];
            self.shelf.empty(&sortie.key.sibling(target));
        }
        // What it brings itself is of after the change.
        sortie.turn = self.shelf.turn();
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
