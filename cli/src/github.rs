//! What GitHub Actions understands: annotations, a summary of the step, and
//! its outputs. Every text is escaped, as names come from the tree.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use awning::publish::{Place, Problem};

use crate::config::Environment;
use crate::output::Output;

/// Most annotations of one kind; GitHub itself shows ten of a step.
const ANNOTATIONS_MAX: usize = 50;

/// Most problems in the summary of a step, which may have a mebibyte.
const ROWS_MAX: usize = 100;

/// Longest text in the summary, in characters.
const CELL_CHARS_MAX: usize = 500;

/// A step of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The published directory as annotations name it.
    source: PathBuf,
    summary: Option<PathBuf>,
    outputs: Option<PathBuf>,
}

impl Step {
    /// The step that this process runs in, if it runs in one.
    pub(crate) fn of(environment: &Environment, source: &Path) -> Option<Self> {
        environment.exact("GITHUB_ACTIONS").filter(|value| *value == "true")?;
        let path = |name| environment.exact(name).map(PathBuf::from);
        let workspace = path("GITHUB_WORKSPACE").unwrap_or_default();
        Some(Self {
            // Annotations name files relative to the workspace.
            source: source.strip_prefix(workspace).unwrap_or(source).to_owned(),
            summary: path("GITHUB_STEP_SUMMARY"),
            outputs: path("GITHUB_OUTPUT"),
        })
    }

    /// Annotates what is wrong with the tree. The runner reads standard error
    /// as well, and standard output is for data.
    pub(crate) fn annotate(&self, problems: &[Problem], output: Output) {
        for is_error in [true, false] {
            let same = || problems.iter().filter(|problem| problem.is_error() == is_error);
            same().take(ANNOTATIONS_MAX).for_each(|problem| output.note(self.annotation(problem)));
            let more = same().count().saturating_sub(ANNOTATIONS_MAX);
            if more > 0 {
                output.note(format_args!("::notice::{more} more are in the log"));
            }
        }
    }

    /// Annotates failures that belong to no file.
    pub(crate) fn annotate_failures(&self, failures: impl Iterator<Item = String>, output: Output) {
        for failure in failures.take(ANNOTATIONS_MAX) {
            output.note(format_args!("::error::{}", escaped(&failure)));
        }
    }

    /// Appends a table to the summary of the step, and `outputs` to its outputs.
    pub(crate) fn publish(
        &self,
        title: &str,
        table: &[(&str, String)],
        outputs: &[(&str, String)],
        output: Output,
    ) {
        let mut text = format!("### {}\n\n", cell(title));
        if !table.is_empty() {
            text.push_str("| | |\n| --- | --- |\n");
        }
        for (name, value) in table.iter().take(ROWS_MAX) {
            text.push_str(&format!("| {} | {} |\n", cell(name), cell(value)));
        }
        text.push('\n');
        append(self.summary.as_deref(), &text, output);
        let line = |(name, value): &(&str, String)| format!("{name}={}\n", single_line(value));
        append(self.outputs.as_deref(), &outputs.iter().map(line).collect::<String>(), output);
    }

    fn annotation(&self, problem: &Problem) -> String {
        let level = if problem.is_error() { "error" } else { "warning" };
        let file = self.source.join(&problem.path);
        let mut text = format!("::{level} file={}", property(&file.to_string_lossy()));
        if let Some(Place { line, column }) = problem.place {
            text.push_str(&format!(",line={line},col={column}"));
        }
        format!("{text}::{}", escaped(&problem.message))
    }
}

/// Files that GitHub made for the step; without them there is nothing to tell.
fn append(path: Option<&Path>, text: &str, output: Output) {
    let Some(path) = path else { return };
    let write = || -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
    };
    if let Err(error) = write() {
        output.warning(format_args!("`{}` is not written: {error}", path.display()));
    }
}

/// The message of a workflow command.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

/// A value of an output: a second line would be another output.
fn single_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Text that Markdown shows as it is, in a cell of a table.
fn cell(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(CELL_CHARS_MAX) {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '@' => shown.push_str("&#64;"),
            c if c.is_control() => shown.push(' '),
            c if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | ':' | '/' | '-') => {
                shown.push('\\');
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use awning::publish::{Kind, Severity};

    use super::*;

    fn step(source: &str, workspace: &str) -> Option<Step> {
        let environment =
            Environment::from([("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", workspace)]);
        Step::of(&environment, Path::new(source))
    }

    #[test]
    fn an_annotation_names_file_line_and_column_and_nothing_else() {
        let problem = Problem {
            kind: Kind::Dangling,
            path: "css/a,b:c%\n::error.css".to_owned(),
            place: Some(Place { line: 3, column: 14 }),
            severity: Severity::Warning,
            message: "100% wrong\n::set-output name=x::y".to_owned(),
        };
        let expected = "::warning file=dist/css/a%2Cb%3Ac%25%0A%3A%3Aerror.css,line=3,col=14::\
                        100%25 wrong%0A::set-output name=x::y";
        let relative = step("dist", "/home/runner/work").unwrap();
        assert_eq!(relative.annotation(&problem), expected);
        let absolute = step("/home/runner/work/dist", "/home/runner/work").unwrap();
        assert_eq!(absolute.annotation(&problem), expected);
    }

    #[test]
    fn a_cell_stays_a_cell() {
        let text = "a|b\n<script>`x`</script> @anna [l](u) *b* css/app.css";
        let expected = "a\\|b &lt;script&gt;\\`x\\`&lt;/script&gt; &#64;anna \\[l\\]\\(u\\) \\*b\\* css/app.css";
        assert_eq!(cell(text), expected);
        assert_eq!(cell(&"x".repeat(1000)).len(), CELL_CHARS_MAX);
        assert_eq!(single_line("a\nb=c"), "ab=c");
    }

    #[test]
    fn other_environments_are_no_step() {
        assert!(Step::of(&Environment::default(), Path::new("dist")).is_none());
        let off = Environment::from([("GITHUB_ACTIONS", "false")]);
        assert!(Step::of(&off, Path::new("dist")).is_none());
    }
}
