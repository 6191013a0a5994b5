//! `awning publish`: upload a tree, switch its channel to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use awning::asset::KeyLayout;
use awning::clock::Clock;
use awning::manifest::Channel;
use awning::publish::{
    self, Base, Build, BuildError, CACHE_BYTES_DEFAULT, Cache, Coder, Event, Options, Problem,
    PublishError, Refused,
};
use awning::rewrite::PublicBase;
use awning::store::s3::{Profile, S3Store};
use awning::store::{Counted, ObjectWrite};
use clap::Args;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::transfer::TransferFlags;
use super::tree_flags::TreeFlags;
use super::written::{self, Prepared, Written};
use super::{Context, required};
use crate::config::{ConfigError, PublishSettings};
use crate::events::Events;
use crate::exit::chain;
use crate::failure::Failure;
use crate::github::Step;
use crate::interrupt::Signals;
use crate::outcome::tell_step;
pub(crate) use crate::outcome::{Outcome, Summary};
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

    /// Write the release's manifest to a file too, in a format of `awning manifest`
    #[arg(
        long = "manifest",
        value_name = "FORMAT=FILE",
        value_parser = Written::parse,
        conflicts_with = "dry_run"
    )]
    manifests: Vec<Written>,

    #[command(flatten)]
    transfer: TransferFlags,

    /// Write events to FILE, or to standard output for `-`: a line of JSON each, the last of
    /// which is what the publish came to
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

impl Publish {
    /// Publishes once.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let on_stdout = self.events.as_deref() == Some(Path::new("-"));
        if on_stdout && context.output.is_json() {
            let both = "`--events -` and `--json` both write to standard output: name a file";
            return Err(ConfigError::missing(both).into());
        }
        if let Some(file) = self.events.as_deref().filter(|_| !on_stdout) {
            written::refuse_inside(file, &self.source)?;
        }
        let events = Events::to(self.events.as_deref())?;
        let step = Step::of(&context.environment, &self.source);
        let outcome = self.outcome(context, &events, step.as_ref()).await;
        match &outcome {
            Ok(outcome) => events.end(outcome),
            Err(error) => events.end(&Failure::of(error)),
        }
        if let Some(remark) = events.remark() {
            context.output.warning(remark);
        }
        if let Some(step) = step {
            tell_step(&step, &outcome, context.output);
        }
        let outcome = outcome?;
        if !on_stdout {
            context.output.data(&outcome, &outcome)?;
        }
        Ok(())
    }

    async fn outcome(
        self,
        context: &Context,
        events: &Events,
        step: Option<&Step>,
    ) -> anyhow::Result<Outcome> {
        let settings = context.settings()?;
        self.manifests.iter().try_for_each(|written| written.refuse_inside(&self.source))?;
        let bucket = required(settings.store.clone())?;
        let store = Arc::new(context.store(&bucket, Profile::Publisher)?);
        let mut options = options(&settings.publish);
        self.tree.set(&mut options)?;
        options.conditional_writes = bucket.conditional_writes;
        self.transfer.over(settings.publish.transfer).begin(&mut options);

        let how = match (self.dry_run, self.no_activate) {
            (true, _) => How::Plan,
            (false, true) => How::Upload,
            (false, false) => How::Activate,
        };
        let coder = coder(settings.publish.cache.as_deref());
        let publisher = Publisher {
            manifests: self.manifests,
            events: events.clone(),
            step: step.cloned(),
            ..Publisher::new(store, bucket.layout, options, coder, context.output)
        };
        let work = publisher.publish(&self.source, how);
        Signals::listen()?.interrupt(NOTHING_ACTIVATED, work).await
    }
}

/// What an interrupted publish leaves behind.
pub(crate) const NOTHING_ACTIVATED: &str = "the channel still has the release it had, or already has the new one, whole; run it again: \
     what arrived of large files is not sent again";

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

