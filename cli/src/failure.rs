//! An error as programs read it: the document that `--json` prints instead of
//! a command's data. People read the same on standard error.

use awning::publish::{Broken, BuildError, Problem, PublishError};
use awning::store::s3::diagnose::Finding;
use serde::Serialize;

use crate::exit::{self, Unsound};

/// What a command that failed came to.
#[derive(Debug, Serialize)]
pub(crate) struct Failure<'a> {
    outcome: &'static str,
    exit_code: u8,
    error: String,
    causes: Vec<String>,
    /// What is wrong with the source tree.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [Problem],
    /// Objects that were not stored, or are not as they should be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Unstored<'a>>,
    /// Everything that a doctor found.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    checks: &'a [Finding],
}

#[derive(Debug, Serialize)]
struct Unstored<'a> {
    key: &'a str,
    error: String,
}

impl<'a> Failure<'a> {
    /// The whole story of an error.
    pub(crate) fn of(error: &'a anyhow::Error) -> Self {
        Self {
            causes: error.chain().skip(1).map(ToString::to_string).collect(),
            problems: error.chain().find_map(problems).unwrap_or_default(),
            failed: error.chain().find_map(unstored).unwrap_or_default(),
            checks: error.chain().find_map(checks).unwrap_or_default(),
            ..Self::named(exit::code(error), error.to_string())
        }
    }

    /// A command that was typed wrong.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        Self::named(exit::USAGE, error.render().to_string().trim_end().to_owned())
    }

    fn named(exit_code: u8, error: String) -> Self {
        Self {
            outcome: "failed",
            exit_code,
            error,
            causes: Vec::new(),
            problems: &[],
            failed: Vec::new(),
            checks: &[],
        }
    }
}

fn checks<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a [Finding]> {
    cause.downcast_ref().map(|unwell: &exit::Unwell| &unwell.checks[..])
}

fn problems<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a [Problem]> {
    match cause.downcast_ref()? {
        BuildError::Problems(problems) => Some(problems),
        _ => None,
    }
}

fn unstored<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<Vec<Unstored<'a>>> {
    if let Some(Unsound { flaws, .. }) = cause.downcast_ref() {
        let one = |(key, error): &'a (String, String)| Unstored { key, error: error.clone() };
        return Some(flaws.iter().map(one).collect());
    }
    match cause.downcast_ref()? {
        PublishError::Incomplete { failed, .. } => {
            let one = |(key, error): &'a (String, _)| Unstored { key, error: exit::chain(error) };
            Some(failed.iter().map(one).collect())
        }
        PublishError::Broken { objects, .. } => {
            let one = |object: &'a Broken| Unstored { key: &object.key, error: object.to_string() };
            Some(objects.iter().map(one).collect())
        }
        _ => None,
    }
}
