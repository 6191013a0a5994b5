//! `[publish]`: how a tree becomes a release.

use std::path::PathBuf;

use awning::manifest::Channel;
use awning::publish::{Ignore, Modules, Rules};
use awning::rewrite::{Mount, PublicBase};

use super::environment::Environment;
use super::reader::{Document, Reader};
use super::rule;
use super::transfer::{self, Transfer};

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
    /// How it is sent.
    pub(crate) transfer: Transfer,
    /// What is done with each file.
    pub(crate) rules: Rules,
    /// Where each rule stands: `awning.toml:41`.
    pub(crate) rule_places: Vec<String>,
    /// Whether assets are compressed.
    pub(crate) compress: bool,
    /// Where coded bytes are kept on this machine; nowhere if there is no place.
    pub(crate) cache: Option<PathBuf>,
}

/// What `publish.cache` is where nothing is to be kept.
const NO_CACHE: &str = "none";

/// The directory of awning in that of all caches.
const CACHE_DIRECTORY: &str = "awning/encode";

/// Reads the table.
pub(crate) fn read(document: &mut Document<'_>, environment: &Environment) -> PublishSettings {
    let (mut table, _) = document.table("publish");
    let (rules, rule_places) = rule::read(&mut table);
    let settings = PublishSettings {
        channel: table.parsed("channel", Channel::parse).unwrap_or_default(),
        mount: table.parsed("mount", mount).unwrap_or_else(|| Mount::at("/")),
        public: table.parsed("public_url", PublicBase::parse).unwrap_or_default(),
        modules: table.parsed("modules", modules).unwrap_or_default(),
        ignore: ignore(&mut table),
        transfer: transfer::read(&mut table),
        rules,
        rule_places,
        compress: table.flag("compress").unwrap_or(true),
        cache: match table.text("cache") {
            Some(none) if none == NO_CACHE => None,
            Some(path) => Some(path.into()),
            None => platform_cache(environment),
        },
    };
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

/// Where this platform keeps what can be made again (XDG base directories).
fn platform_cache(environment: &Environment) -> Option<PathBuf> {
    let absolute = |name| environment.exact(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join(CACHE_DIRECTORY))
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
