//! `awning verify`: every object of a release is there, whole, with its headers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use awning::asset::KeyLayout;
use awning::manifest::{Channel, Manifest, ReleaseId};
use awning::publish::{
    self, Base, Build, CONCURRENCY_DEFAULT, Check, Coder, Options, PublishError, Repaired, Verified,
};
use awning::store::s3::{Profile, S3Store};
use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::named::Named;
use super::{Context, required};
use crate::exit::Unsound;
use crate::interrupt::Signals;
use crate::output::Output;

/// Objects that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// What an interrupted verification leaves behind.
const AS_IT_WAS: &str = "nothing was changed but what was stored again, whole";

/// Look up every object of a release: its length, its header fields, its digest
///
/// Costs a HEAD for each object; with `--full` a GET, and every byte is read
/// and hashed. Everything that is wrong is told, a line each. `--repair`
/// builds the directory that the release was made of, and stores again what is
/// wrong, where the bytes are those of the release; it costs a PUT each.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The release: all 64 digits, the first of them (8 or more), or `head`
    #[arg(value_name = "ID", default_value = "head")]
    release: Named,

    /// The channel whose current release `head` is [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = Channel::parse)]
    channel: Option<Channel>,

    /// Read and hash every object
    #[arg(long)]
    full: bool,

    /// Store again what is missing or damaged, from this directory
    #[arg(long, value_name = "DIR")]
    repair: Option<PathBuf>,
}

/// What a verification came to.
#[derive(Debug, Serialize)]
struct Summary {
    /// `whole`, or `repaired`.
    outcome: &'static str,
    #[serde(flatten)]
    verified: Verified,
    /// Keys that were stored again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    repaired: Vec<String>,
}

/// A release that is verified.
struct Verifier<'a> {
    store: &'a S3Store,
    layout: &'a KeyLayout,
    release: ReleaseId,
    options: Options,
    coder: Coder,
    check: Check,
    output: Output,
}

impl Verify {
    /// Verifies, and repairs.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = context.store(&bucket, Profile::Publisher)?;
        let (layout, mut options) = (&bucket.layout, super::publish::options(&settings.publish));
        options.channel = self.channel.unwrap_or(options.channel);
        let concurrency = if self.full { READS_AT_ONCE } else { CONCURRENCY_DEFAULT };
        let check = Check { full: self.full, concurrency };
        let work = async {
            let release = self.release.find(&store, layout, &options.channel).await?;
            let coder = super::publish::coder(settings.publish.cache.as_deref());
            let (store, output) = (&store, context.output);
            let verifier = Verifier { store, layout, release, options, coder, check, output };
            verifier.run(self.repair.as_deref()).await
        };
        let summary = Signals::listen()?.interrupt(AS_IT_WAS, work).await?;
        context.output.data(&summary, &summary)?;
        Ok(())
    }
}

impl Verifier<'_> {
    async fn run(&self, source: Option<&Path>) -> anyhow::Result<Summary> {
        let build = match source {
            Some(source) => Some(self.build(source).await?),
            None => None,
        };
        let (manifest, mut again) = self.manifest(build.as_deref()).await?;
        let Self { store, layout, release, .. } = *self;
        let verified = publish::verify(store, layout, release, &manifest, self.check).await?;
        verified.flaws.iter().for_each(|flawed| self.output.note(flawed));
        let Repaired { repaired, unmade } = match &build {
            Some(build) => publish::repair(&verified, &manifest, build, store, layout).await?,
            None => Repaired {
                unmade: verified.flaws.iter().map(|flawed| flawed.key.clone()).collect(),
                ..Repaired::default()
            },
        };
        if !unmade.is_empty() {
            return Err(unsound(&verified, &unmade, source).into());
        }
        again.extend(repaired);
        let outcome = if again.is_empty() { "whole" } else { "repaired" };
        Ok(Summary { outcome, verified, repaired: again })
    }

    /// The manifest of the release; one that is missing or damaged is made and
    /// stored again where the directory makes the release.
    async fn manifest(&self, build: Option<&Build>) -> anyhow::Result<(Manifest, Vec<String>)> {
        let Self { store, layout, release, .. } = *self;
        let error = match publish::stored(store, layout, release).await {
            Ok(stored) => return Ok((stored.manifest, Vec::new())),
            Err(error) => error,
        };
        let damaged =
            matches!(error, PublishError::NoRelease { .. } | PublishError::Unreadable { .. });
        let Some(build) = build.filter(|_| damaged) else { return Err(error.into()) };
        self.output.note(&error);
        if !publish::repair_manifest(build, release, store, layout).await? {
            return Err(error).context("the directory makes another release");
        }
        Ok((build.manifest().clone(), vec![layout.manifest(release)]))
    }

    async fn build(&self, source: &Path) -> anyhow::Result<Arc<Build>> {
        let (path, options) = (source.to_owned(), self.options.clone());
        let (coder, release) = (self.coder.clone(), self.release);
        let build = tokio::task::spawn_blocking(move || {
            let build = publish::build(&path, &options, &mut |_| ())?;
            if build.release() == release {
                return Ok(build);
            }
            let fresh = Base::default();
            publish::encode(build, &fresh, &coder, &options, &mut |_| ())
        });
        let build = build.await.context("the build of the release broke off")?;
        let build = build.with_context(|| format!("cannot build `{}`", source.display()))?;
        Ok(Arc::new(build))
    }
}

fn unsound(verified: &Verified, unmade: &[String], source: Option<&Path>) -> Unsound {
    let (short, count) = (verified.release.short(), unmade.len());
    let left = verified.flaws.iter().filter(|flawed| unmade.contains(&flawed.key));
    let message = match source {
        None => format!(
            "release {short} is not whole: {count} object(s) are missing or damaged; \
             `--repair DIR` stores them again"
        ),
        Some(source) => format!(
            "release {short} is not whole: `{}` does not make {count} object(s) of it",
            source.display()
        ),
    };
    Unsound { message, flaws: left.map(|it| (it.key.clone(), it.to_string())).collect() }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verified { release, objects, bytes, full, .. } = &self.verified;
        let how = if *full { "read" } else { "looked up" };
        let (short, bytes) = (release.short(), HumanBytes(*bytes));
        write!(f, "{} {short}: {objects} objects ({bytes}) {how}", self.outcome)?;
        match self.repaired.len() {
            0 => Ok(()),
            count => write!(f, ", {count} stored again"),
        }
    }
}
