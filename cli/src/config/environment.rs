//! The environment variables of one run, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;

use super::ConfigError;

/// What the variables that awning reads begin with.
const PREFIX: &str = "AWNING_";

/// The secrets that are read while the shield starts, and again when their
/// files change.
const SECRETS: [&str; 5] = [
    "B2_APPLICATION_KEY_ID",
    "B2_APPLICATION_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWNING_ADMIN_TOKEN",
];

/// A copy of the environment; tests make their own.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process whose names and values are UTF-8.
    pub(crate) fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of `AWNING_<name>`; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.exact(&format!("{PREFIX}{name}"))
    }

    /// The value of a setting by its path, `store.bucket`: `AWNING_STORE_BUCKET`.
    pub(crate) fn setting(&self, path: &str) -> Option<&str> {
        self.get(&variable(path))
    }

    /// The value of a variable under its whole name.
    pub(crate) fn exact(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A secret from the variable `name`, or from the file that `name_FILE` names.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<SecretString>, ConfigError> {
        if let Some(value) = self.exact(name) {
            return Ok(Some(value.into()));
        }
        let Some(path) = self.exact(&format!("{name}_FILE")) else { return Ok(None) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::unreadable(std::path::Path::new(path), error))?;
        Ok(Some(text.trim_end().into()))
    }

    /// The files that hold secrets.
    pub(crate) fn secret_files(&self) -> Vec<PathBuf> {
        let files = SECRETS.iter().filter_map(|name| self.exact(&format!("{name}_FILE")));
        files.map(PathBuf::from).collect()
    }
}

/// Values may be secrets, so only names are shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// The path of a setting in upper snake case.
pub(crate) fn variable(path: &str) -> String {
    path.replace('.', "_").to_ascii_uppercase()
}