/// Publishes trees to one bucket; `up --watch` does so again and again.
#[derive(Debug)]
pub(crate) struct Publisher<S> {
    /// The bucket.
    pub(crate) store: Arc<S>,
    /// Where awning's keys lie in it.
    pub(crate) layout: KeyLayout,
    /// How a tree becomes a release.
    pub(crate) options: Options,
    /// What makes variants.
    pub(crate) coder: Coder,
    /// Where to print.
    pub(crate) output: Output,
    /// Manifests to write to files.
    pub(crate) manifests: Vec<Written>,
    /// Where to tell programs what happens.
    pub(crate) events: Events,
    /// The step of a workflow that this runs in.
    pub(crate) step: Option<Step>,
    /// What must be done, and nothing else.
    pub(crate) planned: Option<Planned>,
}

impl Publisher<S3Store> {
    /// Publishes, and tells nobody but people.
    pub(crate) fn new(
        store: Arc<S3Store>,
        layout: KeyLayout,
        options: Options,
        coder: Coder,
        output: Output,
    ) -> Self {
        let (manifests, events) = (Vec::new(), Events::default());
        Self { store, layout, options, coder, output, manifests, events, step: None, planned: None }
    }

    /// Publishes, and counts what that took.
    pub(crate) async fn publish(&self, source: &Path, how: How) -> anyhow::Result<Outcome> {
        let before = self.store.attempts();
        let counted = Counted::new(self.store.as_ref());
        let mut outcome = self.stages(source, how, &counted).await?;
        let calls = counted.calls();
        if let Some(summary) = outcome.summary_mut() {
            summary.figures.calls = calls;
            let sent = self.store.attempts() - before;
            summary.figures.retries = sent.saturating_sub(calls.total());
        }
        Ok(outcome)
    }
}

impl<S: ObjectWrite> Publisher<S> {
    /// Runs the stages in order; each takes what the one before returned.
    async fn stages(
        &self,
        source: &Path,
        how: How,
        store: &dyn ObjectWrite,
    ) -> anyhow::Result<Outcome> {
        let Self { layout, options, output, manifests, planned, .. } = self;
        let progress = Arc::new(Progress::new(*output, self.events.clone()));

        let (build, base) = self.in_time(self.begun(source, store, &progress)).await??;
        publish::refuse(&build, &base, options).map_err(with_hint)?;
        let (build, base) = self.in_time(self.encode(build, base, &progress)).await??;
        let build = self.built(build, source)?;
        let base = self.in_time(base.renewed(&build, store, layout, &options.channel)).await??;
        let plan = publish::plan(build, base, options).map_err(with_hint)?;
        if let Some(planned) = planned {
            planned.check(&plan)?;
        }
        self.tell(plan.warnings());
        if how == How::Plan {
            return Ok(Outcome::Planned(Box::new(plan)));
        }
        let summary = Summary::of(&plan, options);
        let manifests = Prepared::of(manifests, plan.manifest(), options)?;
        if plan.is_current() {
            manifests.put()?;
            return Ok(Outcome::Unchanged(summary));
        }
        let uploaded =
            publish::upload(plan, store, layout, options, &mut |event| progress.show(event)).await;
        progress.finish();
        let uploaded = uploaded.inspect_err(|error| self.tell_failures(error))?;
        if how == How::Upload {
            publish::stage(&uploaded, store, layout).await?;
            manifests.put()?;
            return Ok(Outcome::Uploaded(summary));
        }
        let (now, nonce) = (Clock::System.now(), nonce()?);
        publish::activate(uploaded, store, layout, now, nonce, options)
            .await
            .map_err(with_lock_hint)?;
        manifests.put()?;
        Ok(Outcome::Published(summary))
    }

