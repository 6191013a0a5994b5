//! `awning plan`: what a publish would do, as a file for `awning apply`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use awning::publish::Plan;
use awning::store::s3::Profile;
use clap::Args;

use super::lifetime::Lifetime;
use super::publish::{How, Outcome, Publisher, coder, options};
use super::tree_flags::TreeFlags;
use super::{Context, required};
use crate::interrupt::Signals;
use crate::planned::{PlanFileError, Planned, Settings};

/// What an interrupted plan leaves behind.
const NOTHING_SENT: &str = "nothing was sent, and no plan was written";

/// Write down what publishing a directory would do, for `apply`
///
/// Nothing is sent. The plan names the release, every object with its bytes,
/// the calls to the store by B2 class, and the head of the channel that it
/// was made against. With `--expires` it keeps how long the preview lasts,
/// which counts from when it is applied.
#[derive(Args, Debug)]
pub(crate) struct PlanTree {
    /// Directory to publish
    #[arg(value_name = "DIR")]
    source: PathBuf,

    /// File to write; `-` is standard output [default: none, the plan is only shown]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    tree: TreeFlags,
}

impl PlanTree {
    /// Plans, and writes the file.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let file = self.output.as_deref().filter(|file| *file != Path::new("-"));
        let source = std::path::absolute(&self.source)?;
        file.map_or(Ok(()), |file| refuse_inside(file, &source))?;
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let mut options = options(&settings.publish);
        self.tree.set(&mut options)?;
        let tree = self.tree.on(&options.channel);
        let configured = Settings::of(&options, &bucket);

        let store = Arc::new(context.store(&bucket, Profile::Publisher)?);
        let (layout, output) = (bucket.layout, context.output);
        let coder = coder(settings.publish.cache.as_deref());
        let publisher = Publisher::new(store, layout, options, coder, output);
        let work = async {
            match publisher.publish(&source, How::Plan).await? {
                Outcome::Planned(plan) => Ok(plan),
                outcome => anyhow::bail!("a plan was wanted, not {outcome}"),
            }
        };
        let plan = Signals::listen()?.interrupt(NOTHING_SENT, work).await?;
        let lifetime = tree.expires;
        let planned = Planned::of(&plan, source, tree, configured)?;
        if let Some(file) = file {
            planned.write(file)?;
        }
        if self.output.is_some() && file.is_none() {
            output.json(&planned)?;
        } else {
            output.data(text(&plan, lifetime, file), &planned)?;
        }
        Ok(())
    }
}

/// The plan for people, and how to go on.
fn text(plan: &Plan, lifetime: Option<Lifetime>, file: Option<&Path>) -> String {
    let calls = plan.calls();
    let mut text = format!("{plan}calls by B2 class: {} A, {} B, {} C", calls.a, calls.b, calls.c);
    if let Some(lifetime) = lifetime {
        text.push_str(&format!("\nends {} h after it is applied", lifetime.hours()));
    }
    if let Some(file) = file {
        text.push_str(&format!("\nto do it: awning apply {}", file.display()));
    }
    text
}

/// A plan in the tree would change the release that it plans.
fn refuse_inside(file: &Path, source: &Path) -> Result<(), PlanFileError> {
    let dir = match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    match (dir.canonicalize(), source.canonicalize()) {
        (Ok(dir), Ok(source)) if dir.starts_with(&source) => {
            Err(PlanFileError::Inside(file.to_owned()))
        }
        _ => Ok(()),
    }
}
