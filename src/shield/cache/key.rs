//! Cache keys. They hold no text of a client: only names that `route` found to
//! be well-formed, and what the configuration and the manifests say.

use crate::asset::ObjectKey;
use crate::manifest::ReleaseId;
use crate::semantics::encoding::Coding;
use crate::shield::pages::PageKey;
use crate::shield::site::SiteId;

/// What selects a stored response.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum CacheKey {
    /// An object of the bucket, byte for byte. Each variant is an object.
    Object(ObjectKey),
    /// A page of a release site with its references rewritten.
    Page {
        /// The site whose policy made it.
        site: SiteId,
        /// The releases that its references were resolved against.
        releases: Box<[Option<ReleaseId>]>,
        /// The object that the page is made from.
        object: ObjectKey,
    },
    /// What the shield makes of an object of the bucket.
    Made {
        /// The object without a coding.
        object: ObjectKey,
        /// The coding that it is made in; `None` where it is itself decoded,
        /// which is a key for flights only.
        coding: Option<Coding>,
    },
    /// The responses of an upstream for one URI.
    Upstream(Box<PageKey>),
}
