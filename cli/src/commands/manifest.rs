//! `awning manifest`: which object each asset of a release is.

use std::collections::BTreeMap;

use awning::manifest::Manifest;
use awning::rewrite::PublicBase;
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
enum Format {
    /// The stored manifest itself
    Awning,
    /// One JSON object: asset path to public URL
    Flat,
}

impl PrintManifest {
    /// Reads the manifest and prints it.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let bucket = required(settings.store.clone())?;
        let store = context.store(&bucket, Profile::Publisher)?;
        let stored = release::read(&self.which, &store, &bucket.layout, &settings.publish).await?;
        match self.format {
            Format::Awning => {
                context.output.bytes(&stored.bytes)?;
                context.output.bytes(b"\n")?;
            }
            Format::Flat => {
                context.output.json(&flat(&stored.manifest, &settings.publish.public))?;
            }
        }
        Ok(())
    }
}

/// Asset path to public URL.
fn flat<'a>(manifest: &'a Manifest, public: &PublicBase) -> BTreeMap<&'a str, String> {
    let entries = manifest.iter();
    entries.filter_map(|(path, entry)| Some((path.as_str(), public.url_of(&entry.key)?))).collect()
}
