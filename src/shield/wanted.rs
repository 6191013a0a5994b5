//! What answers a request, before anything is fetched: an object of the
//! bucket, what is known of it, and how the answer is to be presented.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use url::Url;

use super::cache::{CacheKey, StoredResponse};
use crate::asset::{Digest, Fingerprint, ObjectKey};
use crate::manifest::{Entry, Variant};
use crate::rewrite::ManifestResolver;
use crate::semantics::encoding::Coding;

/// How long a fingerprinted name is fresh: a year, RFC 9111's usual "forever".
pub(crate) const IMMUTABLE: Duration = Duration::from_secs(31_536_000);

/// How long a logical name is fresh: the time a switch may take to be seen.
const LOGICAL: Duration = Duration::from_secs(60);

/// An object of the bucket, byte for byte or as a page.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) key: CacheKey,
    pub(crate) object: ObjectKey,
    /// What the manifest says of it; `None` for objects of other releases.
    pub(crate) published: Option<Published>,
    pub(crate) coding: Option<Coding>,
    /// Set when its references are to be rewritten.
    pub(crate) page: Option<Page>,
}

/// What a manifest says of an object.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// The fingerprint of the content in no coding.
    pub(crate) content: Fingerprint,
    pub(crate) content_type: HeaderValue,
}

/// Where a page stands, and what its references are resolved against.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) resolvers: Vec<ManifestResolver>,
}

/// How an answer is presented under the name that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) status: StatusCode,
    pub(crate) cache_control: HeaderValue,
    /// How long visitors and the edge may keep it.
    pub(crate) lifetime: Duration,
    /// Whether that time runs since the response was stored. It does not for
    /// names whose meaning the shield has just looked up.
    pub(crate) ages: bool,
    /// Whether other origins may use it.
    pub(crate) cross_origin: bool,
    /// Whether documents among it must not act for the origin.
    pub(crate) sandbox: bool,
    /// Whether it exists in several codings.
    pub(crate) varies: bool,
}

impl Wanted {
    /// An object that no manifest at hand names.
    pub(crate) fn unlisted(object: ObjectKey) -> Self {
        let key = CacheKey::Object(object.clone());
        Self { key, object, published: None, coding: None, page: None }
    }

    /// The object of an asset.
    pub(crate) fn identity(entry: &Entry) -> Self {
        let published = Published::of(entry, entry.b3, entry.size);
        Self { published: Some(published), ..Self::unlisted(entry.key.clone()) }
    }

    /// Whether a stored response was made from the object that is wanted.
    pub(crate) fn is(&self, stored: &StoredResponse) -> bool {
        self.published.as_ref().is_none_or(|published| published.digest == stored.object)
    }

    /// One content coding of an asset.
    pub(crate) fn variant(entry: &Entry, coding: Coding, variant: &Variant) -> Self {
        let published = Published::of(entry, variant.b3, variant.size);
        let object = Self::unlisted(variant.key.clone());
        Self { published: Some(published), coding: Some(coding), ..object }
    }
}

impl Published {
    fn of(entry: &Entry, digest: Digest, size: u64) -> Self {
        let content_type = HeaderValue::from_str(&entry.content_type);
        Self {
            digest,
            size,
            content: entry.b3.fingerprint(),
            // A manifest may hold what a header cannot; then the type is unknown.
            content_type: content_type
                .unwrap_or(HeaderValue::from_static("application/octet-stream")),
        }
    }
}

impl Policy {
    /// An object under its own, fingerprinted name.
    pub(crate) fn own_name(entry: Option<&Entry>) -> Self {
        let published = entry.and_then(|entry| HeaderValue::from_str(&entry.cache).ok());
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        Self {
            status: StatusCode::OK,
            cache_control: published.filter(|value| !value.is_empty()).unwrap_or(forever),
            lifetime: IMMUTABLE,
            ages: true,
            cross_origin: true,
            sandbox: true,
            varies: entry.is_some_and(|entry| !entry.variants.is_empty()),
        }
    }

    /// An asset under its logical name on an assets site.
    pub(crate) fn logical(entry: &Entry) -> Self {
        let short = HeaderValue::from_static("public, max-age=60");
        let own = Self::own_name(Some(entry));
        Self { cache_control: short, lifetime: LOGICAL, ages: false, ..own }
    }

    /// An asset under its logical name on a release site: the site's own.
    pub(crate) fn of_site(entry: &Entry) -> Self {
        Self { cross_origin: false, sandbox: false, ..Self::logical(entry) }
    }

    /// A page of a release site, which shows the next release at once.
    pub(crate) fn page(entry: &Entry, status: StatusCode) -> Self {
        let cache_control = HeaderValue::from_static("no-cache");
        let site = Self::of_site(entry);
        Self { status, cache_control, lifetime: Duration::ZERO, varies: false, ..site }
    }

    /// Freshness left for a response of this age, in seconds.
    pub(crate) fn ttl(&self, age: Duration) -> i64 {
        let spent = if self.ages { age } else { Duration::ZERO };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime) - seconds(spent)
    }
}
