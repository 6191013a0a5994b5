//! Reads a TOML document key by key, and remembers what is wrong with it.
//!
//! Not by `serde`, because that stops at the first error; a person wants to
//! see all of them, each with its line.

use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{Environment, variable};
use super::{ConfigError, Problem};

type Table<'a> = DeTable<'a>;
type Value<'a> = Spanned<DeValue<'a>>;

/// A document that is being read.
pub(crate) struct Document<'a> {
    name: &'a str,
    text: &'a str,
    root: Table<'a>,
    environment: &'a Environment,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// One table of a document. Keys that nobody asked for are unknown ones.
pub(crate) struct Reader<'a, 'd> {
    document: &'d mut Document<'a>,
    table: Table<'a>,
    path: String,
    /// Whether settings may come from the environment: not those of a list's members.
    overridable: bool,
    asked: Vec<&'static str>,
}

/// What a value is besides a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// `[…]`
    List,
    /// `{…}`
    Table,
}

/// A value, and where it came from.
#[derive(Clone, Debug)]
struct Found {
    text: String,
    line: Option<usize>,
}

impl<'a> Document<'a> {
    /// Parses `text`; what is not TOML is reported whole.
    pub(crate) fn parse(
        name: &'a str,
        text: &'a str,
        environment: &'a Environment,
    ) -> Result<Self, ConfigError> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| Problem {
                line: error.span().map(|span| line_of(text, &span)),
                message: error.message().to_owned(),
            };
            return Err(ConfigError::new(name, errors.iter().map(problem).collect()));
        }
        let root = root.into_inner();
        Ok(Self { name, text, root, environment, problems: Vec::new(), warnings: Vec::new() })
    }

    /// The table `name`, and whether it stands in the file.
    pub(crate) fn table(&mut self, name: &'static str) -> (Reader<'a, '_>, bool) {
        let taken = self.root.remove(name);
        let present = taken.is_some();
        let table = match taken.map(|value| (value.span(), value.into_inner())) {
            Some((_, DeValue::Table(table))) => table,
            Some((span, _)) => {
                self.problem(Some(&span), format!("`{name}` must be a table: `[{name}]`"));
                Table::new()
            }
            None => Table::new(),
        };
        (Reader::new(self, table, name.to_owned(), true), present)
    }

    /// The tables of the array `[[name]]`, taken out of the document.
    pub(crate) fn take_tables(&mut self, name: &'static str) -> Vec<(Table<'a>, usize)> {
        match self.root.remove(name) {
            Some(value) => self.tables_of(name, value),
            None => Vec::new(),
        }
    }

    /// A reader of one table that was taken out.
    pub(crate) fn read(&mut self, table: Table<'a>, path: String) -> Reader<'a, '_> {
        Reader::new(self, table, path, false)
    }

    /// Remembers a problem that stands on no line.
    pub(crate) fn problem_at(&mut self, line: Option<usize>, message: impl Into<String>) {
        self.problems.push(Problem { line, message: message.into() });
    }

    /// Whether everything that was read so far is right.
    pub(crate) fn is_right(&self) -> bool {
        self.problems.is_empty()
    }

    /// Ends the reading: unknown tables are problems too.
    pub(crate) fn finish(mut self) -> Result<Vec<String>, ConfigError> {
        let known = ["store", "publish", "shield", "site", "admin", "fleet"];
        for (key, _) in std::mem::take(&mut self.root) {
            let message = unknown(key.get_ref(), &known, "table");
            self.problem(Some(&key.span()), message);
        }
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        Err(ConfigError::new(self.name, self.problems))
    }

    fn tables_of(&mut self, name: &str, value: Value<'a>) -> Vec<(Table<'a>, usize)> {
        let span = value.span();
        let DeValue::Array(array) = value.into_inner() else {
            self.problem(Some(&span), format!("`{name}` must be a list of tables: `[[{name}]]`"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for member in array.into_iter() {
            let span = member.span();
            match member.into_inner() {
                DeValue::Table(table) => tables.push((table, line_of(self.text, &span))),
                _ => self.problem(Some(&span), format!("`{name}` must hold tables only")),
            }
        }
        tables
    }

    fn problem(&mut self, span: Option<&Range<usize>>, message: String) {
        let line = span.map(|span| line_of(self.text, span));
        self.problems.push(Problem { line, message });
    }
}

impl<'a, 'd> Reader<'a, 'd> {
    fn new(document: &'d mut Document<'a>, table: Table<'a>, path: String, env: bool) -> Self {
        Self { document, table, path, overridable: env, asked: Vec::new() }
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.find(key, "a text").map(|found| found.text)
    }

    /// A text that `parse` understands; its error becomes a problem of the key.
    pub(crate) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let found = self.find(key, "a text")?;
        match parse(&found.text) {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("`{}`: {error}", self.name_of(key));
                self.document.problem_at(found.line, message);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.parsed(key, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("`{other}` is neither `true` nor `false`")),
        })
    }

    /// A list of texts; in the environment, separated by commas.
    pub(crate) fn list(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.asked.push(key);
        if let Some(text) = self.override_of(key) {
            return Some(text.split(',').map(|part| part.trim().to_owned()).collect());
        }
        let value = self.table.remove(key)?;
        let span = value.span();
        let texts = match value.into_inner() {
            DeValue::Array(array) => array.into_iter().map(|member| scalar(&member)).collect(),
            _ => None,
        };
        if texts.is_none() {
            let message = format!("`{}` must be a list of texts: [\"…\"]", self.name_of(key));
            self.document.problem(Some(&span), message);
        }
        texts
    }

    /// A list whose members `parse` understands; each that it does not is a problem.
    pub(crate) fn parsed_list<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let line = self.line_of(key);
        let texts = self.list(key)?;
        let mut values = Vec::new();
        for text in texts {
            match parse(&text) {
                Ok(value) => values.push(value),
                Err(error) => {
                    let message = format!("`{}`: {error}", self.name_of(key));
                    self.document.problem_at(line, message);
                }
            }
        }
        Some(values)
    }

    /// The members of a table of texts, each with its name and line: `{ a = "b" }`.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<(String, String, usize)> {
        self.asked.push(key);
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        let span = value.span();
        let name = self.name_of(key);
        let DeValue::Table(table) = value.into_inner() else {
            let message = format!("`{name}` must be a table of texts: {{ name = \"…\" }}");
            self.document.problem(Some(&span), message);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (member, value) in table {
            let line = line_of(self.document.text, &member.span());
            let member = member.into_inner().into_owned();
            match scalar(&value) {
                Some(text) => texts.push((member, text, line)),
                None => self.problem(Some(line), format!("`{name}.{member}` must be a text")),
            }
        }
        texts
    }

    /// Whether `key` has a value of this shape, before it is read.
    pub(crate) fn is(&self, key: &str, shape: Shape) -> bool {
        let value = self.table.get(key).map(Spanned::get_ref);
        match shape {
            Shape::List => matches!(value, Some(DeValue::Array(_))),
            Shape::Table => matches!(value, Some(DeValue::Table(_))),
        }
    }

    /// A line as messages name it: `awning.toml:41`.
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.document.name)
    }

    /// Whether `key` has a value, right or wrong, before it is read.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some() || self.overriding(key).is_some()
    }

    /// The line on which `key` stands, before it is read.
    pub(crate) fn line_of(&self, key: &str) -> Option<usize> {
        self.table.get(key).map(|value| line_of(self.document.text, &value.span()))
    }

    /// The tables below `key`, each with its line.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<(Table<'a>, usize)> {
        self.asked.push(key);
        match self.table.remove(key) {
            Some(value) => self.document.tables_of(&self.name_of(key), value),
            None => Vec::new(),
        }
    }

    /// Takes a key that is part of the interface, but not in effect yet.
    pub(crate) fn without_effect(&mut self, key: &'static str) {
        self.asked.push(key);
        let named = self.table.remove(key).is_some() || self.override_of(key).is_some();
        if named {
            let name = self.name_of(key);
            self.document.warnings.push(format!("`{name}` has no effect in this version"));
        }
    }

    /// Remembers that something about this table is wrong.
    pub(crate) fn problem(&mut self, line: Option<usize>, message: impl Into<String>) {
        self.document.problem_at(line, message);
    }

    /// A reader of a table inside this one.
    pub(crate) fn inner(&mut self, table: Table<'a>, path: String) -> Reader<'a, '_> {
        Reader::new(self.document, table, path, false)
    }

    /// Ends the table: keys that nobody asked for are problems.
    pub(crate) fn finish(self) {
        for (key, _) in self.table {
            let message = unknown(&format!("{}.{}", self.path, key.get_ref()), &self.asked, "key");
            self.document.problem(Some(&key.span()), message);
        }
    }

    fn find(&mut self, key: &'static str, expected: &str) -> Option<Found> {
        self.asked.push(key);
        if let Some(text) = self.override_of(key) {
            return Some(Found { text, line: None });
        }
        let value = self.table.remove(key)?;
        let line = Some(line_of(self.document.text, &value.span()));
        match scalar(&value) {
            Some(text) => Some(Found { text, line }),
            None => {
                let message = format!("`{}` must be {expected}", self.name_of(key));
                self.document.problem_at(line, message);
                None
            }
        }
    }

    fn override_of(&mut self, key: &str) -> Option<String> {
        let found = self.overriding(key)?.to_owned();
        // What the environment overrides is known all the same.
        self.table.remove(key);
        Some(found)
    }

    fn overriding(&self, key: &str) -> Option<&str> {
        let path = self.overridable.then(|| self.name_of(key))?;
        self.document.environment.setting(&path)
    }

    /// The whole name of a key of this table, as people are told it.
    pub(crate) fn name_of(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

/// The text of a value that is no table and no list.
fn scalar(value: &Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What to say of a name that is not known.
pub(crate) fn unknown(name: &str, known: &[&str], kind: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name);
    let nearest = known.iter().map(|known| (strsim::levenshtein(last, known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= 2 => {
            format!("unknown {kind} `{name}`: did you mean `{known}`?")
        }
        _ => {
            let known = known.join(", ");
            format!("unknown {kind} `{name}`: known are {known}")
        }
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}

/// The environment's name of a setting, for messages.
pub(crate) fn variable_of(path: &str) -> String {
    format!("AWNING_{}", variable(path))
}
