//! What answers a request, before anything is fetched: an object of the
//! bucket, what is known of it, and how the answer is to be presented.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::cache::{CacheKey, StoredResponse};
use crate::asset::{Digest, Fingerprint, ObjectKey};
use crate::manifest::{Entry, Variant, field};
use crate::rewrite::ManifestResolver;
use crate::semantics::directives::ResponseDirectives;
use crate::semantics::encoding::Coding;

/// How long a fingerprinted name is fresh: a year, RFC 9111's usual "forever".
pub(crate) const IMMUTABLE: Duration = Duration::from_secs(31_536_000);

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
    /// Its `Content-Security-Policy`; empty where it has none.
    pub(crate) policy: String,
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
    /// What the release says of its header fields; `None` for objects of other
    /// releases, of which the bucket knows best. They are not stored with the
    /// response: a release may change them and keep the bytes.
    pub(crate) fields: Option<Fields>,
}

/// The header fields that a release gives to an asset.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) content_type: HeaderValue,
    /// Those of the content: with the content only.
    pub(crate) content: Vec<(HeaderName, HeaderValue)>,
    /// All others: with every successful answer.
    pub(crate) others: Vec<(HeaderName, HeaderValue)>,
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
        self.is_object(&stored.object)
    }

    /// Whether an object of this digest is the one that is wanted.
    pub(crate) fn is_object(&self, object: &Digest) -> bool {
        self.published.as_ref().is_none_or(|published| published.digest == *object)
    }

    /// One content coding of an asset.
    pub(crate) fn variant(entry: &Entry, coding: Coding, variant: &Variant) -> Self {
        let published = Published::of(entry, variant.b3, variant.size);
        let object = Self::unlisted(variant.key.clone());
        Self { published: Some(published), coding: Some(coding), ..object }
    }

    /// The coding of an object that the shield makes itself.
    pub(crate) fn made(identity: Self, coding: Coding) -> Self {
        let key = CacheKey::Made { object: identity.object.clone(), coding: Some(coding) };
        Self { key, coding: Some(coding), ..identity }
    }

    /// The coding, if the shield makes it.
    pub(crate) fn made_coding(&self) -> Option<Coding> {
        if let CacheKey::Made { coding, .. } = &self.key { *coding } else { None }
    }

    /// The object that a coding or a page is made of.
    pub(crate) fn identity_of(&self) -> Self {
        let key = CacheKey::Object(self.object.clone());
        Self { key, coding: None, page: None, ..self.clone() }
    }
}

impl Published {
    fn of(entry: &Entry, digest: Digest, size: u64) -> Self {
        Self { digest, size, content: entry.b3.fingerprint(), content_type: content_type(entry) }
    }
}

impl Fields {
    fn of(entry: &Entry) -> Self {
        let of_content = |(name, _): &(HeaderName, HeaderValue)| field::is_stored(name.as_str());
        let (content, others) = field::usable(&entry.headers).partition(of_content);
        Self { content_type: content_type(entry), content, others }
    }
}

/// A manifest may hold what a header cannot; then the type is unknown.
fn content_type(entry: &Entry) -> HeaderValue {
    HeaderValue::from_str(&entry.content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

impl Policy {
    /// An object under its own, fingerprinted name.
    pub(crate) fn own_name(entry: Option<&Entry>) -> Self {
        let published = entry.filter(|entry| !entry.stable).and_then(published);
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        let cache_control = published.unwrap_or(forever);
        let lifetime = lifetime(&cache_control);
        Self {
            status: StatusCode::OK,
            cache_control,
            lifetime,
            // What a rule made shorter begins anew: the name still means the same.
            ages: lifetime >= IMMUTABLE,
            cross_origin: true,
            sandbox: true,
            varies: entry.is_some_and(|entry| !entry.variants.is_empty()),
            fields: entry.map(Fields::of),
        }
    }

    /// An asset under its logical name on an assets site.
    pub(crate) fn logical(entry: &Entry) -> Self {
        // The time a switch may take to be seen.
        let short = HeaderValue::from_static("public, max-age=60");
        // The rules of a stable asset are about this name.
        let published = published(entry).filter(|_| entry.stable);
        let cache_control = published.unwrap_or(short);
        let lifetime = lifetime(&cache_control);
        Self { cache_control, lifetime, ages: false, ..Self::own_name(Some(entry)) }
    }

    /// An asset under its logical name on a release site: the site's own.
    pub(crate) fn of_site(entry: &Entry) -> Self {
        Self { cross_origin: false, sandbox: false, ..Self::logical(entry) }
    }

    /// A page of a release site, which shows the next release at once unless
    /// the rules of a stable one say otherwise.
    pub(crate) fn page(entry: &Entry, status: StatusCode) -> Self {
        let site = Self::of_site(entry);
        if entry.stable && status == StatusCode::OK {
            return Self { varies: false, ..site };
        }
        let cache_control = HeaderValue::from_static("no-cache");
        Self { status, cache_control, lifetime: Duration::ZERO, varies: false, ..site }
    }

    /// Freshness left for a response of this age, in seconds.
    pub(crate) fn ttl(&self, age: Duration) -> i64 {
        let spent = if self.ages { age } else { Duration::ZERO };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        seconds(self.lifetime) - seconds(spent)
    }
}

/// The `Cache-Control` that the release gives to an asset.
fn published(entry: &Entry) -> Option<HeaderValue> {
    HeaderValue::from_str(&entry.cache).ok().filter(|value| !value.is_empty())
}

/// How long a shared cache may keep what is answered with `cache_control`.
fn lifetime(cache_control: &HeaderValue) -> Duration {
    let text = String::from_utf8_lossy(cache_control.as_bytes());
    ResponseDirectives::parse(&text).shared_lifetime()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_what_a_shared_cache_may_take() {
        let table = [
            ("public, max-age=31536000, immutable", 31_536_000),
            ("max-age=60, s-maxage=5", 5),
            ("Max-Age=\"7\"", 7),
            ("public", 0),
            ("no-cache, max-age=60", 0),
            ("private, max-age=60", 0),
            ("max-age=soon", 0),
            ("max-age=99999999999999999999", 1 << 31),
        ];
        for (text, seconds) in table {
            let found = lifetime(&HeaderValue::from_str(text).unwrap());
            assert_eq!(found, Duration::from_secs(seconds), "{text}");
        }
    }
}
