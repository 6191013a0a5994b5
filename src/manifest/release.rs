//! Releases, channels, and the records that switch a channel to a release.

use std::cmp::Ordering;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::asset::{Digest, DigestError};

/// The name of a release: BLAKE3 of its manifest's canonical bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ReleaseId(Digest);

/// The name of a line of releases: `production`, `preview-42`.
///
/// One to 64 characters of `A-Z a-z 0-9 . _ -`, not beginning with a dot.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Channel(Box<str>);

/// A text that cannot name a channel.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not a channel: use 1 to 64 of A-Z a-z 0-9 . _ - and no leading dot")]
pub struct ChannelError(String);

/// Largest activation record that is read, in bytes.
pub const ACTIVATION_BYTES_MAX: usize = 4096;

/// Why bytes are not an activation record of a channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// The bytes are not a record.
    #[error("the activation record is not readable")]
    Malformed(#[source] serde_json::Error),
    /// The record switches another channel than the one it was found under.
    #[error("the activation record is of channel {0}")]
    OtherChannel(Channel),
    /// The record has more than [`ACTIVATION_BYTES_MAX`] bytes.
    #[error("the activation record has {0} bytes, more than {ACTIVATION_BYTES_MAX}")]
    TooLarge(usize),
}

/// A record that a channel was switched to a release.
///
/// Each lies in the bucket under a key of its own, so no record overwrites
/// another; the greatest by `(seq, locked, order, nonce)` is the head of the
/// channel. A lock comes before the order: a publish that was under way when
/// someone rolled back must not win by its build number.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Activation {
    /// When it was written: RFC 3339 or an HTTP date, for people only.
    pub activated: String,
    /// Who switched by hand, for people only; absent where a publish did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The channel that is switched.
    pub channel: Channel,
    /// When the channel ends, as an HTTP date; absent where it stays. What a
    /// preview holds may be collected afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether publishes are refused until someone switches the channel by
    /// hand. A rollback sets it, so that the next build does not undo it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
    /// Tells apart records that were written at the same time.
    pub nonce: String,
    /// The publisher's own order, such as a build number; 0 when none was given.
    #[serde(default)]
    pub order: u64,
    /// The release that is switched to.
    pub release: ReleaseId,
    /// One more than that of the head which the publisher saw.
    pub seq: u64,
}

impl ReleaseId {
    /// The release whose manifest has this digest.
    pub fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        Digest::parse(text).map(Self)
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> String {
        self.0.to_string()[..12].to_owned()
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Channel {
    /// Checks `text` against the alphabet of channel names.
    pub fn parse(text: &str) -> Result<Self, ChannelError> {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits = (1..=64).contains(&text.len()) && !text.starts_with('.');
        if fits && text.bytes().all(known) {
            Ok(Self(text.into()))
        } else {
            Err(ChannelError(text.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Channel {
    /// `production`.
    fn default() -> Self {
        Self("production".into())
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Channel {
    type Error = ChannelError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> Self {
        channel.0.into()
    }
}

impl Activation {
    /// The record as it is stored.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ActivationError> {
        serde_json::to_vec(self).map_err(ActivationError::Malformed)
    }

    /// Reads a record that was found under the name of `channel`.
    ///
    /// Unknown fields are ignored.
    pub fn from_bytes(channel: &Channel, bytes: &[u8]) -> Result<Self, ActivationError> {
        if bytes.len() > ACTIVATION_BYTES_MAX {
            return Err(ActivationError::TooLarge(bytes.len()));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(ActivationError::Malformed)?;
        if record.channel == *channel {
            Ok(record)
        } else {
            Err(ActivationError::OtherChannel(record.channel))
        }
    }

    /// Compares two records of a channel: the greater one is newer.
    pub fn newer(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| self.nonce.cmp(&other.nonce))
    }

    /// When the channel ends. A date that cannot be read is none: what does
    /// not say when it ends is kept.
    pub fn ends(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.expires.as_deref()?).ok()
    }

    /// What decides between two records before their nonces do.
    pub(crate) fn rank(&self) -> (u64, bool, u64) {
        (self.seq, self.locked, self.order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, order: u64, nonce: &str) -> Activation {
        Activation {
            activated: String::new(),
            by: None,
            channel: Channel::parse("production").unwrap(),
            expires: None,
            locked: false,
            nonce: nonce.into(),
            order,
            release: ReleaseId::new(Digest::of(b"")),
            seq,
        }
    }

    #[test]
    fn the_newest_record_has_the_greatest_seq_then_lock_then_order_then_nonce() {
        let locked = |record| Activation { locked: true, ..record };
        let ascending = [
            locked(record(1, 9, "z")),
            record(2, 0, "a"),
            record(2, 0, "b"),
            record(2, 1, "a"),
            locked(record(2, 0, "a")),
            locked(record(2, 0, "b")),
            locked(record(2, 1, "a")),
        ];
        for pair in ascending.windows(2) {
            assert_eq!(pair[1].newer(&pair[0]), Ordering::Greater);
        }
    }

    #[test]
    fn a_record_reads_back_under_its_own_channel_only() {
        let written = record(3, 7, "n");
        let bytes = written.to_bytes().unwrap();
        assert_eq!(Activation::from_bytes(&written.channel, &bytes).unwrap(), written);

        let other = Channel::parse("preview").unwrap();
        let refused = Activation::from_bytes(&other, &bytes);
        assert!(matches!(refused, Err(ActivationError::OtherChannel(_))), "{refused:?}");
        let refused = Activation::from_bytes(&other, b"{}");
        assert!(matches!(refused, Err(ActivationError::Malformed(_))), "{refused:?}");
        let refused = Activation::from_bytes(&other, &[b' '; ACTIVATION_BYTES_MAX + 1]);
        assert!(matches!(refused, Err(ActivationError::TooLarge(4097))), "{refused:?}");
    }

    #[test]
    fn a_record_of_a_publish_has_the_bytes_it_always_had() {
        let written = record(3, 7, "n");
        let text = String::from_utf8(written.to_bytes().unwrap()).unwrap();
        let expected = format!(
            r#"{{"activated":"","channel":"production","nonce":"n","order":7,"release":"{}","seq":3}}"#,
            written.release
        );
        assert_eq!(text, expected);

        let by_hand = Activation { by: Some("anna".into()), locked: true, ..written };
        let bytes = by_hand.to_bytes().unwrap();
        assert_eq!(Activation::from_bytes(&by_hand.channel, &bytes).unwrap(), by_hand);
        let newer = expected.replace('}', r#","later":{}}"#);
        assert!(!Activation::from_bytes(&by_hand.channel, newer.as_bytes()).unwrap().locked);
    }

    #[test]
    fn a_channel_is_one_safe_segment_of_a_key() {
        for text in ["production", "preview-42", "a.b_c"] {
            assert!(Channel::parse(text).is_ok(), "{text}");
        }
        for text in ["", ".", "..", "a/b", "é", " ", &"c".repeat(65)] {
            assert!(Channel::parse(text).is_err(), "{text}");
        }
    }
}
