//! `awning doctor`: what is wrong with the bucket, and what to do.

use std::fmt::Display;
use std::time::Duration;

use awning::clock::Clock;
use awning::store::s3::diagnose::{self, Finding, Level};
use awning::store::s3::{Profile, S3Config, Waits};
use clap::Args;
use serde::Serialize;

use super::{Context, publish, required};
use crate::exit::Unwell;

/// Attempts of one call, unless configured: a person is waiting.
const ATTEMPTS: u32 = 3;

/// How long a store may take to answer, unless configured.
const PATIENCE: Duration = Duration::from_secs(10);

/// Check the bucket, the key and the clock, and say what to do
///
/// Exits 0 when nothing is wrong (warnings allowed), 2 when the configuration
/// is, 4 when the store cannot be reached, and 7 when it refuses the key.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Write a scratch object under `.awning/probe/` too, and remove it again
    #[arg(long)]
    probe: bool,
}

/// A bucket without problems.
#[derive(Debug, Serialize)]
struct Well<'a> {
    outcome: &'static str,
    checks: &'a [Finding],
}

impl Doctor {
    /// Looks once.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let bucket = required(context.settings()?.store)?;
        let config = patient(context.s3_config(&bucket, Profile::Publisher)?);
        let name = if self.probe { Some(publish::nonce()?) } else { None };
        let seen =
            diagnose::observe(&config, &bucket.layout, name.as_deref(), &Clock::System).await;
        let checks = diagnose::judge(&seen);
        if !context.output.is_json() {
            for finding in &checks {
                context.output.line(Shown(finding))?;
            }
        }
        match Unwell::of(&checks) {
            Some(unwell) => Err(unwell.into()),
            None if context.output.is_json() => {
                Ok(context.output.json(&Well { outcome: "well", checks: &checks })?)
            }
            None => Ok(()),
        }
    }
}

/// With less patience than a publish has.
fn patient(config: S3Config) -> S3Config {
    let attempts = if config.attempts == 0 { ATTEMPTS } else { config.attempts };
    let answer = config.waits.answer.or(Some(PATIENCE));
    let backoff_max = config.waits.backoff_max.or(Some(Duration::from_secs(1)));
    S3Config { attempts, waits: Waits { answer, backoff_max }, ..config }
}

/// A finding as people read it.
struct Shown<'a>(&'a Finding);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Finding { check, level, text, advice, .. } = self.0;
        write!(f, "{level:<8} {check:<19} {text}")?;
        match advice {
            Some(advice) => write!(f, "\n{:8} {:19} {advice}", "", ""),
            None => Ok(()),
        }
    }
}

impl Unwell {
    /// The problems among some findings; `None` where there is none. The first
    /// decides the exit code: later ones may follow from it.
    fn of(checks: &[Finding]) -> Option<Self> {
        let problems = || checks.iter().filter(|finding| finding.level == Level::Problem);
        let cause = problems().find_map(|finding| finding.cause)?;
        Some(Self { problems: problems().count(), cause, checks: checks.to_vec() })
    }
}
