//! What a doctor says.

use std::fmt;

use serde::Serialize;

/// The result of one check.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: Check,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do, or what to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Where the mistake lies, if it is a problem.
    #[serde(skip)]
    pub cause: Option<Cause>,
}

/// What is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// Whether the store answers at all.
    Endpoint,
    /// Whether requests are signed for the region of the endpoint.
    Region,
    /// Whether the key is accepted.
    Credentials,
    /// Whether this machine and the store agree on the time.
    Clock,
    /// Whether objects may be read.
    Reading,
    /// Whether keys may be listed.
    Listing,
    /// Whether writes keep what they replace.
    Versioning,
    /// Whether the versions behind the newest are deleted by themselves.
    Lifecycle,
    /// Whether pages of other origins may read from the bucket directly.
    Cors,
    /// Whether objects may be stored.
    Writing,
    /// Whether a write can depend on what is there.
    ConditionalWrites,
    /// Whether the store takes checksums besides the MD5.
    Checksums,
    /// Whether versions may be deleted for good.
    Deleting,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and may surprise.
    Warning,
    /// It does not work.
    Problem,
}

/// Where a mistake lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// In what is configured.
    Configuration,
    /// In the store, or on the way to it.
    Unreachable,
    /// In the key or the account.
    Denied,
}

impl Finding {
    pub(super) fn ok(check: Check, text: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, text: text.into(), advice: None, cause: None }
    }

    pub(super) fn warning(check: Check, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::ok(check, text) }
    }

    pub(super) fn problem(check: Check, cause: Cause, text: impl Into<String>) -> Self {
        Self { level: Level::Problem, cause: Some(cause), ..Self::ok(check, text) }
    }

    pub(super) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Check::Endpoint => "endpoint",
            Check::Region => "region",
            Check::Credentials => "credentials",
            Check::Clock => "clock",
            Check::Reading => "reading",
            Check::Listing => "listing",
            Check::Versioning => "versioning",
            Check::Lifecycle => "lifecycle",
            Check::Cors => "cors",
            Check::Writing => "writing",
            Check::ConditionalWrites => "conditional writes",
            Check::Checksums => "checksums",
            Check::Deleting => "deleting",
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "problem",
        })
    }
}
