//! Rules: what is done with each file, by its path. For each property the
//! first matching rule that sets it decides. Pure: nothing is read here.

mod decide;
mod digest;

use std::collections::BTreeMap;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Serialize;

pub use decide::{Decided, Policy, Property};

use super::options::{IgnoreError, parse_glob};
use super::problem::{Kind, Problem, Severity};
use crate::asset::AssetPath;
use crate::manifest::field::{FieldName, FieldValue, Tag};
use crate::semantics::encoding::Coding;

/// The rules of a publish, in the order in which they decide.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    set: GlobSet,
}

/// What one rule sets for the files it matches; what it leaves out is decided
/// by a later rule, or by default.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which files it matches.
    pub pattern: Pattern,
    /// `Cache-Control` of the object under its fingerprinted name; of a stable
    /// asset, under its logical one.
    pub cache_control: Option<FieldValue>,
    /// Further header fields. Each is a property of its own.
    pub headers: BTreeMap<FieldName, FieldValue>,
    /// `Content-Type`.
    pub content_type: Option<FieldValue>,
    /// `false`: the asset keeps its logical URL.
    pub fingerprint: Option<bool>,
    /// Which content codings are made.
    pub compress: Option<Compress>,
    /// Surrogate keys.
    pub tags: Option<Vec<Tag>>,
    /// How bad problems are, by their kind. Each is a property of its own.
    pub severity: BTreeMap<Kind, Level>,
    /// As what the file is read for references.
    pub references: Option<References>,
}

/// A pattern of paths, as [`super::Ignore`] has them.
#[derive(Clone, Debug)]
pub struct Pattern(Glob);

/// How bad a problem of some kind is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is published.
    Error,
    /// It is published and reported.
    Warning,
    /// It is not even reported.
    Ignore,
}

/// Which content codings of an object are made.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// All, whatever the file's type is.
    Yes,
    /// None.
    No,
    /// These.
    Only(Vec<Coding>),
}

/// As what a file is read for references, in place of what its name says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum References {
    /// As JSON: texts that name assets.
    Json,
    /// Not at all: it is published byte for byte.
    None,
}

impl Rules {
    /// These rules, in this order.
    pub fn new(rules: Vec<Rule>) -> Result<Self, IgnoreError> {
        let mut set = GlobSetBuilder::new();
        for rule in &rules {
            set.add(rule.pattern.0.clone());
        }
        let set = set.build().map_err(IgnoreError::of_set)?;
        Ok(Self { rules, set })
    }

    /// Everything that is decided about the file at `path`.
    pub fn for_path(&self, path: &AssetPath) -> Policy<'_> {
        let mut matching = self.set.matches(path.as_str());
        matching.sort_unstable();
        let rules = matching.iter().filter_map(|place| Some((*place, self.rules.get(*place)?)));
        Policy::decide(path, &rules.collect::<Vec<_>>())
    }

    /// The rule at a place, counted from 0.
    pub fn get(&self, place: usize) -> Option<&Rule> {
        self.rules.get(place)
    }

    /// Gives each problem the severity that the rules say, and drops those they
    /// ignore. What cannot be published at all stays an error.
    pub(super) fn judge(&self, problems: Vec<Problem>) -> Vec<Problem> {
        if self.rules.iter().all(|rule| rule.severity.is_empty()) {
            return problems;
        }
        problems.into_iter().filter_map(|problem| self.judged(problem)).collect()
    }

    fn judged(&self, problem: Problem) -> Option<Problem> {
        if !Kind::RULED.contains(&problem.kind) {
            return Some(problem);
        }
        let Ok(path) = AssetPath::parse(&problem.path) else { return Some(problem) };
        let severity = match self.for_path(&path).severity.get(&problem.kind) {
            None => problem.severity,
            Some(Decided { value: Level::Error, .. }) => Severity::Error,
            Some(Decided { value: Level::Warning, .. }) => Severity::Warning,
            Some(Decided { value: Level::Ignore, .. }) => return None,
        };
        Some(Problem { severity, ..problem })
    }
}

impl Rule {
    /// A rule that sets nothing for the files that `pattern` matches.
    pub fn of(pattern: Pattern) -> Self {
        Self {
            pattern,
            cache_control: None,
            headers: BTreeMap::new(),
            content_type: None,
            fingerprint: None,
            compress: None,
            tags: None,
            severity: BTreeMap::new(),
            references: None,
        }
    }
}

impl Pattern {
    /// Reads a pattern. It is matched against the whole path: `fonts/**`, `**/*.map`.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        parse_glob(text).map(Self)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        self.0.glob()
    }
}

impl Level {
    /// The level of a word.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warning" => Ok(Self::Warning),
            "ignore" => Ok(Self::Ignore),
            other => Err(format!("`{other}` is none of error, warning, ignore")),
        }
    }
}

impl References {
    /// What a word stands for.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "none" => Ok(Self::None),
            other => Err(format!("`{other}` is none of json, none")),
        }
    }
}

#[cfg(test)]
mod tests;
