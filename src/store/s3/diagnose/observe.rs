//! Looking: the calls that a doctor makes, one after the other.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, ChecksumAlgorithm, ExpirationStatus};
use aws_sdk_s3::types::{LifecycleRule, LifecycleRuleFilter};
use data_encoding::BASE64;
use md5::{Digest as _, Md5};

use super::super::attempts::Attempts;
use super::super::{S3Config, client};
use super::{Answer, Observations, Probe, Versioning};
use crate::asset::KeyLayout;
use crate::clock::Clock;
use crate::store::is_exact;

/// What the scratch object holds.
const SCRATCH: &[u8] = b"awning doctor was here\n";

/// Looks at a bucket: at most five calls, and six more where `probe` gives
/// the name of a scratch object, which has to be new.
pub async fn observe(
    config: &S3Config,
    layout: &KeyLayout,
    probe: Option<&str>,
    clock: &Clock,
) -> Observations {
    let look = Look {
        client: client::client(config, &Attempts::default()),
        bucket: &config.bucket,
        layout,
    };
    let read = look.read().await;
    let mut seen = Observations {
        endpoint: config.endpoint.clone(),
        region: config.region.clone(),
        key_id: config.key_id.clone(),
        prefix: layout.prefix().to_owned(),
        now: clock.now(),
        list: None,
        lifecycle: None,
        versioning: None,
        cors: None,
        probe: None,
        read,
    };
    if super::judge::is_hopeless(&seen.read) {
        return seen;
    }
    seen.list = Some(look.list().await);
    seen.versioning = Some(look.versioning().await);
    seen.lifecycle = Some(look.lifecycle().await);
    seen.cors = Some(look.cors().await);
    if let Some(name) = probe {
        seen.probe = Some(look.probe(&layout.probe(name)).await);
    }
    seen
}

struct Look<'a> {
    client: Client,
    bucket: &'a str,
    layout: &'a KeyLayout,
}

impl Look<'_> {
    /// Of an object that is not there, so that a success costs no bytes.
    async fn read(&self) -> Answer {
        let key = self.layout.probe("absent");
        answer(self.client.get_object().bucket(self.bucket).key(key).send().await).0
    }

    /// Keys that are limited to a prefix may list exactly that.
    async fn list(&self) -> Answer {
        let list = self.client.list_objects_v2().bucket(self.bucket).prefix(self.layout.prefix());
        answer(list.max_keys(1).send().await).0
    }

    async fn versioning(&self) -> (Answer, Versioning) {
        let (answer, output) =
            answer(self.client.get_bucket_versioning().bucket(self.bucket).send().await);
        let versioning = match output.and_then(|output| output.status) {
            Some(BucketVersioningStatus::Enabled) => Versioning::On,
            Some(_) => Versioning::Suspended,
            None => Versioning::Never,
        };
        (answer, versioning)
    }

    async fn lifecycle(&self) -> (Answer, bool) {
        let get = self.client.get_bucket_lifecycle_configuration().bucket(self.bucket);
        let (answer, output) = answer(get.send().await);
        let rules = output.and_then(|output| output.rules).unwrap_or_default();
        (answer, rules.iter().any(|rule| tidies(rule, self.layout.prefix())))
    }

    async fn cors(&self) -> (Answer, usize) {
        let (answer, output) =
            answer(self.client.get_bucket_cors().bucket(self.bucket).send().await);
        (answer, output.map_or(0, |output| output.cors_rules().len()))
    }

    async fn probe(&self, key: &str) -> Probe {
        let mut probe = Probe::default();
        let mut versions = Vec::new();
        let mut put = async |put: PutObjectFluentBuilder| {
            let (answer, output) = answer(put.send().await);
            versions.extend(output.and_then(|output| output.version_id));
            answer
        };
        probe.create = put(self.put(key).if_none_match("*")).await;
        if probe.create.is_success() {
            probe.again = Some(put(self.put(key).if_none_match("*")).await);
        } else if matches!(probe.create.status, Some(400 | 412 | 501)) {
            probe.plain = Some(put(self.put(key)).await);
        }
        let stored = probe.plain.as_ref().unwrap_or(&probe.create).is_success();
        if stored {
            let with_checksum = self.put(key).checksum_algorithm(ChecksumAlgorithm::Crc32);
            probe.checksum = Some(put(with_checksum).await);
            probe.versioned = versions.iter().any(|version| is_exact(Some(version)));
            probe.delete = Some(self.remove(key, versions).await);
        }
        probe
    }

    fn put(&self, key: &str) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(self.bucket)
            .key(key)
            .content_type("text/plain")
            .content_md5(BASE64.encode(&Md5::digest(SCRATCH)))
            .body(ByteStream::from_static(SCRATCH))
    }

    /// Removes every version that was written; the first answer that is no
    /// success, or the last. Where versions may not be deleted, the object is
    /// hidden at least, which a key that may write can always do.
    async fn remove(&self, key: &str, versions: Vec<String>) -> Answer {
        let delete = || self.client.delete_object().bucket(self.bucket).key(key);
        if versions.is_empty() {
            return answer(delete().send().await).0;
        }
        let mut last = Answer::default();
        for version in versions {
            last = answer(delete().version_id(version).send().await).0;
            if !last.is_success() {
                let _ = delete().send().await;
                break;
            }
        }
        last
    }
}

/// Whether a rule deletes the versions behind the newest of all keys.
fn tidies(rule: &LifecycleRule, prefix: &str) -> bool {
    #[expect(deprecated, reason = "stores still answer with the old place of the prefix")]
    let old = rule.prefix();
    let of = rule.filter().and_then(LifecycleRuleFilter::prefix).or(old).unwrap_or_default();
    *rule.status() == ExpirationStatus::Enabled
        && rule.noncurrent_version_expiration().is_some()
        && prefix.starts_with(of)
}

/// What the store answered, and what a success brought.
fn answer<T, E>(sent: Result<T, SdkError<E, HttpResponse>>) -> (Answer, Option<T>)
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let error = match sent {
        Ok(output) => return (Answer { status: Some(200), ..Answer::default() }, Some(output)),
        Err(error) => error,
    };
    let raw = error.raw_response();
    let date = raw
        .and_then(|raw| raw.headers().get("date"))
        .and_then(|date| httpdate::parse_http_date(date).ok());
    let status = raw.map(|raw| raw.status().as_u16());
    // A success that is no error of the store's either could not be read: its status says nothing.
    let unread = error.code().is_none() && matches!(status, Some(200..=299));
    let status = status.filter(|_| !unread);
    let message = match (error.message(), raw) {
        _ if unread => format!("the answer cannot be read: {}", innermost(&error)),
        (Some(message), _) => message.to_owned(),
        (None, Some(_)) => String::new(),
        (None, None) => format!("there is no answer: {}", innermost(&error)),
    };
    let code = error.code().unwrap_or_default().to_owned();
    (Answer { status, code, message, date }, None)
}

/// The reason behind all other errors, such as what the system said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
