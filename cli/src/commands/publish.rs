//! `awning publish`: upload a tree, switch its channel to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use awning::asset::KeyLayout;
use awning::clock::Clock;
use awning::manifest::{Channel, ReleaseId};
use awning::publish::{self, Build, BuildError, Options, Plan, PublishError, Refused};
use awning::rewrite::PublicBase;
use awning::store::ObjectWrite;
use awning::store::s3::Profile;
use clap::Args;
use serde::Serialize;

use super::tree_flags::TreeFlags;
use super::{Context, required};
use crate::config::PublishSettings;
use crate::exit::chain;
use crate::interrupt::Signals;
use crate::output::Output;
use crate::planned::Planned;
use crate::progress::Progress;

/// Upload a directory of static files and make it the current release
///
/// Objects are named by their content, so what the previous release holds is
/// not sent again. Visitors see the new release only after every object in it
/// is stored; a publish in which anything failed changes nothing they can see,
/// and running it again finishes the job.
#[derive(Args, Debug)]
pub(crate) struct Publish {
    /// Directory to publish
    #[arg(value_name = "DIR")]
    source: PathBuf,

    #[command(flatten)]
    tree: TreeFlags,

    /// Print the plan and stop: nothing is sent
    #[arg(long)]
    dry_run: bool,

    /// Upload, but do not switch the channel
    #[arg(long, conflicts_with = "dry_run")]
    no_activate: bool,
}

impl Publish {
    /// Publishes once.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = Arc::new(context.store(&bucket, Profile::Publisher)?);
        let mut options = options(&settings.publish);
        self.tree.set(&mut options);

        let how = match (self.dry_run, self.no_activate) {
            (true, _) => How::Plan,
            (false, true) => How::Upload,
            (false, false) => How::Activate,
        };
        let publisher = Publisher {
            store,
            layout: bucket.layout,
            options,
            output: context.output,
            planned: None,
        };
        let work = publisher.publish(&self.source, how);
        let outcome = Signals::listen()?.interrupt(NOTHING_ACTIVATED, work).await?;
        context.output.data(&outcome, &outcome)?;
        Ok(())
    }
}

/// What an interrupted publish leaves behind.
pub(crate) const NOTHING_ACTIVATED: &str =
    "the channel still has the release it had, or already has the new one, whole; run it again";

/// How far a publish goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum How {
    /// To the plan.
    Plan,
    /// To the last upload.
    Upload,
    /// To the switch of the channel.
    Activate,
}

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
}

/// Publishes trees to one bucket; `up --watch` does so again and again.
#[derive(Debug)]
pub(crate) struct Publisher<S> {
    /// The bucket.
    pub(crate) store: Arc<S>,
    /// Where awning's keys lie in it.
    pub(crate) layout: KeyLayout,
    /// How a tree becomes a release.
    pub(crate) options: Options,
    /// Where to print.
    pub(crate) output: Output,
    /// What must be done, and nothing else.
    pub(crate) planned: Option<Planned>,
}

impl<S: ObjectWrite> Publisher<S> {
    /// Runs the stages in order; each takes what the one before returned.
    pub(crate) async fn publish(&self, source: &Path, how: How) -> anyhow::Result<Outcome> {
        let Self { store, layout, options, output, planned } = self;
        let store: &dyn ObjectWrite = store.as_ref();
        let progress = Arc::new(Progress::new(*output));

        let build = self
            .build(source, &progress)
            .await?
            .inspect_err(|error| self.tell_problems(error))
            .with_context(|| format!("cannot publish `{}`", source.display()))?;
        let base = publish::base(store, layout, &options.channel).await?;
        let plan = publish::plan(build, base, options).map_err(with_hint)?;
        if let Some(planned) = planned {
            planned.check(&plan)?;
        }
        plan.warnings().iter().for_each(|warning| output.note(warning));
        if how == How::Plan {
            return Ok(Outcome::Planned(Box::new(plan)));
        }
        let summary = Summary::of(&plan, options);
        if plan.is_current() {
            return Ok(Outcome::Unchanged(summary));
        }
        let uploaded =
            publish::upload(plan, store, layout, options, &mut |event| progress.show(event)).await;
        progress.finish();
        let uploaded = uploaded.inspect_err(|error| self.tell_failures(error))?;
        if how == How::Upload {
            publish::stage(&uploaded, store, layout).await?;
            return Ok(Outcome::Uploaded(summary));
        }
        let (now, nonce) = (Clock::System.now(), nonce()?);
        publish::activate(uploaded, store, layout, now, nonce, options)
            .await
            .map_err(with_lock_hint)?;
        Ok(Outcome::Published(summary))
    }

