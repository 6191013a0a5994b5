//! `awning resolve`: asset paths to public URLs, for scripts.

use awning::store::s3::Profile;
use clap::Args;

use super::release::{self, Which};
use super::{Context, required};
use crate::exit::NotThere;

/// Print the public URL of each asset, a line each
///
/// Exits 3, having printed nothing, when a path is not in the release.
#[derive(Args, Debug)]
pub(crate) struct Resolve {
    /// Asset paths, relative to the root of the published tree, or the names that a build
    /// tool's manifest in that tree gives, such as `src/main.ts`
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,

    /// The channel whose current release is meant [default: publish.channel]
    #[arg(long, value_name = "C", value_parser = awning::manifest::Channel::parse)]
    channel: Option<awning::manifest::Channel>,
}

impl Resolve {
    /// Resolves all paths, or none.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = context.store(&bucket, Profile::Publisher)?;
        let which = Which { release: None, channel: self.channel };
        let stored = release::read(&which, &store, &bucket.layout, &settings.publish).await?;
        let public = &settings.publish.public;
        let url = |path: &String| {
            let found = stored.manifest.resolve(path.trim_start_matches('/'));
            let url = found.and_then(|(asset, entry)| public.url_of(&entry.named_by(asset)));
            url.ok_or_else(|| NotThere(format!("`{path}` is not in the release")))
        };
        let urls = self.paths.iter().map(url).collect::<Result<Vec<_>, _>>()?;
        context.output.data(urls.join("\n"), &urls)?;
        Ok(())
    }
}
