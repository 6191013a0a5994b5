//! The URL that a page's relative references stand for: the one the visitor
//! used, or for a fragment the page that htmx puts it into.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, VARY};
use url::Url;

use super::text;
use crate::rewrite::{Reference, Resolver};
use crate::shield::GatedRequest;

const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");
/// Requests of htmx whose answer takes the place, and the URL, of the page.
const WHOLE_PAGE: [HeaderName; 2] =
    [HeaderName::from_static("hx-boosted"), HeaderName::from_static("hx-history-restore-request")];

/// What the references of a response are resolved against.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) url: Url,
    /// Whether it was taken from a field of the request.
    varies: bool,
    rooted_only: bool,
}

impl Base {
    /// `None` when the visitor's URL cannot be read as a browser would.
    pub(super) fn of(request: &GatedRequest) -> Option<Self> {
        let origin = format!("{}://{}", request.scheme, request.authority);
        let mut url = Url::parse(&origin).ok()?.join(&request.path).ok()?;
        let says =
            |name: &HeaderName| text(&request.headers, name).is_some_and(|value| value == "true");
        if !says(&HX_REQUEST) || WHOLE_PAGE.iter().any(says) {
            return Some(Self { url, varies: false, rooted_only: false });
        }
        let current = text(&request.headers, &HX_CURRENT_URL);
        let current = current.and_then(|text| Url::parse(text).ok());
        // TLS may end before a proxy that says nothing of it: schemes may differ.
        let same = |page: &Url| {
            page.host_str() == url.host_str()
                && (page.port() == url.port() || page.scheme() != url.scheme())
        };
        let Some(current) = current.filter(same) else {
            return Some(Self { url, varies: false, rooted_only: true });
        };
        url.set_path(current.path());
        Some(Self { url, varies: true, rooted_only: false })
    }

    /// Says what the page depends on besides its URL.
    pub(super) fn put_vary(&self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(VARY, HeaderValue::from_static("HX-Current-URL"));
        }
    }

    /// A resolver that leaves alone what this base cannot make sense of.
    pub(super) fn restrict(&self, resolver: Arc<dyn Resolver>) -> Arc<dyn Resolver> {
        if !self.rooted_only {
            return resolver;
        }
        Arc::new(move |reference: &Reference<'_>| {
            let written = reference.text.trim_start();
            let rooted = written.starts_with('/') || Url::parse(written).is_ok();
            rooted.then(|| resolver.resolve(reference)).flatten()
        })
    }
}