    /// Builds, and reads what the channel stands at meanwhile: hashing keeps the
    /// processors busy, and the base the network. A tree without files is
    /// refused before the store is asked.
    async fn begun(
        &self,
        source: &Path,
        store: &dyn ObjectWrite,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<(Build, Base)> {
        let (scanned, has_files) = oneshot::channel();
        let base = || publish::base(store, &self.layout, &self.options.channel);
        let meanwhile = async {
            has_files.await.ok()?;
            Some(base().await)
        };
        let (build, base_meanwhile) =
            tokio::join!(self.build(source, progress, scanned), meanwhile);
        let build = self.built(build?, source)?;
        let base = match base_meanwhile {
            Some(base) => base?,
            None => base().await?,
        };
        Ok((build, base))
    }

    /// Builds beside the runtime's own threads: a signal is heard, and a shield
    /// goes on serving, while the processors are busy hashing. Tells `scanned`
    /// when there are files.
    async fn build(
        &self,
        source: &Path,
        progress: &Arc<Progress>,
        scanned: oneshot::Sender<()>,
    ) -> anyhow::Result<Result<Build, BuildError>> {
        let (source, options) = (source.to_owned(), self.options.clone());
        let (progress, mut scanned) = (Arc::clone(progress), Some(scanned));
        let built = tokio::task::spawn_blocking(move || {
            let told = &mut |event| {
                let has_files = matches!(event, Event::Scanned { files: 1.., .. });
                if let Some(scanned) = scanned.take_if(|_| has_files) {
                    // Nobody waits for it behind the deadline.
                    let _ = scanned.send(());
                }
                progress.show(event);
            };
            publish::build(&source, &options, told)
        });
        built.await.context("the build of the release broke off")
    }

    /// A build, or every problem of its tree, a line each.
    fn built(&self, build: Result<Build, BuildError>, source: &Path) -> anyhow::Result<Build> {
        build
            .inspect_err(|error| self.tell_problems(error))
            .with_context(|| format!("cannot publish `{}`", source.display()))
    }

    /// Work that ends at the deadline.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, PublishError> {
        match self.options.deadline {
            None => Ok(work.await),
            Some(deadline) => {
                let late = PublishError::Late { stored: 0, unsent: 0 };
                timeout_at(deadline, work).await.map_err(|_| late)
            }
        }
    }

    /// Codes beside the runtime's own threads, as it builds.
    async fn encode(
        &self,
        build: Build,
        base: Base,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<(Result<Build, BuildError>, Base)> {
        let (coder, options) = (self.coder.clone(), self.options.clone());
        let progress = Arc::clone(progress);
        let coded = tokio::task::spawn_blocking(move || {
            let told = &mut |event| progress.show(event);
            (publish::encode(build, &base, &coder, &options, told), base)
        });
        let coded = coded.await.context("the coding of the release broke off")?;
        if let Some(remark) = self.coder.cache().and_then(Cache::remark) {
            self.output.warning(remark);
        }
        Ok(coded)
    }

    /// Every problem of a tree, a line each.
    fn tell_problems(&self, error: &BuildError) {
        if let BuildError::Problems(problems) = error {
            self.tell(problems);
        }
    }

    fn tell(&self, problems: &[Problem]) {
        problems.iter().for_each(|problem| self.output.note(problem));
        if let Some(step) = &self.step {
            step.annotate(problems, self.output);
        }
    }

    /// Every object that was not stored, a line each.
    fn tell_failures(&self, error: &PublishError) {
        if let PublishError::Incomplete { failed, .. } = error {
            let failures = || failed.iter().map(|(_, error)| chain(error));
            failures().for_each(|failure| self.output.note(failure));
            if let Some(step) = &self.step {
                step.annotate_failures(failures(), self.output);
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
    options.modules = settings.modules;
    options.ignore = settings.ignore.clone();
    settings.transfer.set(&mut options);
    options.rules = settings.rules.clone();
    options.compress = settings.compress;
    options
}

/// Encoders that keep what they make in a directory, if there is one.
pub(crate) fn coder(cache: Option<&Path>) -> Coder {
    Coder::new(cache.map(|directory| Cache::at(directory, CACHE_BYTES_DEFAULT)))
}
