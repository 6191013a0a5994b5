//! `awning gc`: what no release needs any more is listed, and deleted later.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::anyhow;
use awning::clock::Clock;
use awning::publish::prune::{
    self, Abandoned, Collected, DELETE_PERCENT_DEFAULT, GRACE_MIN, KEEP_DEFAULT, Kind, Policy,
    PruneError, Tally, Unneeded, tallies,
};
use awning::store::s3::Profile;
use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::{Context, required};
use crate::config::duration;
use crate::interrupt::Signals;

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// What an interrupted collection leaves behind.
const CONDEMNED: &str = "what was deleted was condemned before; the next run goes on";

/// Collect what no release needs any more, in two phases
///
/// A run lists what nothing needs, and deletes what an earlier run listed more
/// than the grace ago, if nothing needs it by now. So run it every day. The
/// head of every channel stays, the releases before it as told, previews that
/// have not ended, and what a publish under way may need. Stops without
/// deleting anything when something cannot be read.
///
/// Large files whose upload was begun more than the grace ago and never
/// completed still take room: these uploads are aborted, 10,000 a run at most,
/// unless a publish under way may go on with them.
///
/// Costs a LIST for every 1,000 versions in the bucket, some GETs for each
/// kept release, a DELETE for each version, and a LIST and a DELETE for each
/// upload; the key needs `deleteFiles`.
#[derive(Args, Debug)]
pub(crate) struct Gc {
    /// Different releases of each channel that are kept
    #[arg(long, value_name = "N", default_value_t = KEEP_DEFAULT)]
    keep: usize,

    /// Days that a release is kept after another took its place
    #[arg(long, value_name = "D", default_value_t = 30)]
    keep_days: u16,

    /// How old something must be to be listed, and how long it then waits: 24h at least
    #[arg(long, value_name = "DURATION", default_value = "72h", value_parser = grace)]
    grace: Duration,

    /// Refuse to delete more than this percentage of the objects
    #[arg(long, value_name = "P", default_value_t = DELETE_PERCENT_DEFAULT,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    max_delete_percent: u8,

    /// Tell what would be listed and deleted; nothing is written
    #[arg(long)]
    dry_run: bool,
}

/// What a collection came to.
#[derive(Debug, Serialize)]
struct Summary {
    /// `collected`, or `planned` for a dry run.
    outcome: &'static str,
    /// What was deleted, by kind.
    deleted: BTreeMap<Kind, Tally>,
    /// What was listed for a later run, by kind.
    condemned: BTreeMap<Kind, Tally>,
    /// Unfinished uploads that were aborted.
    aborted: UploadTally,
    #[serde(flatten)]
    collected: Collected,
    #[serde(skip)]
    grace: Duration,
}

/// How many uploads, and how many bytes had arrived.
#[derive(Clone, Copy, Debug, Serialize)]
struct UploadTally {
    uploads: usize,
    bytes: u64,
}

impl Gc {
    /// Collects once.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = context.store(&bucket, Profile::Publisher)?;
        let policy = Policy {
            keep: self.keep,
            keep_for: Duration::from_secs(u64::from(self.keep_days) * DAY),
            grace: self.grace,
            delete_percent_max: self.max_delete_percent,
            dry_run: self.dry_run,
            ..Policy::default()
        };
        let (layout, now) = (&bucket.layout, Clock::System.now());
        let work = async { prune::collect(&store, layout, &policy, now).await.map_err(with_hint) };
        let collected = Signals::listen()?.interrupt(CONDEMNED, work).await?;
        collected.remarks.iter().for_each(|remark| context.output.warning(remark));
        if !collected.by_version {
            context.output.warning(
                "the store has no versions, so objects are deleted by key: run one collector at \
                 a time",
            );
        }
        let summary = Summary {
            outcome: if self.dry_run { "planned" } else { "collected" },
            deleted: tallies(&collected.swept.deleted),
            condemned: tallies(&collected.marked.condemned),
            aborted: UploadTally::of(&collected.uploads.aborted),
            collected,
            grace: self.grace,
        };
        context.output.data(&summary, &summary)?;
        Ok(())
    }
}

