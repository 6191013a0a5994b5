//! What is wrong with a source tree, said so that an author can mend it.

use std::fmt;

use serde::Serialize;

use super::source::ReadError;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is published.
    Error,
    /// It is published and reported.
    Warning,
}

/// What a problem is about, so that rules can say how bad it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// The tree itself: links, sizes, files that cannot be read or named.
    Tree,
    /// A name that works here, but not everywhere.
    Name,
    /// What looks like a secret, by its name or its content.
    Secret,
    /// A reference that names no asset.
    Dangling,
    /// A source map that is not in the tree. Only tools for developers miss it.
    SourceMap,
    /// A relative URL in a custom property: what it names depends on who uses it.
    Property,
    /// A document, or a part of one, whose references could not be read.
    Unparsed,
    /// A file that a build named by its content, and that had to be rewritten.
    Rehashed,
}

/// Something wrong in the source tree.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Problem {
    /// The file, relative to the source; names that are not UTF-8 are shown
    /// with replacement characters.
    pub path: String,
    /// Line and column in the file, both counted from 1.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
}

/// A place in a text file.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
}

/// A file or directory that was left out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ignored {
    /// Relative to the source; a directory ends with `/`.
    pub path: String,
    /// The pattern or built-in rule that left it out.
    pub rule: String,
}

impl Problem {
    /// A problem that stops the publish.
    pub(super) fn error(path: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self {
            path: path.to_string(),
            place: None,
            severity: Severity::Error,
            kind: Kind::Tree,
            message: message.to_string(),
        }
    }

    /// A problem that is only reported.
    pub(super) fn warning(path: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// A file that cannot be read, or changed meanwhile.
    pub(super) fn unreadable(path: impl fmt::Display, error: &ReadError) -> Self {
        match error {
            ReadError::Io(cause) => Self::error(path, format!("{error}: {cause}")),
            ReadError::Changed => Self::error(path, error),
        }
    }

    /// The same problem at a place in the file.
    pub(super) fn at(self, line: usize, column: usize) -> Self {
        Self { place: Some(Place { line, column }), ..self }
    }

    /// The same problem as one of `kind`.
    pub(super) fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Whether it stops the publish.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl Kind {
    /// Whether a strict publish refuses it. What cannot break a page, and what
    /// is mended by awning itself, is reported only.
    pub(super) fn is_strict(self) -> bool {
        matches!(self, Self::Tree | Self::Name | Self::Secret | Self::Dangling | Self::Unparsed)
    }

    /// Every kind whose severity rules can set. What cannot be published at all
    /// is not among them.
    pub const RULED: [Self; 7] = [
        Self::Name,
        Self::Secret,
        Self::Dangling,
        Self::SourceMap,
        Self::Property,
        Self::Unparsed,
        Self::Rehashed,
    ];

    /// The word for it, in reports and in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Name => "name",
            Self::Secret => "secret",
            Self::Dangling => "dangling",
            Self::SourceMap => "source-map",
            Self::Property => "property",
            Self::Unparsed => "unparsed",
            Self::Rehashed => "rehashed",
        }
    }
}

impl fmt::Display for Problem {
    /// `path:line:column: severity: message`, as compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name may hold what moves a terminal's cursor.
        for c in self.path.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        if let Some(Place { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_like_a_compilers() {
        let problem = Problem::warning("css/app.css", "no asset").at(3, 14);
        assert_eq!(problem.to_string(), "css/app.css:3:14: warning: no asset");
        let problem = Problem::error("a\u{1b}[2J.css", "bad name");
        assert_eq!(problem.to_string(), "a\\u{1b}[2J.css: error: bad name");
    }

    #[test]
    fn a_kind_has_one_word() {
        for kind in Kind::RULED {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn a_problem_has_flat_json() {
        let problem = Problem::warning("a", "m").of(Kind::SourceMap).at(1, 2);
        let json = serde_json::to_string(&problem).unwrap();
        let expected = r#"{"path":"a","line":1,"column":2,"severity":"warning","kind":"source-map","message":"m"}"#;
        assert_eq!(json, expected);
    }
}
