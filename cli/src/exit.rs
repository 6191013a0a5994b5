//! Exit codes, and what leads to each. The codes are part of the interface.

use std::net::SocketAddr;
use std::path::PathBuf;

use awning::bucket::BucketError;
use awning::publish::prune::PruneError;
use awning::publish::{BuildError, PublishError, Refused};
use awning::shield;
use awning::store::s3::diagnose::{Cause, Finding};
use awning::store::{StoreError, StoreErrorKind};

use crate::config::ConfigError;
use crate::interrupt::Interrupted;
use crate::planned::{PlanFileError, Unplanned};

const UNFORESEEN: u8 = 1;
pub(crate) const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const INCOMPLETE: u8 = 4;
const SUPERSEDED: u8 = 5;
const CORRUPT: u8 = 6;
const DENIED: u8 = 7;
const INTERRUPTED: u8 = 130;

/// The store or the shield did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub String);

/// The command was understood, and what it asks for is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotThere(pub String);

/// Arguments that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub String);

/// A file that was given cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", .file.display())]
pub(crate) struct CannotWrite {
    /// The file.
    pub(crate) file: PathBuf,
    /// Why.
    pub(crate) source: std::io::Error,
}

/// A doctor found something that does not work.
#[derive(Debug, thiserror::Error)]
#[error("{problems} of {} checks found a problem", .checks.len())]
pub(crate) struct Unwell {
    /// How many problems.
    pub(crate) problems: usize,
    /// Where the first one lies.
    pub(crate) cause: Cause,
    /// Everything that was found.
    pub(crate) checks: Vec<Finding>,
}

/// What is stored is not what was sent.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Unsound {
    /// What it is.
    pub(crate) message: String,
    /// The keys, and what is wrong with each.
    pub(crate) flaws: Vec<(String, String)>,
}

/// An address that was given cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(crate) struct CannotListen {
    /// The address.
    pub(crate) address: SocketAddr,
    /// Why.
    pub(crate) source: std::io::Error,
}

/// The exit code of an error: that of the first cause that has one.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(UNFORESEEN)
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &StoreError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if cause.is::<ConfigError>() || cause.is::<shield::ConfigError>() {
        return Some(USAGE);
    }
    if cause.is::<Usage>() || cause.is::<CannotWrite>() {
        return Some(USAGE);
    }
    if cause.is::<BucketError>() || cause.is::<CannotListen>() {
        return Some(USAGE);
    }
    if cause.is::<BuildError>() || cause.is::<NotThere>() {
        return Some(REFUSED);
    }
    if cause.is::<Unsound>() {
        return Some(CORRUPT);
    }
    if let Some(error) = cause.downcast_ref::<PruneError>() {
        return Some(of_prune(error));
    }
    if cause.is::<PlanFileError>() {
        return Some(USAGE);
    }
    if let Some(unplanned) = cause.downcast_ref::<Unplanned>() {
        return Some(match unplanned {
            Unplanned::Base { .. } => SUPERSEDED,
            _ => REFUSED,
        });
    }
    if cause.is::<Unreachable>() {
        return Some(INCOMPLETE);
    }
    if cause.is::<Interrupted>() {
        return Some(INTERRUPTED);
    }
    if let Some(unwell) = cause.downcast_ref::<Unwell>() {
        return Some(of_cause(unwell.cause));
    }
    if let Some(refused) = cause.downcast_ref::<Refused>() {
        return Some(of_refusal(refused));
    }
    if let Some(error) = cause.downcast_ref::<PublishError>() {
        return Some(of_publish(error));
    }
    cause.downcast_ref::<StoreError>().map(of_store)
}

fn of_refusal(refused: &Refused) -> u8 {
    match refused {
        Refused::Superseded { .. } | Refused::Locked { .. } => SUPERSEDED,
        Refused::Collision { .. } | Refused::Reused { .. } => CORRUPT,
        _ => REFUSED,
    }
}

fn of_publish(error: &PublishError) -> u8 {
    match error {
        _ if error.is_denied() => DENIED,
        PublishError::Store(error) => of_store(error),
        // A file that changed is no refusal: other objects may be stored already.
        PublishError::Changed { .. } | PublishError::Incomplete { .. } => INCOMPLETE,
        PublishError::Unsettled | PublishError::Late { .. } => INCOMPLETE,
        PublishError::TooLate | PublishError::Collecting { .. } => INCOMPLETE,
        PublishError::Superseded { .. } | PublishError::Locked { .. } => SUPERSEDED,
        PublishError::NoRelease { .. } => REFUSED,
        PublishError::Damaged { .. } | PublishError::Occupied { .. } => CORRUPT,
        PublishError::Record { .. } => CORRUPT,
        PublishError::Unreadable { .. } | PublishError::Broken { .. } => CORRUPT,
        PublishError::Condemned { .. } => CORRUPT,
        _ => UNFORESEEN,
    }
}

fn of_prune(error: &PruneError) -> u8 {
    match error {
        PruneError::Store(error) => of_store(error),
        PruneError::Unreadable(error) => of_publish(error),
        PruneError::NoManifest { .. } | PruneError::Malformed { .. } => CORRUPT,
        PruneError::Undated { .. } => CORRUPT,
        PruneError::TooMany { .. } | PruneError::TooLarge { .. } => REFUSED,
        PruneError::Grace { .. } => USAGE,
        _ => UNFORESEEN,
    }
}

fn of_cause(cause: Cause) -> u8 {
    match cause {
        Cause::Configuration => USAGE,
        Cause::Unreachable => INCOMPLETE,
        Cause::Denied => DENIED,
    }
}

fn of_store(error: &StoreError) -> u8 {
    match error.kind() {
        StoreErrorKind::Denied | StoreErrorKind::Capped => DENIED,
        StoreErrorKind::Corrupt => CORRUPT,
        // No such bucket, another region: trying again cannot help.
        StoreErrorKind::Rejected | StoreErrorKind::Unsupported => USAGE,
        _ => INCOMPLETE,
    }
}
