//! `[store]`: which bucket, and the credentials for it.

use std::time::Duration;

use awning::asset::KeyLayout;
use awning::publish::ConditionalWrites;
use awning::store::s3::{self, Waits};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::reader::{Document, variable_of};
use super::{ConfigError, Environment, unit};

/// What SigV4 is signed for where neither the file nor the endpoint names a region.
const DEFAULT_REGION: &str = "us-east-1";

/// No wait for a store is shorter or longer.
const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// A bucket, as configured.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    /// Name of the bucket.
    pub(crate) bucket: String,
    /// The S3 endpoint, without the bucket.
    pub(crate) endpoint: Url,
    /// The region that requests are signed for.
    pub(crate) region: String,
    /// Where awning's keys lie in the bucket.
    pub(crate) layout: KeyLayout,
    /// Tries of one call, the first included; 0 is the default of its use.
    pub(crate) attempts: u32,
    /// How long to wait for it.
    pub(crate) waits: Waits,
    /// Whether an activation may use conditional writes.
    pub(crate) conditional_writes: ConditionalWrites,
}

/// An access key.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// Its id.
    pub(crate) key_id: String,
    /// The secret half.
    pub(crate) key: SecretString,
}

/// Reads the table; `None` when there is none and the environment names no bucket.
pub(crate) fn read(document: &mut Document<'_>) -> Option<StoreSettings> {
    let (mut table, present) = document.table("store");
    let missing = ["bucket", "endpoint"].map(|key| (key, !table.has(key)));
    let bucket = table.parsed("bucket", bucket);
    let endpoint = table.parsed("endpoint", endpoint);
    let region = table.text("region");
    let prefix = table.text("prefix").unwrap_or_default();
    let attempts = table.parsed("attempts", attempts).unwrap_or(0);
    let waits = Waits {
        answer: table.parsed("timeout", wait),
        backoff_max: table.parsed("backoff_max", wait),
    };
    let conditional_writes =
        table.parsed("conditional_writes", conditional_writes).unwrap_or_default();
    for (key, missing) in missing {
        if present && missing {
            let variable = variable_of(&format!("store.{key}"));
            table.problem(None, format!("`store.{key}` is missing: set it, or {variable}"));
        }
    }
    table.finish();

    let (bucket, endpoint) = (bucket?, endpoint?);
    let region =
        region.or_else(|| s3::region_of(&endpoint)).unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let layout = KeyLayout::under(&prefix);
    Some(StoreSettings { bucket, endpoint, region, layout, attempts, waits, conditional_writes })
}

impl Credentials {
    /// Credentials from the environment: B2's names first, then the AWS ones.
    pub(crate) fn from(environment: &Environment) -> Result<Self, ConfigError> {
        let pairs = [
            ("B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"),
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ];
        for (id, key) in pairs {
            let (id, key) = (environment.secret(id)?, environment.secret(key)?);
            if let (Some(id), Some(key)) = (id, key) {
                return Self::checked(id.expose_secret(), key);
            }
        }
        Err(ConfigError::missing(
            "no credentials for the bucket: set B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY \
             (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY); each also as NAME_FILE",
        ))
    }

    /// A pair that can be sent in a header field.
    pub(crate) fn checked(key_id: &str, key: SecretString) -> Result<Self, ConfigError> {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if plain(key_id) && plain(key.expose_secret()) {
            return Ok(Self { key_id: key_id.to_owned(), key });
        }
        Err(ConfigError::missing(
            "the credentials for the bucket hold a space, a line break or another character that \
             no key has: set them again",
        ))
    }
}

fn bucket(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no bucket: write its name alone, as in etalage"))
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let refuse = || {
        format!("`{text}` is no endpoint: write one like https://s3.eu-central-003.backblazeb2.com")
    };
    let url = Url::parse(text).map_err(|_| refuse())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.username().is_empty();
    if plain { Ok(url) } else { Err(refuse()) }
}

/// `always` is no choice: a store that only seems to have them loses writes.
fn conditional_writes(text: &str) -> Result<ConditionalWrites, String> {
    match text {
        "never" => Ok(ConditionalWrites::Never),
        "probe" => Ok(ConditionalWrites::Probe),
        _ => Err(format!("`{text}` is neither `probe` nor `never`")),
    }
}

fn attempts(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..=20) => Ok(count),
        _ => Err(format!("`{text}` is not a whole number from 1 to 20")),
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    match unit::duration(text)? {
        time if (WAIT_MIN..=WAIT_MAX).contains(&time) => Ok(time),
        _ => Err(format!("`{text}` is not from 50ms to 1h")),
    }
}