    /// Builds beside the runtime's own threads: a signal is heard, and a shield
    /// goes on serving, while the processors are busy hashing.
    async fn build(
        &self,
        source: &Path,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<Result<Build, BuildError>> {
        let (source, options) = (source.to_owned(), self.options.clone());
        let progress = Arc::clone(progress);
        let built = tokio::task::spawn_blocking(move || {
            publish::build(&source, &options, &mut |event| progress.show(event))
        });
        built.await.context("the build of the release broke off")
    }

    /// Every problem of a tree, a line each.
    fn tell_problems(&self, error: &BuildError) {
        if let BuildError::Problems(problems) = error {
            problems.iter().for_each(|problem| self.output.note(problem));
        }
    }

    /// Every object that was not stored, a line each.
    fn tell_failures(&self, error: &PublishError) {
        if let PublishError::Incomplete { failed, .. } = error {
            for (_, error) in failed {
                self.output.note(chain(error));
            }
        }
    }
}

/// Tells what to type where a flag overrules the refusal.
fn with_hint(refused: Refused) -> anyhow::Error {
    let hint = match &refused {
        Refused::Shrink { .. } => Some("refused: pass --allow-shrink if it is meant".to_owned()),
        Refused::Locked { head } => Some(locked_hint(&head.channel)),
        _ => None,
    };
    let error = anyhow::Error::new(refused);
    match hint {
        Some(hint) => error.context(hint),
        None => error,
    }
}

/// Tells what to type where someone rolled back while this publish was under way.
fn with_lock_hint(error: PublishError) -> anyhow::Error {
    let hint = match &error {
        PublishError::Locked { by } => Some(locked_hint(&by.channel)),
        _ => None,
    };
    let error = anyhow::Error::new(error);
    match hint {
        Some(hint) => error.context(hint),
        None => error,
    }
}

fn locked_hint(channel: &Channel) -> String {
    format!("locked: run `awning rollback --unlock --channel {channel}` to let publishes go on")
}

/// What tells apart two that activate at the same time.
pub(crate) fn nonce() -> anyhow::Result<String> {
    Ok(format!("{:016x}", getrandom::u64().context("the system has no randomness")?))
}

/// The options that the configuration gives.
pub(crate) fn options(settings: &PublishSettings) -> Options {
    let public = settings.public.clone();
    let mut options = Options::new(settings.channel.clone(), public, PublicBase::default());
    options.mount = settings.mount.clone();
    options.ignore = settings.ignore.clone();
    options
}

impl Summary {
    fn of(plan: &Plan, options: &Options) -> Self {
        let (uploaded, uploaded_bytes) = plan.uploads();
        Self {
            channel: options.channel.clone(),
            release: plan.release(),
            assets: plan.manifest().len(),
            uploaded,
            uploaded_bytes,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Planned(plan) => write!(f, "{plan}"),
            Outcome::Uploaded(summary) => write!(f, "uploaded  {summary}, not activated"),
            Outcome::Published(summary) => write!(f, "published {summary}"),
            Outcome::Unchanged(summary) => {
                let Summary { channel, release, assets, .. } = summary;
                let short = release.short();
                write!(f, "unchanged {short} on {channel}: {assets} assets, nothing to upload")
            }
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { channel, release, assets, uploaded, uploaded_bytes } = self;
        let (short, bytes) = (release.short(), indicatif::HumanBytes(*uploaded_bytes));
        write!(f, "{short} on {channel}: {assets} assets, {uploaded} uploaded ({bytes})")
    }
}
