//! `awning explain`: what is done with a file, and which rule says so.

use std::fmt;

use awning::asset::AssetPath;
use awning::publish::{self, Ignored, Problem, Property};
use clap::Args;
use serde::Serialize;

use super::Context;
use crate::config::PublishSettings;
use crate::exit::Usage;

/// Print what the rules decide about a file, and which rule decides each property
///
/// Reads the configuration only: the file need not be there.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// Path of the file, relative to the root of the published tree
    #[arg(value_name = "PATH|URL")]
    path: String,
}

/// What is decided about one file.
#[derive(Debug, Serialize)]
struct Explained {
    path: AssetPath,
    /// What leaves the file out of releases.
    ignored: Option<Ignored>,
    /// What is wrong with its name.
    problems: Vec<Problem>,
    properties: Vec<Explanation>,
}

/// One property, its value, and what decided it.
#[derive(Debug, Serialize)]
struct Explanation {
    #[serde(flatten)]
    property: Property,
    /// The pattern of the rule.
    #[serde(rename = "match")]
    pattern: Option<String>,
    /// Where the rule stands: `awning.toml:41`.
    place: Option<String>,
}

impl Explain {
    /// Explains a path.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        if self.path.contains("://") {
            let message = "a URL is explained by a running shield, which this version cannot ask: \
                           give the path of a file in the published tree";
            return Err(Usage(message.to_owned()).into());
        }
        let settings = context.settings()?.publish;
        let text = self.path.trim_start_matches("./").trim_start_matches('/');
        let path = AssetPath::parse(text)
            .map_err(|error| Usage(format!("`{}` names no file: {error}", self.path)))?;
        let explained = Explained::of(path, &settings);
        context.output.data(&explained, &explained)?;
        Ok(())
    }
}

impl Explained {
    fn of(path: AssetPath, settings: &PublishSettings) -> Self {
        let properties = settings.rules.for_path(&path).properties();
        let explain = |property: Property| {
            let rule = property.rule.and_then(|place| settings.rules.get(place));
            let pattern = rule.map(|rule| rule.pattern.as_str().to_owned());
            let place = property.rule.and_then(|place| settings.rule_places.get(place)).cloned();
            Explanation { property, pattern, place }
        };
        let properties = properties.into_iter().map(explain).collect();
        let ignored = publish::ignored(&path, &settings.ignore);
        let problems = publish::named_problems(&path, &settings.rules);
        Self { path, ignored, problems, properties }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        match &self.ignored {
            Some(Ignored { path, rule }) => write!(f, "\n  ignored: `{path}` matches `{rule}`")?,
            None if self.problems.iter().any(Problem::is_error) => f.write_str("\n  refused")?,
            None => f.write_str("\n  published")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        self.properties.iter().try_for_each(|explanation| write!(f, "\n  {explanation}"))
    }
}

impl fmt::Display for Explanation {
    /// `cache_control = "no-cache"  publish.rule[3] match = "fonts/**" (awning.toml:41)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Property { name, value, rule } = &self.property;
        write!(f, "{name} = {value}  ")?;
        match (rule, &self.pattern, &self.place) {
            (Some(rule), Some(pattern), Some(place)) => {
                write!(f, "publish.rule[{rule}] match = \"{pattern}\" ({place})")
            }
            _ => f.write_str("default"),
        }
    }
}
