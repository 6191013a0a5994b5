//! How long a preview lasts: `--expires` of `publish` and `plan`.
//!
//! A plan keeps the length and not the end. Someone who says 7d wants visitors
//! to have the preview for a week, and a plan may wait for days before it is
//! applied, even past an end that it had fixed.

use std::time::{Duration, SystemTime};

use awning::clock::Clock;
use awning::manifest::Channel;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, duration};

/// The shortest life of a preview. Ends that are an hour apart count as the same.
const MIN: Duration = Duration::from_secs(2 * 60 * 60);

/// How long a preview lasts from when its channel is switched; in seconds in a plan.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "u64", into = "u64")]
pub(crate) struct Lifetime(Duration);

impl Lifetime {
    /// Reads what was typed, or says why it is too short.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match duration(text)? {
            short if short < MIN => Err(format!("{text} is too short: 2h at least")),
            lifetime => Ok(Self(lifetime)),
        }
    }

    /// When `channel` ends that is published now. The channel that is published
    /// to by default never does: its visitors must not lose it to a flag.
    pub(super) fn end(
        self,
        channel: &Channel,
        standing: &Channel,
    ) -> Result<SystemTime, ConfigError> {
        if channel == standing {
            let message = format!(
                "`--expires` is for previews, and `{channel}` is the channel of \
                 `publish.channel`: name another with --channel"
            );
            return Err(ConfigError::missing(&message));
        }
        Ok(Clock::System.now() + self.0)
    }

    /// Whole hours.
    pub(super) fn hours(self) -> u64 {
        self.0.as_secs() / 3600
    }
}

impl From<u64> for Lifetime {
    fn from(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl From<Lifetime> for u64 {
    fn from(lifetime: Lifetime) -> Self {
        lifetime.0.as_secs()
    }
}
