//! `awning diff`: in which assets two releases differ.

use std::fmt;

use awning::manifest::{Channel, ReleaseId};
use awning::publish::{self, Diff};
use awning::semantics::encoding::Coding;
use awning::store::s3::Profile;
use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::named::Named;
use super::{Context, required};

/// Print in which assets two releases differ
///
/// A release is named by its 64 digits, by its first digits (8 or more), or
/// as `head`.
#[derive(Args, Debug)]
pub(crate) struct PrintDiff {
    /// The first release
    #[arg(value_name = "A")]
    one: Named,

    /// The second release
    #[arg(value_name = "B")]
    other: Named,

    /// The channel whose current release `head` is [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = Channel::parse)]
    channel: Option<Channel>,
}

/// Two releases, and in what they differ.
#[derive(Debug, Serialize)]
struct Compared {
    from: ReleaseId,
    to: ReleaseId,
    #[serde(flatten)]
    diff: Diff,
}

impl PrintDiff {
    /// Reads both manifests and compares them.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = context.store(&bucket, Profile::Publisher)?;
        let channel = self.channel.as_ref().unwrap_or(&settings.publish.channel);
        let from = self.one.find(&store, &bucket.layout, channel).await?;
        let to = self.other.find(&store, &bucket.layout, channel).await?;

        let one = publish::stored(&store, &bucket.layout, from).await?;
        let other = publish::stored(&store, &bucket.layout, to).await?;
        let diff = Diff::between(&one.manifest, &other.manifest);
        let compared = Compared { from, to, diff };
        context.output.data(&compared, &compared)?;
        Ok(())
    }
}

/// The codings of an asset as people read them.
struct Codings<'a>(&'a [Coding]);

impl fmt::Display for Codings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("not compressed");
        }
        let names: Vec<&str> = self.0.iter().map(|coding| coding.name()).collect();
        f.write_str(&names.join("/"))
    }
}

impl fmt::Display for Compared {
    /// A line an asset, and one that counts them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diff { added, removed, changed, same } = &self.diff;
        for only in added {
            writeln!(f, "added    {}  {}", only.path, HumanBytes(only.size))?;
        }
        for only in removed {
            writeln!(f, "removed  {}  {}", only.path, HumanBytes(only.size))?;
        }
        for both in changed {
            let (from, to) = (HumanBytes(both.from_size), HumanBytes(both.size));
            write!(f, "changed  {}  {from} -> {to}", both.path)?;
            match both.from_codings == both.codings {
                true => writeln!(f)?,
                false => {
                    writeln!(f, ", {} -> {}", Codings(&both.from_codings), Codings(&both.codings))?
                }
            }
        }
        let (from, to) = (self.from.short(), self.to.short());
        let (added, removed, changed) = (added.len(), removed.len(), changed.len());
        write!(
            f,
            "{from} to {to}: {added} added, {removed} removed, {changed} changed, {same} same"
        )
    }
}
