//! Buckets behind the S3 API; the only place that names the AWS SDK.
//!
//! Written against Backblaze B2 first: no conditional writes unless the caller
//! asks for one, no ACLs, no tags, no calls on buckets, one call an operation.
//! Every body is sent from memory with its MD5, so that the store refuses what
//! was damaged on the way.

mod attempts;
mod body;
mod client;
pub mod diagnose;
mod failure;
mod multipart;
mod object;
mod retry;
mod versions;

use std::fmt;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use md5::{Digest as _, Md5};
use secrecy::SecretString;
use url::{Host, Url};

use super::{
    GetOutcome, GetRequest, LIST_PAGE_KEYS_MAX, ListPage, ObjectHead, ObjectHeaders, ObjectRead,
    ObjectWrite, Operation, Part, PutCondition, PutReceipt, StoreError, StoreErrorKind, Unfinished,
    UploadPage, VersionCursor, VersionPage,
};

use body::Resume;
use client::Patience;

pub use failure::S3Failure;

/// Most pages without a key that are passed over before a listing fails.
const EMPTY_PAGES_MAX: usize = 16;

/// Where a bucket is, and how to get at it.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Scheme, host and port: `https://s3.eu-central-003.backblazeb2.com`.
    pub endpoint: Url,
    /// The region that requests are signed for. See [`region_of`].
    pub region: String,
    /// The name of the bucket.
    pub bucket: String,
    /// Identifies the application key.
    pub key_id: String,
    /// Signs requests.
    pub key: SecretString,
    /// How long to wait and how often to try.
    pub profile: Profile,
    /// Attempts of one call; 0 leaves it to the profile.
    pub attempts: u32,
    /// Other waits than those of the profile.
    pub waits: Waits,
}

/// How long to wait. What is `None` is left to the profile.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Waits {
    /// Until the first byte of an answer comes, or the next of a body. The
    /// time that an upload of that size needs is added.
    pub answer: Option<Duration>,
    /// Longest time between two attempts, whatever the store asks for.
    pub backoff_max: Option<Duration>,
}

/// Who is calling, which decides how patient a call is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// A publish would rather wait than fail: eight attempts, minutes.
    Publisher,
    /// A visitor is waiting: two attempts, seconds, and retries stop for all
    /// calls together when the store keeps failing.
    Shield,
}

/// A bucket behind the S3 API.
///
/// Keep one for each bucket and share it: it holds the connections.
pub struct S3Store {
    client: Client,
    bucket: String,
    endpoint: Url,
    profile: Profile,
    patience: Patience,
    attempts: u32,
    /// Longest wait that the store is granted, where that was configured.
    backoff_max: Option<Duration>,
    /// Requests that were sent.
    sent: attempts::Attempts,
}

impl S3Store {
    /// A store that connects when it is first used.
    pub fn new(config: S3Config) -> Self {
        let sent = attempts::Attempts::default();
        let client = client::client(&config, &sent);
        let (patience, attempts) = (Patience::of(&config), client::attempts(&config));
        let S3Config { bucket, endpoint, profile, waits, .. } = config;
        let backoff_max = waits.backoff_max;
        Self { client, bucket, endpoint, profile, patience, attempts, backoff_max, sent }
    }

    /// Requests that were sent so far, those that were sent again included.
    pub fn attempts(&self) -> u64 {
        self.sent.count()
    }

    async fn read(&self, key: &str, request: GetRequest) -> Result<GetOutcome, StoreError> {
        let sent = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_range(request.range.map(object::range))
            .set_if_match(request.if_match)
            .set_if_none_match(request.if_none_match)
            .send()
            .await;
        match sent {
            Ok(output) => {
                let resume = |end, etag: &str| Some(self.resume(end, etag));
                object::found(key, output, self.patience.pace(), resume).map(GetOutcome::Found)
            }
            Err(error) if failure::status(&error) == Some(304) => Ok(GetOutcome::NotModified),
            Err(error) => Err(self.failed(Operation::Get, key, error)),
        }
    }

    async fn look_up(&self, key: &str) -> Result<ObjectHead, StoreError> {
        let head = self.client.head_object().bucket(&self.bucket).key(key);
        let sent = head.send().await;
        let output = sent.map_err(|error| self.failed(Operation::Head, key, error))?;
        object::head(key, output)
    }

