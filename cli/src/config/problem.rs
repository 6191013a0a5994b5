//! What can be wrong with a configuration, all of it in one error.

use std::fmt;
use std::path::Path;

/// A configuration that cannot be used.
#[derive(Debug)]
pub(crate) struct ConfigError {
    name: String,
    problems: Vec<Problem>,
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// The line in the file, from 1; `None` for the environment and for what is missing.
    pub(crate) line: Option<usize>,
    /// What is wrong, and what to write instead.
    pub(crate) message: String,
}

impl ConfigError {
    /// A configuration with these problems.
    pub(crate) fn new(name: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self { name: name.to_owned(), problems }
    }

    /// A configuration file that cannot be read at all.
    pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Self {
        let message = format!("cannot be read: {error}");
        Self::new(&path.display().to_string(), vec![Problem { line: None, message }])
    }

    /// A file that was named for output and cannot be written.
    pub(crate) fn unwritable(path: &Path, error: std::io::Error) -> Self {
        let message = format!("cannot be written: {error}");
        Self::new(&path.display().to_string(), vec![Problem { line: None, message }])
    }

    /// A setting that a command needs and that is not there.
    pub(crate) fn missing(message: &str) -> Self {
        let problem = Problem { line: None, message: message.to_owned() };
        Self::new("configuration", vec![problem])
    }

    /// Everything that is wrong.
    #[cfg(test)]
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            match problem.line {
                Some(line) => write!(f, "{separator}{}:{line}: {}", self.name, problem.message)?,
                None => write!(f, "{separator}{}: {}", self.name, problem.message)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
