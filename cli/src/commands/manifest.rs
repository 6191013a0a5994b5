//! `awning manifest`: which object each asset of a release is.

use awning::asset::ObjectKey;
use awning::manifest::{Manifest, formats};
use awning::rewrite::{Mount, PublicBase};
use awning::store::s3::Profile;
use clap::{Args, ValueEnum};

use super::release::{self, Which};
use super::{Context, required};

/// Print the manifest of a release, for templates and build tools
#[derive(Args, Debug)]
pub(crate) struct PrintManifest {
    #[command(flatten)]
    which: Which,

    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Awning)]
    format: Format,
}

/// A form of the manifest.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// The stored manifest itself
    Awning,
    /// Django's `staticfiles.json`: names for `ManifestStaticFilesStorage`
    Django,
    /// One JSON object: asset path to public URL
    Flat,
    /// An import map of the scripts: public URLs, with integrity
    Importmap,
    /// Propshaft's `.manifest.json`: names and integrity
    Propshaft,
    /// Sprockets' manifest: names, integrity and sizes
    Sprockets,
    /// Vite's `.vite/manifest.json`: names, and what refers to what
    Vite,
    /// The manifest of webpack-assets-manifest: names
    Webpack,
}

impl Format {
    /// The manifest in this format.
    pub(crate) fn bytes(
        self,
        manifest: &Manifest,
        public: &PublicBase,
        mount: &Mount,
    ) -> anyhow::Result<Vec<u8>> {
        let url_of = |key: &ObjectKey| public.url_of(key);
        Ok(match self.of_another_tool() {
            None => manifest.to_bytes()?.1,
            Some(format) => {
                serde_json::to_vec(&formats::write(manifest, &url_of, mount.path(), format))?
            }
        })
    }

    /// The format of another tool; `None` for awning's own.
    fn of_another_tool(self) -> Option<formats::Format> {
        Some(match self {
            Self::Awning => return None,
            Self::Django => formats::Format::Django,
            Self::Flat => formats::Format::Flat,
            Self::Importmap => formats::Format::Importmap,
            Self::Propshaft => formats::Format::Propshaft,
            Self::Sprockets => formats::Format::Sprockets,
            Self::Vite => formats::Format::Vite,
            Self::Webpack => formats::Format::Webpack,
        })
    }
}

impl PrintManifest {
    /// Reads the manifest and prints it.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = context.store(&bucket, Profile::Publisher)?;
        let stored = release::read(&self.which, &store, &bucket.layout, &settings.publish).await?;
        let Some(format) = self.format.of_another_tool() else {
            context.output.bytes(&stored.bytes)?;
            context.output.bytes(b"\n")?;
            return Ok(());
        };
        let url_of = |key: &ObjectKey| settings.publish.public.url_of(key);
        let mount = settings.publish.mount.path();
        context.output.json(&formats::write(&stored.manifest, &url_of, mount, format))?;
        Ok(())
    }
}