    async fn write(
        &self,
        key: &str,
        body: Bytes,
        headers: &ObjectHeaders,
        how: How,
    ) -> Result<PutReceipt, StoreError> {
        let md5: [u8; 16] = Md5::digest(&body).into();
        let settings = self.patience.settings(body.len() as u64);
        let (settings, if_match, if_none_match) = match how {
            How::Patiently => (settings, None, None),
            How::Now => (settings.retry_classifier(retry::GiveWay), None, None),
            How::If(PutCondition::Unchanged(etag)) => (settings, Some(etag), None),
            How::If(PutCondition::Absent) => (settings, None, Some("*".to_owned())),
        };
        let sent = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_md5(BASE64.encode(&md5))
            .set_if_match(if_match)
            .set_if_none_match(if_none_match)
            .set_content_type(headers.content_type.clone())
            .set_cache_control(headers.cache_control.clone())
            .set_content_encoding(headers.content_encoding.clone())
            .set_content_disposition(headers.content_disposition.clone())
            .set_content_language(headers.content_language.clone())
            .set_metadata(Some(headers.meta.clone().into_iter().collect()))
            .body(ByteStream::from(body))
            .customize()
            .config_override(settings)
            .send()
            .await;
        let output = sent.map_err(|error| self.failed(Operation::Put, key, error))?;
        let sse = output.server_side_encryption();
        let etag = output.e_tag().filter(|etag| !etag.is_empty());
        object::check_md5(Operation::Put, key, etag, sse, md5)?;
        Ok(PutReceipt { etag: etag.map(str::to_owned), version: output.version_id })
    }

    async fn page(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError> {
        let mut token = None;
        for _ in 0..EMPTY_PAGES_MAX {
            let sent = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .max_keys(LIST_PAGE_KEYS_MAX as i32)
                .set_start_after(after.map(str::to_owned))
                .set_continuation_token(token)
                .send()
                .await;
            let output = sent.map_err(|error| self.failed(Operation::List, prefix, error))?;
            token = output.next_continuation_token.clone();
            let page = object::page(output);
            // A store may answer that there is more without a key to go on from.
            if !page.objects.is_empty() || !page.more || token.is_none() {
                return Ok(page);
            }
        }
        let endless = "the store answers one empty page after another";
        Err(StoreError::new(Operation::List, prefix, StoreErrorKind::Unavailable, endless))
    }

    async fn remove(&self, key: &str, version: Option<&str>) -> Result<(), StoreError> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(key);
        match delete.set_version_id(version.map(str::to_owned)).send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.failed(Operation::Delete, key, error) {
                error if error.kind() == StoreErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    fn failed(&self, operation: Operation, key: &str, error: impl failure::Failed) -> StoreError {
        let error = failure::store_error(operation, key, self.profile, error);
        let wait = error.retry_after();
        let most = self.backoff_max.unwrap_or(Duration::MAX);
        error.with_retry_after(wait.map(|wait| wait.min(most)))
    }

    /// What asks for the rest of a body that breaks off.
    fn resume(&self, end: u64, etag: &str) -> Resume {
        Resume {
            client: self.client.clone(),
            bucket: self.bucket.clone(),
            etag: etag.to_owned(),
            end,
            tries: self.attempts.saturating_sub(1),
        }
    }
}

/// What is special about a write.
enum How {
    Patiently,
    /// A store that asks to slow down is not waited for.
    Now,
    If(PutCondition),
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("endpoint", &self.endpoint.as_str())
            .field("bucket", &self.bucket)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

impl ObjectRead for S3Store {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        self.read(key, request).boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        self.look_up(key).boxed()
    }
}

impl ObjectWrite for S3Store {
    fn put<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.write(key, body, headers, How::Patiently).boxed()
    }

    fn put_now<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.write(key, body, headers, How::Now).boxed()
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
        condition: PutCondition,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.write(key, body, headers, How::If(condition)).boxed()
    }

    fn begin_upload<'a>(
        &'a self,
        key: &'a str,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<String, StoreError>> {
        self.begin(key, headers).boxed()
    }

    fn put_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Part, StoreError>> {
        self.write_part(key, upload, number, body).boxed()
    }

    fn list_parts<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        self.parts(key, upload).boxed()
    }

    fn complete_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        self.complete(key, upload, parts).boxed()
    }

    fn abort_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.abort(key, upload).boxed()
    }

    fn list_uploads<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Unfinished>,
    ) -> BoxFuture<'a, Result<UploadPage, StoreError>> {
        self.unfinished(prefix, after).boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        self.page(prefix, after).boxed()
    }

    fn list_versions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a VersionCursor>,
    ) -> BoxFuture<'a, Result<VersionPage, StoreError>> {
        self.version_page(prefix, after).boxed()
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.remove(key, version).boxed()
    }
}

/// The region in the name of an endpoint: the label behind `s3`, as in
/// `s3.eu-central-003.backblazeb2.com` and most other S3 stores.
pub fn region_of(endpoint: &Url) -> Option<String> {
    let Host::Domain(host) = endpoint.host()? else { return None };
    let labels: Vec<_> = host.split('.').collect();
    let at = labels.iter().position(|label| *label == "s3")?;
    // At least a domain of two labels follows the region.
    (labels.len() >= at + 4).then(|| labels[at + 1].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_endpoint() {
        for (endpoint, region) in [
            ("https://s3.eu-central-003.backblazeb2.com", Some("eu-central-003")),
            ("https://shop.s3.us-west-004.backblazeb2.com/", Some("us-west-004")),
            ("https://s3.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("https://s3.amazonaws.com", None),
            ("http://127.0.0.1:9000", None),
            ("http://garage:3900", None),
        ] {
            let endpoint = Url::parse(endpoint).unwrap();
            assert_eq!(region_of(&endpoint).as_deref(), region, "{endpoint}");
        }
    }
}
