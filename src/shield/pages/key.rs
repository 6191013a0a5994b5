//! The key of an upstream's responses: the URI as it is forwarded, and nothing
//! of a client besides.

use http::HeaderName;

use crate::asset::Digest;
use crate::shield::request::GatedRequest;
use crate::shield::site::SiteId;

/// Fields of htmx by which an upstream answers with a part of a page. What the
/// address bar shows, `HX-Current-URL`, is not among them: it would make a key
/// of its own for every page that a visitor comes from.
const OF_HTMX: [&str; 7] = [
    "hx-boosted",
    "hx-history-restore-request",
    "hx-prompt",
    "hx-request",
    "hx-target",
    "hx-trigger",
    "hx-trigger-name",
];

/// What the stored responses for one URI have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct PageKey {
    site: SiteId,
    scheme: &'static str,
    /// Host and port, in lower case.
    authority: String,
    /// Path and query.
    target: String,
    /// The fields of htmx, where pages are rewritten: fragments of a page have
    /// its URI, and few upstreams say so in `Vary`.
    fragment: Option<Digest>,
}

impl PageKey {
    /// The key of a request.
    pub(crate) fn of(site: SiteId, request: &GatedRequest, rewrites: bool) -> Self {
        Self {
            site,
            scheme: request.scheme,
            authority: request.authority.to_ascii_lowercase(),
            target: request.target(),
            fragment: rewrites.then(|| fragment(request)).flatten(),
        }
    }

    /// The key of another URI of the same host, for a whole page.
    pub(crate) fn sibling(&self, target: &str) -> Self {
        Self { target: target.to_owned(), fragment: None, ..self.clone() }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.authority.len() + self.target.len()) as u64
    }
}

fn fragment(request: &GatedRequest) -> Option<Digest> {
    let mut text = Vec::new();
    for name in OF_HTMX {
        for value in request.headers.get_all(HeaderName::from_static(name)) {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value.as_bytes());
            text.push(b'\n');
        }
    }
    (!text.is_empty()).then(|| Digest::of(&text))
}
