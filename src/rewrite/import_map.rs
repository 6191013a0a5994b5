//! Import maps: reading a page's own, and writing entries into it by splicing.
//!
//! A browser without support for several import maps takes only the first, so
//! a page that has one keeps it, with more entries than before.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::splice::Edit;

/// What an import map says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ImportMap {
    /// Specifiers, or URLs, and the URLs of the modules they name.
    pub imports: BTreeMap<String, String>,
    /// URLs of modules, and `integrity` of what they hold.
    pub integrity: BTreeMap<String, String>,
}

/// An import map as it stands in a page.
#[derive(Clone, Debug)]
pub(super) struct OwnMap {
    /// `imports`, as far as their addresses are texts.
    pub(super) imports: BTreeMap<String, String>,
    /// The addresses within `scopes`.
    pub(super) scoped: Vec<String>,
    /// The URLs that it pins by `integrity`.
    pub(super) pinned: Vec<String>,
}

impl ImportMap {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.imports.is_empty() && self.integrity.is_empty()
    }

    /// The map as JSON that can stand between the tags of a script.
    pub(super) fn to_json(&self) -> String {
        let [imports, integrity] = [&self.imports, &self.integrity].map(entries);
        format!("{{\"imports\":{{{imports}}},\"integrity\":{{{integrity}}}}}")
    }

    /// The edits that add this to the import map `text`, which begins at
    /// `offset` of its document. Ours come first, so that of two entries for
    /// one specifier the page's own is the one that counts.
    pub(super) fn added_to(&self, text: &str, offset: usize) -> Option<Vec<Edit>> {
        let own = Raw::read(text)?;
        let (mut edits, mut missing) = (Vec::new(), Vec::new());
        let parts = [
            ("imports", own.imports, &self.imports),
            ("integrity", own.integrity, &self.integrity),
        ];
        // The parts are lent from the text, so the distance of their addresses
        // is their place.
        let place = |part: &str| offset + part.as_ptr().addr() - text.as_ptr().addr();
        for (name, there, more) in parts.into_iter().filter(|(_, _, more)| !more.is_empty()) {
            match there {
                Some(there) => edits.push(first_in(there.get(), place(there.get()), entries(more))),
                None => missing.push(format!("\"{name}\":{{{}}}", entries(more))),
            }
        }
        if !missing.is_empty() {
            let whole = text.trim_start();
            edits.push(first_in(whole, place(whole), missing.join(",")));
        }
        edits.sort_by_key(|edit| edit.at.start);
        Some(edits)
    }
}

/// The edit that makes `members` the first of `object`, which stands at `start`.
fn first_in(object: &str, start: usize, members: String) -> Edit {
    let is_empty = object[1..].trim_start().starts_with('}');
    let comma = if is_empty { "" } else { "," };
    Edit { at: start + 1..start + 1, text: format!("{members}{comma}") }
}

impl OwnMap {
    /// Reads a map; `None` if it is none, or has a part twice.
    pub(super) fn read(text: &str) -> Option<Self> {
        let raw = Raw::read(text)?;
        let object = |part: Option<&RawValue>| match part {
            None => Some(BTreeMap::new()),
            Some(part) => serde_json::from_str::<BTreeMap<String, Value>>(part.get()).ok(),
        };
        let texts = |(name, value): (String, Value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        };
        let scoped = object(raw.scopes)?.into_values().filter_map(|scope| match scope {
            Value::Object(scope) => Some(scope.into_iter().filter_map(texts).map(|(_, url)| url)),
            _ => None,
        });
        Some(Self {
            scoped: scoped.flatten().collect(),
            imports: object(raw.imports)?.into_iter().filter_map(texts).collect(),
            pinned: object(raw.integrity)?.into_keys().collect(),
        })
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    imports: Option<&'a RawValue>,
    #[serde(borrow)]
    integrity: Option<&'a RawValue>,
    #[serde(borrow)]
    scopes: Option<&'a RawValue>,
}

impl<'a> Raw<'a> {
    fn read(text: &'a str) -> Option<Self> {
        // A sequence would be read as a struct as well.
        let raw: Self = serde_json::from_str(text).ok()?;
        text.trim_start().starts_with('{').then_some(raw)
    }
}

/// The members of an object, without its braces.
fn entries(map: &BTreeMap<String, String>) -> String {
    let quoted = |text: &str| Value::from(text).to_string().replace('<', "\\u003c");
    let entry = |(name, value): (&String, &String)| format!("{}:{}", quoted(name), quoted(value));
    map.iter().map(entry).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::splice::splice;

    fn map() -> ImportMap {
        let pair = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        ImportMap {
            imports: [("/a.js", "/a.fp.js"), ("</script>", "x")].map(pair).into(),
            integrity: [("/a.fp.js", "sha384-x")].map(pair).into(),
        }
    }

    fn added(text: &str) -> Option<String> {
        let edits = map().added_to(text, 7)?;
        Some(String::from_utf8(splice(text.as_bytes(), 7, &edits)).unwrap())
    }

    const IMPORTS: &str = r#""/a.js":"/a.fp.js","\u003c/script>":"x""#;
    const INTEGRITY: &str = r#""/a.fp.js":"sha384-x""#;

    #[test]
    fn a_map_of_ours_ends_no_script() {
        let json = map().to_json();
        assert_eq!(json, format!("{{\"imports\":{{{IMPORTS}}},\"integrity\":{{{INTEGRITY}}}}}"));
        assert!(serde_json::from_str::<Value>(&json).is_ok());
    }

    #[test]
    fn a_page_keeps_its_own_map_and_gets_ours() {
        let both = format!("\"imports\":{{{IMPORTS}}},\"integrity\":{{{INTEGRITY}}}");
        let table = [
            ("{}".to_owned(), format!("{{{both}}}")),
            ("\n { \"scopes\": {} }\n".into(), format!("\n {{{both}, \"scopes\": {{}} }}\n")),
            (
                "{\"imports\": { } }".into(),
                format!("{{\"integrity\":{{{INTEGRITY}}},\"imports\": {{{IMPORTS} }} }}"),
            ),
            (
                "{ \"integrity\":{\"/b\":\"\"}, \"imports\" : {\"b\":\"/b\"}}".into(),
                format!(
                    "{{ \"integrity\":{{{INTEGRITY},\"/b\":\"\"}}, \"imports\" : {{{IMPORTS},\"b\":\"/b\"}}}}"
                ),
            ),
        ];
        for (text, expected) in table {
            let found = added(&text).unwrap();
            assert_eq!(found, expected);
            assert!(serde_json::from_str::<Value>(&found).is_ok(), "{found}");
        }
        for text in ["", "[]", "null", "{", "{\"imports\":{},\"imports\":{}}"] {
            assert_eq!(added(text), None, "{text}");
        }
    }

    #[test]
    fn a_map_is_read_as_far_as_it_has_texts() {
        let own = OwnMap::read(
            r#"{"imports":{"a":"/a.js","b":null},"scopes":{"/s/":{"c":"/c.js"}},"integrity":{"/a.js":"x"}}"#,
        );
        let own = own.unwrap();
        assert_eq!(own.imports, BTreeMap::from([("a".to_owned(), "/a.js".to_owned())]));
        assert_eq!((own.scoped, own.pinned), (vec!["/c.js".to_owned()], vec!["/a.js".to_owned()]));
        assert!(OwnMap::read(r#"{"imports":[]}"#).is_none());
    }
}
