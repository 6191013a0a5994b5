//! Configuration: flag, then environment, then file, then default.
//!
//! The only place that reads the environment. Everything that is wrong is
//! reported at once, with the line where it stands and what to write instead.

mod admin;
mod environment;
mod problem;
mod publish;
mod reader;
mod rule;
mod shield;
mod site;
mod store;
mod transfer;
mod unit;

#[cfg(test)]
mod tests;

use std::io::Read as _;
use std::path::{Path, PathBuf};

pub(crate) use admin::admin_tokens;
pub(crate) use environment::Environment;
pub(crate) use problem::{ConfigError, Problem};
pub(crate) use publish::{PublishSettings, mount};
pub(crate) use shield::{ShieldSettings, TlsFiles};
pub(crate) use site::upstream;
pub(crate) use store::{Credentials, StoreSettings};
pub(crate) use transfer::{Transfer, bandwidth, concurrency};
pub(crate) use unit::duration;

use awning::shield::config::SiteConfig;
use reader::Document;

/// Largest configuration that is read, in bytes.
pub(crate) const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "awning.toml";

/// Everything that was configured, valid and merged.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The bucket, when one is named.
    pub(crate) store: Option<StoreSettings>,
    /// How a tree is published.
    pub(crate) publish: PublishSettings,
    /// The shield itself.
    pub(crate) shield: ShieldSettings,
    /// The sites, in the order of the file.
    pub(crate) sites: Vec<SiteConfig>,
    /// Keys that are known but not in effect in this version.
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// Reads the file named by `flag`, by `AWNING_CONFIG`, or `awning.toml`
    /// in the working directory if there is one.
    pub(crate) fn load(
        flag: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let path = path(flag, environment);
        let named = flag.is_some() || environment.get("CONFIG").is_some();
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(ConfigError::unreadable(&path, error)),
        };
        Self::parse(&path.display().to_string(), &text, environment)
    }

    /// Reads the text of a configuration file.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let mut document = Document::parse(name, text, environment)?;
        let store = store::read(&mut document);
        let publish = publish::read(&mut document, environment);
        let shield = shield::read(&mut document);
        // A store that is there but wrong is told once, not by every site again.
        let has_store = store.is_some() || !document.is_right();
        let sites = site::read(&mut document, has_store, &publish);
        admin::read(&mut document);
        let warnings = document.finish()?;
        Ok(Self { store, publish, shield, sites, warnings })
    }
}

/// The file named by `flag`, by `AWNING_CONFIG`, or `awning.toml`.
pub(crate) fn path(flag: Option<&Path>, environment: &Environment) -> PathBuf {
    let named = flag.map(Path::to_owned).or_else(|| environment.get("CONFIG").map(PathBuf::from));
    named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        let message = format!("it is larger than {CONFIG_BYTES_MAX} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}
