//! `[[publish.rule]]`: what is done with files, by their paths.

use std::collections::BTreeMap;
use std::fmt::Display;

use awning::manifest::field::{FieldName, FieldValue, Tag};
use awning::publish::{Compress, Kind, Level, Pattern, References, Rule, Rules};
use awning::semantics::encoding::Coding;

use super::reader::{Reader, Shape, unknown};

/// Most tags of one rule.
const TAGS_MAX: usize = 32;

/// Reads all rules, and where each stands.
pub(crate) fn read(publish: &mut Reader<'_, '_>) -> (Rules, Vec<String>) {
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    for (index, (table, line)) in publish.tables("rule").into_iter().enumerate() {
        let mut reader = publish.inner(table, format!("publish.rule[{index}]"));
        let rule = read_one(&mut reader, line);
        places.push(reader.place(line));
        reader.finish();
        rules.extend(rule);
    }
    let rules = Rules::new(rules).unwrap_or_else(|error| {
        publish.problem(None, format!("`publish.rule`: {error}"));
        Rules::default()
    });
    (rules, places)
}

fn read_one(table: &mut Reader<'_, '_>, line: usize) -> Option<Rule> {
    if !table.has("match") {
        table.problem(Some(line), "a rule needs `match`, as in match = \"fonts/**\"");
    }
    let pattern = table.parsed("match", Pattern::parse);
    let cache_control = table.parsed("cache_control", FieldValue::cache_control);
    let headers = headers(table);
    let content_type = table.parsed("content_type", FieldValue::media_type);
    let fingerprint = table.flag("fingerprint");
    let compress = compress(table);
    let tags = tags(table, line);
    let severity = severity(table);
    let references = table.parsed("references", References::parse);
    Some(Rule {
        cache_control,
        headers,
        content_type,
        fingerprint,
        compress,
        tags,
        severity,
        references,
        ..Rule::of(pattern?)
    })
}

fn headers(table: &mut Reader<'_, '_>) -> BTreeMap<FieldName, FieldValue> {
    let mut headers = BTreeMap::new();
    for (name, value, line) in table.texts("headers") {
        let name = tell(table, line, "headers", FieldName::parse(&name));
        let value = tell(table, line, "headers", FieldValue::parse(&value));
        let (Some(name), Some(value)) = (name, value) else { continue };
        if headers.insert(name.clone(), value).is_some() {
            let key = table.name_of("headers");
            let message = format!("`{key}`: `{name}` stands there twice");
            table.problem(Some(line), message);
        }
    }
    headers
}

/// `true`, `false`, or a list of codings.
fn compress(table: &mut Reader<'_, '_>) -> Option<Compress> {
    if table.is("compress", Shape::List) {
        return Some(Compress::Only(table.parsed_list("compress", coding)?));
    }
    let flag = |text: &str| match text {
        "true" => Ok(Compress::Yes),
        "false" => Ok(Compress::No),
        other => Err(format!(
            "`{other}` is none of true, false, or a list: [\"br\", \"zstd\", \"gzip\"]"
        )),
    };
    table.parsed("compress", flag)
}

fn coding(text: &str) -> Result<Coding, String> {
    let known = Coding::ALL.into_iter().find(|coding| coding.name() == text);
    known.ok_or_else(|| format!("`{text}` is none of br, zstd, gzip"))
}

fn tags(table: &mut Reader<'_, '_>, line: usize) -> Option<Vec<Tag>> {
    let line = table.line_of("tags").or(Some(line));
    let tags = table.parsed_list("tags", Tag::parse)?;
    if tags.len() > TAGS_MAX {
        let key = table.name_of("tags");
        table.problem(line, format!("`{key}`: more than {TAGS_MAX}"));
    }
    Some(tags)
}

/// One level for all kinds of problems, or a table of levels by kind.
fn severity(table: &mut Reader<'_, '_>) -> BTreeMap<Kind, Level> {
    if !table.is("severity", Shape::Table) {
        let level = table.parsed("severity", Level::parse);
        let all = level.map(|level| Kind::RULED.map(|kind| (kind, level)));
        return all.into_iter().flatten().collect();
    }
    let mut levels = BTreeMap::new();
    for (name, level, line) in table.texts("severity") {
        let kind = Kind::RULED.into_iter().find(|kind| kind.name() == name);
        let kind =
            kind.ok_or_else(|| unknown(&name, &Kind::RULED.map(Kind::name), "kind of problem"));
        let kind = tell(table, line, "severity", kind);
        let level = tell(table, line, "severity", Level::parse(&level));
        levels.extend(kind.zip(level));
    }
    levels
}

/// The value, or a problem of `key`.
fn tell<T, E: Display>(
    table: &mut Reader<'_, '_>,
    line: usize,
    key: &str,
    parsed: Result<T, E>,
) -> Option<T> {
    let key = table.name_of(key);
    parsed.map_err(|error| table.problem(Some(line), format!("`{key}`: {error}"))).ok()
}
