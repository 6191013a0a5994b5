//! The key of an upstream's responses: the URI as it is forwarded, and nothing
//! of a client besides.

use crate::asset::Digest;
use crate::shield::request::GatedRequest;
use crate::shield::site::SiteId;

/// What the stored responses for one URI have in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct PageKey {
    site: SiteId,
    scheme: &'static str,
    /// Host and port, in lower case.
    authority: String,
    /// Path and query.
    target: String,
}

impl PageKey {
    /// The key of a request.
    pub(crate) fn of(site: SiteId, request: &GatedRequest) -> Self {
        Self {
            site,
            scheme: request.scheme,
            authority: request.authority.to_ascii_lowercase(),
            target: request.target(),
        }
    }

    /// The key of another URI of the same host.
    pub(crate) fn sibling(&self, target: &str) -> Self {
        Self { target: target.to_owned(), ..self.clone() }
    }

    /// What names it on disk, where URIs may be of any length.
    pub(crate) fn digest(&self) -> Digest {
        let Self { site, scheme, authority, target } = self;
        // None of the first three may hold a space.
        Digest::of(format!("{} {scheme} {authority} {target}", site.digest()).as_bytes())
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.authority.len() + self.target.len()) as u64
    }
}
