//! Who may call, and the count of who did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::region::Region;
use s3s::{S3Result, s3_error};
use secrecy::ExposeSecret as _;

use super::super::Credentials;
use super::super::calls::Counter;

/// The one key.
pub(super) struct Keys(pub(super) Credentials);

/// Counts every call, and lets in those with a SigV4 signature.
pub(super) struct Access(pub(super) Arc<Counter>);

/// Travels with a request and says whether it became a call.
#[derive(Clone, Debug, Default)]
pub(in crate::bucket) struct Counted(Arc<AtomicBool>);

impl Counted {
    pub(in crate::bucket) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, key_id: &str) -> S3Result<SecretKey> {
        if key_id == self.0.key_id {
            return Ok(SecretKey::from(self.0.key.expose_secret()));
        }
        Err(s3_error!(InvalidAccessKeyId, "The key '{key_id}' is not valid"))
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, call: &mut S3AccessContext<'_>) -> S3Result<()> {
        self.0.count(call.s3_op().name());
        if let Some(counted) = call.extensions_mut().get::<Counted>() {
            counted.0.store(true, Ordering::Relaxed);
        }
        if call.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Unauthenticated requests are not allowed"));
        }
        if is_sigv2(call.headers(), call.uri().query()) {
            let message = "The authorization mechanism you have provided is not supported. \
                           Please use AWS4-HMAC-SHA256.";
            return Err(s3_error!(InvalidRequest, "{message}"));
        }
        Ok(())
    }
}

/// Whether a request is signed for what cannot be the name of a region, as
/// `US`, which s3cmd takes until it is told another.
pub(super) fn has_wrong_region(headers: &HeaderMap) -> bool {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = authorization.and_then(|value| value.split_once("Credential="));
    // Key id, date, region, service and a constant; the key id may have slashes.
    let scope = credential.and_then(|(_, rest)| rest.split(',').next());
    let region = scope.and_then(|scope| scope.rsplit('/').nth(2));
    region.is_some_and(|region| !region.is_empty() && region.parse::<Region>().is_err())
}

/// The core also accepts the signatures that B2 never did.
fn is_sigv2(headers: &HeaderMap, query: Option<&str>) -> bool {
    let header = headers.get(AUTHORIZATION);
    header.is_some_and(|value| value.as_bytes().starts_with(b"AWS "))
        || query.is_some_and(|query| query.split('&').any(|part| part.starts_with("Signature=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_region_is_a_wrong_one() {
        for (authorization, wrong) in [
            ("AWS4-HMAC-SHA256 Credential=k/20261125/US/s3/aws4_request,Signature=s", true),
            ("AWS4-HMAC-SHA256 Credential=a/b/20261125/US/s3/aws4_request, Signature=s", true),
            ("AWS4-HMAC-SHA256 Credential=K/20261125/us-east-1/s3/aws4_request", false),
            ("AWS4-HMAC-SHA256 Credential=K/20261125//s3/aws4_request", false),
            ("AWS4-HMAC-SHA256 Credential=US", false),
            ("AWS US:signature", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization.parse().unwrap())]);
            assert_eq!(has_wrong_region(&headers), wrong, "{authorization}");
        }
        assert!(!has_wrong_region(&HeaderMap::new()));
    }

    #[test]
    fn only_the_old_signatures_are_refused() {
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert!(is_sigv2(&headers("AWS key:signature"), None));
        assert!(is_sigv2(&HeaderMap::new(), Some("AWSAccessKeyId=k&Signature=s")));
        assert!(!is_sigv2(&headers("AWS4-HMAC-SHA256 Credential=k"), None));
        assert!(!is_sigv2(&HeaderMap::new(), Some("X-Amz-Signature=s")));
    }
}
