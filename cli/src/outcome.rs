//! What a publish came to, as people, programs and workflows are told.

use std::fmt;

use awning::manifest::{Channel, ReleaseId};
use awning::publish::{BuildError, Options, Plan, PublishError};
use indicatif::HumanBytes;
use serde::Serialize;

use crate::figures::Figures;
use crate::github::Step;
use crate::output::Output;

/// What a publish came to.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Nothing was sent.
    Planned(Box<Plan>),
    /// The release is stored, the channel not switched.
    Uploaded(Summary),
    /// The channel has the release.
    Published(Summary),
    /// The channel had the release already.
    Unchanged(Summary),
}

/// Figures of a publish.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    channel: Channel,
    release: ReleaseId,
    assets: usize,
    uploaded: usize,
    uploaded_bytes: u64,
    /// What it cost and saved.
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

impl Summary {
    /// The figures of what a plan will do.
    pub(crate) fn of(plan: &Plan, options: &Options) -> Self {
        let (uploaded, uploaded_bytes) = plan.uploads();
        Self {
            channel: options.channel.clone(),
            release: plan.release(),
            assets: plan.manifest().len(),
            uploaded,
            uploaded_bytes,
            figures: Figures::of(plan.manifest()),
        }
    }

    /// The same for a table.
    fn rows(&self) -> Vec<(&'static str, String)> {
        let Self { channel, release, assets, uploaded, uploaded_bytes, figures } = self;
        let Figures { variants, variant_bytes_saved, calls, retries } = figures;
        vec![
            ("Release", release.to_string()),
            ("Channel", channel.to_string()),
            ("Assets", assets.to_string()),
            ("Uploaded", format!("{uploaded} object(s), {}", HumanBytes(*uploaded_bytes))),
            ("Variants", format!("{variants}, saving {}", HumanBytes(*variant_bytes_saved))),
            ("Calls by B2 class", format!("{} A, {} B, {} C", calls.a, calls.b, calls.c)),
            ("Sent again", retries.to_string()),
        ]
    }
}

impl Outcome {
    /// The figures, unless nothing was to be done but to plan.
    fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Planned(_) => None,
            Self::Uploaded(summary) | Self::Published(summary) | Self::Unchanged(summary) => {
                Some(summary)
            }
        }
    }

    /// The same, to add what the publish cost.
    pub(crate) fn summary_mut(&mut self) -> Option<&mut Summary> {
        match self {
            Self::Planned(_) => None,
            Self::Uploaded(summary) | Self::Published(summary) | Self::Unchanged(summary) => {
                Some(summary)
            }
        }
    }

    /// The headline.
    fn title(&self) -> String {
        let (what, release) = match self {
            Self::Planned(plan) => ("planned", plan.release()),
            Self::Uploaded(summary) => ("uploaded, not activated:", summary.release),
            Self::Published(summary) => ("published", summary.release),
            Self::Unchanged(summary) => ("unchanged", summary.release),
        };
        format!("awning: {what} {}", release.short())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Planned(plan) => write!(f, "{plan}"),
            Outcome::Uploaded(summary) => write!(f, "uploaded  {summary}; not activated"),
            Outcome::Published(summary) => write!(f, "published {summary}"),
            Outcome::Unchanged(summary) => {
                let Summary { channel, release, assets, figures, .. } = summary;
                let short = release.short();
                write!(f, "unchanged {short} on {channel}: {assets} assets, nothing to upload")?;
                write!(f, "{figures}")
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel, release, assets, uploaded, uploaded_bytes, figures } = self;
        let (short, bytes) = (release.short(), HumanBytes(*uploaded_bytes));
        write!(f, "{short} on {channel}: {assets} assets, {uploaded} uploaded ({bytes}){figures}")
    }
}

/// Tells the workflow that runs this what came of it.
pub(crate) fn tell_step(step: &Step, outcome: &anyhow::Result<Outcome>, output: Output) {
    let failed = |error: &anyhow::Error| (format!("awning: {error}"), failed_rows(error));
    if let Err(error) = outcome
        && !is_annotated(error)
    {
        step.annotate_failures(std::iter::once(format!("{error:#}")), output);
    }
    let (title, rows) = match outcome {
        Ok(outcome) => (outcome.title(), outcome.summary().map(Summary::rows).unwrap_or_default()),
        Err(error) => failed(error),
    };
    let outputs = outcome.as_ref().ok().and_then(Outcome::summary);
    let outputs = outputs.map(|summary| {
        [
            ("release", summary.release.to_string()),
            ("channel", summary.channel.to_string()),
            ("uploaded", summary.uploaded.to_string()),
        ]
    });
    step.publish(&title, &rows, outputs.as_ref().map_or(&[], |outputs| outputs), output);
}

/// Whether a failure was annotated piece by piece when it happened.
fn is_annotated(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<BuildError>()
            || matches!(cause.downcast_ref(), Some(PublishError::Incomplete { .. }))
    })
}

/// What a failure was about: problems of the tree, or its causes.
fn failed_rows(error: &anyhow::Error) -> Vec<(&'static str, String)> {
    let problems = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(BuildError::Problems(problems)) => Some(problems),
        _ => None,
    });
    match problems {
        Some(problems) => problems.iter().map(|problem| ("Problem", problem.to_string())).collect(),
        None => error.chain().skip(1).map(|cause| ("Cause", cause.to_string())).collect(),
    }
}