impl UploadTally {
    fn of(aborted: &[Abandoned]) -> Self {
        Self { uploads: aborted.len(), bytes: aborted.iter().map(|one| one.size).sum() }
    }
}

/// A grace, or why it is none.
fn grace(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < GRACE_MIN => {
            Err(format!("{text} is too short: a publish may take 12 hours, so 24h at least"))
        }
        grace => Ok(grace),
    }
}

/// Tells what to type where a flag overrules the refusal.
fn with_hint(error: PruneError) -> anyhow::Error {
    match error {
        PruneError::TooMany { .. } => anyhow!(error)
            .context("nothing was deleted: look at `--dry-run`, and pass --max-delete-percent"),
        error => error.into(),
    }
}

impl fmt::Display for Summary {
    /// In a dry run a line a version; then the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Collected { swept, marked, uploads, kept, objects, dry_run, .. } = &self.collected;
        if *dry_run {
            lines(f, "delete ", &swept.deleted)?;
            upload_lines(f, &uploads.aborted)?;
            lines(f, "condemn", &marked.condemned)?;
        }
        let hours = self.grace.as_secs() / 3600;
        let (delete, condemn) =
            if *dry_run { ("would delete", "would condemn") } else { ("deleted", "condemned") };
        writeln!(f, "{delete} {}", Counts(&self.deleted))?;
        if swept.spared > 0 {
            writeln!(f, "spared {} that were condemned and are needed again", swept.spared)?;
        }
        let waiting: usize = swept.waiting.values().sum();
        if waiting > 0 {
            writeln!(f, "waiting {waiting} that were condemned less than {hours} h ago")?;
        }
        let UploadTally { uploads: aborted, bytes } = self.aborted;
        if aborted > 0 {
            let abort = if *dry_run { "would abort" } else { "aborted" };
            writeln!(f, "{abort} {aborted} unfinished uploads ({})", HumanBytes(bytes))?;
        }
        if uploads.kept > 0 {
            let kept = uploads.kept;
            writeln!(f, "left {kept} unfinished uploads that may still be completed")?;
        }
        writeln!(f, "{condemn} {}", Counts(&self.condemned))?;
        write!(f, "kept {} releases; {objects} objects were in the bucket", kept.len())
    }
}

fn lines(f: &mut fmt::Formatter<'_>, verb: &str, all: &[Unneeded]) -> fmt::Result {
    all.iter().try_for_each(|one| {
        let version = one.version.as_deref().unwrap_or("-");
        writeln!(f, "{verb}  {}  {}  {}  {version}", name(one.kind), HumanBytes(one.size), one.key)
    })
}

fn upload_lines(f: &mut fmt::Formatter<'_>, all: &[Abandoned]) -> fmt::Result {
    all.iter().try_for_each(|one| {
        writeln!(f, "abort    upload  {}  {}  {}", HumanBytes(one.size), one.key, one.upload)
    })
}

/// Counts by kind, in words.
struct Counts<'a>(&'a BTreeMap<Kind, Tally>);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: usize = self.0.values().map(|tally| tally.versions).sum();
        let bytes: u64 = self.0.values().map(|tally| tally.bytes).sum();
        write!(f, "{versions} versions ({})", HumanBytes(bytes))?;
        for (at, (kind, tally)) in self.0.iter().enumerate() {
            let separator = if at == 0 { ": " } else { ", " };
            write!(f, "{separator}{} {}", tally.versions, name(*kind))?;
        }
        Ok(())
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Superseded => "superseded",
        Kind::Manifest => "manifest",
        Kind::Object => "object",
        Kind::Record => "record",
        Kind::Head => "head",
        Kind::Intent => "intent",
        Kind::Probe => "probe",
    }
}
