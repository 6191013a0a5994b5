//! The forms in which responses of upstreams are on disk: the rule of a URI,
//! which names what its responses are told apart by, and the head of each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::key::PageKey;
use super::stored::PageHead;
use crate::asset::Digest;
use crate::semantics::directives::ResponseDirectives;
use crate::semantics::freshness::Exchange;
use crate::semantics::reuse::Terms;
use crate::semantics::vary::{Selection, Vary};
use crate::shield::cache::Epoch;

/// What leads to the responses of one URI.
///
/// Whatever makes them all unusable gives the URI another generation, so that
/// none of them is found again, whatever else is in the way of removing them.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub(crate) struct SavedRule {
    pub(crate) generation: u64,
    vary: Vec<String>,
}

/// The head of a response.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SavedPage {
    status: u16,
    /// Each byte of a value is a character of the same number.
    fields: Vec<(String, String)>,
    vary: Vec<String>,
    selection: Selection,
    /// Since 1970, as is the next.
    requested: Duration,
    received: Duration,
}

impl SavedRule {
    pub(crate) fn of(generation: u64, vary: &Vary) -> Self {
        Self { generation, vary: names(vary) }
    }

    /// The key of the rule of a URI.
    pub(crate) fn key(page: &PageKey) -> Vec<u8> {
        format!("page-rule {}", page.digest()).into_bytes()
    }

    /// The key of the response that a selection leads to.
    pub(crate) fn key_of(page: &PageKey, generation: u64, selection: &Selection) -> Vec<u8> {
        let selected = Digest::of(selection.as_str().as_bytes());
        format!("page {} {generation:x} {selected}", page.digest()).into_bytes()
    }

    pub(crate) fn vary(&self) -> Option<Vary> {
        vary(&self.vary)
    }
}

impl SavedPage {
    /// What is written of a head. `None` for what is not written: parts, and
    /// what is older than time.
    pub(crate) fn of(head: &PageHead) -> Option<Vec<u8>> {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
        let character = |byte: &u8| char::from(*byte);
        let text = |value: &HeaderValue| value.as_bytes().iter().map(character).collect();
        if head.part.is_some() {
            return None;
        }
        let saved = Self {
            status: head.status.as_u16(),
            fields: head.fields.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect(),
            vary: names(&head.vary),
            selection: head.selection.clone(),
            requested: since(head.exchange.requested)?,
            received: since(head.exchange.received)?,
        };
        serde_json::to_vec(&saved).ok()
    }

    /// The head that was written, under the rules that the site has now.
    pub(crate) fn read(
        meta: &[u8],
        rule: Option<&ResponseDirectives>,
        fill_epoch: Epoch,
        turn: u64,
    ) -> Option<PageHead> {
        let saved: Self = serde_json::from_slice(meta).ok()?;
        let time = |since: Duration| UNIX_EPOCH.checked_add(since);
        let (requested, received) = (time(saved.requested)?, time(saved.received)?);
        let exchange = Exchange { requested, received };
        let status = StatusCode::from_u16(saved.status).ok()?;
        let mut fields = HeaderMap::with_capacity(saved.fields.len());
        for (name, text) in &saved.fields {
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
            let value = HeaderValue::from_bytes(&bytes?).ok()?;
            fields.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
        }
        Some(PageHead {
            status,
            terms: Terms::of(status, &fields, rule, exchange),
            fields,
            vary: vary(&saved.vary)?,
            selection: saved.selection,
            part: None,
            exchange,
            fill_epoch,
            turn,
        })
    }
}

fn names(vary: &Vary) -> Vec<String> {
    vary.names().iter().map(|name| name.as_str().to_owned()).collect()
}

fn vary(names: &[String]) -> Option<Vary> {
    let names = names.iter().map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    names.collect::<Option<Vec<_>>>().map(|names| Vary::default().and(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> PageHead {
        let mut fields = HeaderMap::new();
        fields.append("cache-control", HeaderValue::from_static("max-age=60"));
        fields.append("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        fields.append("link", HeaderValue::from_static("a"));
        fields.append("link", HeaderValue::from_static("b"));
        let received = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        let exchange = Exchange { requested: received - Duration::from_millis(20), received };
        let vary = Vary::default().and([HeaderName::from_static("x-kind")]);
        let mut request = HeaderMap::new();
        request.append("x-kind", HeaderValue::from_static("b"));
        PageHead {
            status: StatusCode::NOT_FOUND,
            terms: Terms::of(StatusCode::NOT_FOUND, &fields, None, exchange),
            fields,
            selection: vary.select(&request),
            vary,
            part: None,
            exchange,
            fill_epoch: Epoch::from_number(3),
            turn: 7,
        }
    }

    #[test]
    fn a_head_reads_back_as_it_was_saved() {
        let head = head();
        let meta = SavedPage::of(&head).unwrap();
        let found = SavedPage::read(&meta, None, head.fill_epoch, head.turn).unwrap();
        assert_eq!(format!("{found:?}"), format!("{head:?}"));
        assert!(SavedPage::read(b"{}", None, head.fill_epoch, 7).is_none());
    }

    #[test]
    fn a_rule_leads_to_what_a_request_selects_and_to_no_other_generation() {
        let head = head();
        let rule = SavedRule::of(1, &head.vary);
        let text = serde_json::to_vec(&rule).unwrap();
        let found: SavedRule = serde_json::from_slice(&text).unwrap();
        assert_eq!((found.generation, found.vary().unwrap()), (1, head.vary));
    }
}
