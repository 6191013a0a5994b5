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
use super::body::Pace;
use super::retry::StoreRetry;
use super::{Profile, S3Config};

/// B2 closes connections that were idle for five seconds. A request that is
/// written to one at that moment is lost, so ours are given up earlier.
const POOL_IDLE: Duration = Duration::from_secs(4);
const POOL_IDLE_PER_HOST_MAX: usize = 64;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// All attempts together take at least so long before they are given up, so
/// that the waits between them have their time.
const MINUTE: Duration = Duration::from_secs(60);

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
        .retry_classifier(StoreRetry { retry_after_max: backoff_max(config) })
        .interceptor(attempts.clone())
        .timeout_config(Patience::of(config).timeouts())
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

/// How long the calls of one store may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first byte of an answer.
    read: Duration,
    /// One attempt, until the answer's header.
    attempt: Duration,
    /// All attempts together.
    operation: Duration,
}

impl Patience {
    pub(super) fn of(config: &S3Config) -> Self {
        let [read, attempt, operation] = match config.profile {
            Profile::Publisher => [60, 120, 15 * 60],
            Profile::Shield => [5, 8, 15],
        }
        .map(Duration::from_secs);
        match config.waits.answer {
            None => Self { read, attempt, operation },
            Some(read) => {
                let operation = read.saturating_mul(2).saturating_mul(attempts(config));
                Self { read, attempt: read.saturating_mul(2), operation: operation.max(MINUTE) }
            }
        }
    }

    /// What is set for a single upload of so many bytes.
    pub(super) fn settings(self, bytes: u64) -> aws_sdk_s3::config::Builder {
        aws_sdk_s3::Config::builder().timeout_config(self.upload(bytes))
    }

    /// For an upload of so many bytes.
    fn upload(self, bytes: u64) -> TimeoutConfig {
        let sending = Duration::from_secs(bytes / UPLOAD_BYTES_PER_SECOND_MIN);
        let [read, attempt, operation] =
            [self.read, self.attempt, self.operation].map(|time| time.saturating_add(sending));
        Self { read, attempt, operation }.timeouts()
    }

    /// For a body that is read.
    pub(super) fn pace(self) -> Pace {
        Pace::of(self.read)
    }

    fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(self.read))
            .read_timeout(self.read)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }
}

fn retries(config: &S3Config) -> RetryConfig {
    let initial = match config.profile {
        Profile::Publisher => Duration::from_millis(200),
        Profile::Shield => Duration::from_millis(50),
    };
    RetryConfig::standard()
        .with_max_attempts(attempts(config))
        .with_initial_backoff(initial.min(backoff_max(config)))
        .with_max_backoff(backoff_max(config))
}

/// Attempts of one call, the first included.
pub(super) fn attempts(config: &S3Config) -> u32 {
    match (config.attempts, config.profile) {
        (0, Profile::Publisher) => 8,
        (0, Profile::Shield) => 2,
        (attempts, _) => attempts,
    }
}

/// Longest wait between two attempts, whatever the store asks for.
fn backoff_max(config: &S3Config) -> Duration {
    let usual = match config.profile {
        Profile::Publisher => Duration::from_secs(20),
        Profile::Shield => Duration::from_secs(1),
    };
    config.waits.backoff_max.unwrap_or(usual)
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
    use super::super::Waits;
    use super::*;

    fn patience(profile: Profile, answer: Option<Duration>) -> Patience {
        Patience::of(&S3Config {
            endpoint: "http://127.0.0.1".parse().unwrap(),
            region: String::new(),
            bucket: String::new(),
            key_id: String::new(),
            key: "".into(),
            profile,
            attempts: 0,
            waits: Waits { answer, ..Waits::default() },
        })
    }

    #[test]
    fn an_upload_gets_the_time_its_bytes_need() {
        let patience = patience(Profile::Publisher, None);
        let (small, large) = (patience.upload(0), patience.upload(64 * 1024 * 1024));
        assert_eq!(small.read_timeout(), Some(Duration::from_secs(60)));
        assert_eq!(large.read_timeout(), Some(Duration::from_secs(60 + 1024)));
        assert!(large.operation_attempt_timeout() > large.read_timeout());
        assert!(large.operation_timeout() > large.operation_attempt_timeout());
    }

    #[test]
    fn one_setting_scales_all_waits() {
        for (answer, attempt, operation) in [(1, 2, 60), (300, 600, 4800)] {
            let answer = Duration::from_secs(answer);
            let patience = patience(Profile::Publisher, Some(answer));
            let timeouts = patience.timeouts();
            assert_eq!(timeouts.read_timeout(), Some(answer));
            assert_eq!(patience.attempt.as_secs(), attempt);
            assert_eq!(patience.operation.as_secs(), operation);
        }
    }
}
