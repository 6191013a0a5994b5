//! Configuration: flag, then environment, then file, then default.
//!
//! The only place that reads the environment. Everything that is wrong is
//! reported at once, with the line where it stands and what to write instead.

mod admin;
mod duration;
mod environment;
mod problem;
mod publish;
mod reader;
mod shield;
mod site;
mod store;
mod unit;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(crate) use admin::admin_tokens;
pub(crate) use duration::duration;
pub(crate) use environment::Environment;
pub(crate) use problem::{ConfigError, Problem};
pub(crate) use publish::{PublishSettings, mount};
pub(crate) use shield::ShieldSettings;
pub(crate) use site::upstream;
pub(crate) use store::{Credentials, StoreSettings};

use awning::shield::config::SiteConfig;
use reader::Document;

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
        let named =
            flag.map(Path::to_owned).or_else(|| environment.get("CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
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
        let publish = publish::read(&mut document);
        let shield = shield::read(&mut document);
        // A store that is there but wrong is told once, not by every site again.
        let has_store = store.is_some() || !document.is_right();
        let sites = site::read(&mut document, has_store, &publish);
        admin::read(&mut document);
        let warnings = document.finish()?;
        Ok(Self { store, publish, shield, sites, warnings })
    }
}
