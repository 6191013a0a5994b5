//! What the rules come to for one file, and which rule decided each property.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Compress, Level, References, Rule};
use crate::asset::{AssetPath, media};
use crate::manifest::field::{FieldName, FieldValue, Tag};
use crate::publish::problem::Kind;
use crate::semantics::encoding::Coding;

/// `Cache-Control` of objects under their fingerprinted names.
const CACHE_IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// `Cache-Control` of a stable asset: how long a switch may take to be seen.
const CACHE_STABLE: &str = "public, max-age=60";

/// `Cache-Control` of a stable page: the next release is seen at once.
const CACHE_STABLE_PAGE: &str = "no-cache";

/// A value, and the place of the rule that decided it; `None` by default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decided<T> {
    /// What was decided.
    pub value: T,
    /// The place of the rule, counted from 0.
    pub rule: Option<usize>,
}

/// Everything that is decided about one file.
#[derive(Clone, Debug)]
pub struct Policy<'a> {
    /// `Cache-Control`.
    pub cache_control: Decided<&'a str>,
    /// Further header fields.
    pub headers: BTreeMap<&'a FieldName, Decided<&'a FieldValue>>,
    /// `Content-Type`.
    pub content_type: Decided<Cow<'a, str>>,
    /// Whether visitors get a URL with a fingerprint.
    pub fingerprint: Decided<bool>,
    /// Which content codings are made; `None`: the file's type decides.
    pub compress: Decided<Option<&'a Compress>>,
    /// Surrogate keys.
    pub tags: Decided<&'a [Tag]>,
    /// How bad problems are, where a rule says so.
    pub severity: BTreeMap<Kind, Decided<Level>>,
    /// As what the file is read for references; `None`: its name decides.
    pub references: Decided<Option<References>>,
}

/// One property of a policy, as it is told to people and programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Property {
    /// Its name, as in a rule: `cache_control`, `headers.x-robots-tag`.
    pub name: String,
    /// What was decided.
    pub value: Value,
    /// The place of the rule that decided it, counted from 0; `None` by default.
    pub rule: Option<usize>,
}

impl<'a> Policy<'a> {
    /// What `rules` say of `path`, all of which match it, first ones first.
    pub(super) fn decide(path: &AssetPath, rules: &[(usize, &'a Rule)]) -> Self {
        let content_type = first(rules, |rule| rule.content_type.as_ref());
        let content_type = match content_type {
            Some((rule, value)) => {
                Decided { value: Cow::Borrowed(value.as_str()), rule: Some(rule) }
            }
            None => Decided { value: Cow::Owned(media::content_type(path)), rule: None },
        };
        let fingerprint = decided(first(rules, |rule| rule.fingerprint), true);
        let is_page = media::essence(&content_type.value).eq_ignore_ascii_case("text/html");
        let cache_control = first(rules, |rule| rule.cache_control.as_ref().map(|v| v.as_str()));
        let by_default = match (fingerprint.value, is_page) {
            (true, _) => CACHE_IMMUTABLE,
            (false, false) => CACHE_STABLE,
            (false, true) => CACHE_STABLE_PAGE,
        };
        Self {
            cache_control: decided(cache_control, by_default),
            headers: each(rules, |rule| rule.headers.iter()),
            content_type,
            fingerprint,
            compress: decided(first(rules, |rule| rule.compress.as_ref().map(Some)), None),
            tags: decided(first(rules, |rule| rule.tags.as_deref()), &[]),
            severity: each(rules, |rule| rule.severity.iter().map(|(kind, level)| (*kind, *level))),
            references: decided(first(rules, |rule| rule.references.map(Some)), None),
        }
    }

    /// The header fields as an entry of a manifest has them.
    pub(in crate::publish) fn entry_headers(&self) -> BTreeMap<String, String> {
        let text = |(name, decided): (&&FieldName, &Decided<&FieldValue>)| {
            (name.to_string(), decided.value.to_string())
        };
        self.headers.iter().map(text).collect()
    }

    /// All properties in a fixed order, with who decided each.
    pub fn properties(&self) -> Vec<Property> {
        let one = |name: &str, value: Value, rule| Property { name: name.to_owned(), value, rule };
        let mut properties = vec![
            one("cache_control", self.cache_control.value.into(), self.cache_control.rule),
            one("content_type", self.content_type.value.as_ref().into(), self.content_type.rule),
            one("fingerprint", self.fingerprint.value.into(), self.fingerprint.rule),
            one("compress", compress_value(self.compress.value), self.compress.rule),
            one("references", references_value(self.references.value), self.references.rule),
            one(
                "tags",
                self.tags.value.iter().map(|tag| Value::from(tag.as_str())).collect(),
                self.tags.rule,
            ),
        ];
        for (name, field) in &self.headers {
            let value = field.value.as_str().into();
            properties.push(one(&format!("headers.{name}"), value, field.rule));
        }
        for (kind, level) in &self.severity {
            let value = serde_json::to_value(level.value).unwrap_or_default();
            properties.push(one(&format!("severity.{}", kind.name()), value, level.rule));
        }
        properties
    }
}

/// The first rule that sets a property, and to what.
fn first<'a, T>(
    rules: &[(usize, &'a Rule)],
    property: impl Fn(&'a Rule) -> Option<T>,
) -> Option<(usize, T)> {
    rules.iter().find_map(|(place, rule)| Some((*place, property(rule)?)))
}

fn decided<T>(found: Option<(usize, T)>, by_default: T) -> Decided<T> {
    match found {
        Some((rule, value)) => Decided { value, rule: Some(rule) },
        None => Decided { value: by_default, rule: None },
    }
}

/// The same for properties that have names of their own.
fn each<'a, K: Ord, V, I: Iterator<Item = (K, V)>>(
    rules: &[(usize, &'a Rule)],
    named: impl Fn(&'a Rule) -> I,
) -> BTreeMap<K, Decided<V>> {
    let mut found = BTreeMap::new();
    for (place, rule) in rules {
        for (name, value) in named(rule) {
            found.entry(name).or_insert(Decided { value, rule: Some(*place) });
        }
    }
    found
}

fn compress_value(compress: Option<&Compress>) -> Value {
    match compress {
        None => "by type".into(),
        Some(Compress::Yes) => true.into(),
        Some(Compress::No) => false.into(),
        Some(Compress::Only(codings)) => {
            codings.iter().copied().map(Coding::name).map(Value::from).collect()
        }
    }
}

fn references_value(references: Option<References>) -> Value {
    match references {
        None => "by name".into(),
        Some(References::Json) => "json".into(),
        Some(References::None) => "none".into(),
    }
}
