//! The settings of the S3 client, each with its reason.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use secrecy::ExposeSecret as _;

use super::attempts::Attempts;
use super::retry::StoreRetry;
use super::{Profile, S3Config};

/// B2 closes connections that were idle for five seconds. A request that is
/// written to one at that moment is lost, so ours are given up earlier.
const POOL_IDLE: Duration = Duration::from_secs(4);
const POOL_IDLE_PER_HOST_MAX: usize = 64;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A stream that moves less than a byte a second for so long is broken.
const STALL_GRACE: Duration = Duration::from_secs(10);

/// The slowest upload that is waited for. The read timeout runs from the start
/// of a request, so it has to leave time for the body.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

/// Builds the client. It is made once: it holds the pool and the retry tokens.
pub(super) fn client(config: &S3Config, attempts: &Attempts) -> Client {
    let profile = config.profile;
    let credentials =
        Credentials::new(&config.key_id, config.key.expose_secret(), None, None, "awning");
    let settings = aws_sdk_s3::Config::builder()
        // Pinned: a newer one changes timeouts and retries.
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(config.region.clone()))
        .endpoint_url(config.endpoint.as_str().trim_end_matches('/'))
        // Buckets of other stores have no host name of their own.
        .force_path_style(true)
        .credentials_provider(credentials)
        // Clusters of B2 refuse checksum header fields they do not know, and
        // checksum trailers change the stored Content-Encoding elsewhere.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(retries(config))
        .retry_classifier(StoreRetry { retry_after_max: backoff_max(profile) })
        .interceptor(attempts.clone())
        .timeout_config(timeouts(profile))
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(STALL_GRACE).build(),
        )
        .http_client(http_client(config.endpoint.scheme() == "https"));
    let settings = match profile {
        // The SDK's own bucket of retry tokens is meant to shed load. It runs
        // dry when a store answers 503 for a while, and the publish with it.
        Profile::Publisher => settings.retry_partition(
            RetryPartition::custom("awning-publisher")
                .token_bucket(TokenBucket::unlimited())
                .build(),
        ),
        Profile::Shield => settings,
    };
    Client::from_conf(settings.build())
}

/// Timeouts of an upload of so many bytes.
pub(super) fn upload_timeouts(profile: Profile, bytes: u64) -> TimeoutConfig {
    let sending = Duration::from_secs(bytes / UPLOAD_BYTES_PER_SECOND_MIN);
    let calm = Patience::of(profile);
    Patience {
        read: calm.read + sending,
        attempt: calm.attempt + sending,
        operation: calm.operation + sending,
    }
    .timeouts()
}

/// How long a body may stand still while it is read.
pub(super) fn body_idle_timeout(profile: Profile) -> Duration {
    Patience::of(profile).read
}

struct Patience {
    /// Until the first byte of an answer.
    read: Duration,
    /// One attempt, until the answer's header.
    attempt: Duration,
    /// All attempts together.
    operation: Duration,
}

impl Patience {
    fn of(profile: Profile) -> Self {
        let [read, attempt, operation] = match profile {
            Profile::Publisher => [60, 120, 15 * 60],
            Profile::Shield => [5, 8, 15],
        }
        .map(Duration::from_secs);
        Self { read, attempt, operation }
    }

    fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(self.read)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
}

fn timeouts(profile: Profile) -> TimeoutConfig {
    Patience::of(profile).timeouts()
}

fn retries(config: &S3Config) -> RetryConfig {
    let (attempts, initial) = match config.profile {
        Profile::Publisher => (8, Duration::from_millis(200)),
        Profile::Shield => (2, Duration::from_millis(50)),
    };
    let attempts = if config.attempts == 0 { attempts } else { config.attempts };
    RetryConfig::standard()
        .with_max_attempts(attempts)
        .with_initial_backoff(initial)
        .with_max_backoff(backoff_max(config.profile))
}

/// Longest wait between two attempts, whatever the store asks for.
fn backoff_max(profile: Profile) -> Duration {
    match profile {
        Profile::Publisher => Duration::from_secs(20),
        Profile::Shield => Duration::from_secs(1),
    }
}

fn http_client(tls: bool) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX);
    if tls {
        builder.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
    } else {
        builder.build_http()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_gets_the_time_its_bytes_need() {
        let small = upload_timeouts(Profile::Publisher, 0);
        let large = upload_timeouts(Profile::Publisher, 64 * 1024 * 1024);
        assert_eq!(small.read_timeout(), Some(Duration::from_secs(60)));
        assert_eq!(large.read_timeout(), Some(Duration::from_secs(60 + 1024)));
        assert!(large.operation_attempt_timeout() > large.read_timeout());
        assert!(large.operation_timeout() > large.operation_attempt_timeout());
    }
}
