//! `[publish]`: how a tree becomes a release.

use awning::manifest::Channel;
use awning::publish::{Ignore, Modules};
use awning::rewrite::{Mount, PublicBase};

use super::reader::{Document, Reader};

/// How a tree is published, as configured.
#[derive(Clone, Debug)]
pub(crate) struct PublishSettings {
    /// The channel that is switched.
    pub(crate) channel: Channel,
    /// Where the root of the tree is in a site's URL space.
    pub(crate) mount: Mount,
    /// What references become.
    pub(crate) public: PublicBase,
    /// How modules find each other.
    pub(crate) modules: Modules,
    /// Globs of files that are left out.
    pub(crate) ignore: Ignore,
}

/// Reads the table.
pub(crate) fn read(document: &mut Document<'_>) -> PublishSettings {
    let (mut table, _) = document.table("publish");
    let settings = PublishSettings {
        channel: table.parsed("channel", Channel::parse).unwrap_or_default(),
        mount: table.parsed("mount", mount).unwrap_or_else(|| Mount::at("/")),
        public: table.parsed("public_url", PublicBase::parse).unwrap_or_default(),
        modules: table.parsed("modules", modules).unwrap_or_default(),
        ignore: ignore(&mut table),
    };
    table.without_effect("rule");
    table.finish();
    settings
}

fn ignore(table: &mut Reader<'_, '_>) -> Ignore {
    let line = table.line_of("ignore");
    let globs = table.list("ignore").unwrap_or_default();
    Ignore::parse(&globs).unwrap_or_else(|error| {
        table.problem(line, format!("`publish.ignore`: {error}"));
        Ignore::default()
    })
}

fn modules(text: &str) -> Result<Modules, String> {
    match text {
        "import-map" => Ok(Modules::ImportMap),
        "rewrite" => Ok(Modules::Rewrite),
        other => Err(format!("`{other}` is neither `import-map` nor `rewrite`")),
    }
}

/// A mount is an absolute path; `static` alone is more likely a mistake.
pub(crate) fn mount(text: &str) -> Result<Mount, String> {
    if text.starts_with('/') && !text.contains("//") && !text.contains(['?', '#', '%', '\\']) {
        Ok(Mount::at(text))
    } else {
        Err(format!("`{text}` is no mount: write an absolute path like /static/"))
    }
}
