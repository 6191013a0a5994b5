//! References in JSON: import maps and web manifests, of which only the strings
//! are looked at that these formats define as URLs of files; and any other JSON
//! that an author names, of which every string is.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use url::Url;

use super::excerpt::Excerpt;
use super::replacements::{Occurrence, Replacements};
use super::{Reason, Resolver, Site, Summary};

/// Rewrites the web manifest that lies at `url`: the `src` of `icons`,
/// `screenshots`, and the icons of `shortcuts`.
///
/// `start_url`, `scope` and the other navigations keep what they name: one
/// that is relative becomes a path, because the manifest is read under its
/// fingerprinted name, in another directory. A file that is not a JSON object
/// is left alone.
pub fn rewrite_web_manifest(
    bytes: &[u8],
    url: &Url,
    resolver: &dyn Resolver,
) -> (Vec<u8>, Summary) {
    let mut replacements = Replacements::new(resolver, url, url);
    let excerpt = Excerpt::verbatim(bytes, 0);
    let json = Json::of(&excerpt);
    let manifest = match json.object() {
        Ok(manifest) => manifest,
        Err(error) => {
            replacements.skip_at(Reason::Syntax, json.place_of(&error));
            return replacements.apply(bytes);
        }
    };
    let mut see = |use_: Use, value| match use_ {
        Use::Image => json.consider(value, None, &mut replacements),
        Use::Navigation => json.anchor(value, &mut replacements),
    };
    for (name, value) in manifest.0 {
        match name.as_str() {
            "start_url" | "scope" => see(Use::Navigation, value),
            "icons" | "screenshots" => image_sources(value).for_each(|src| see(Use::Image, src)),
            "share_target" => actions(value).for_each(|url| see(Use::Navigation, url)),
            "file_handlers" | "protocol_handlers" => {
                elements(value).flat_map(actions).for_each(|url| see(Use::Navigation, url));
            }
            "shortcuts" => {
                elements(value).flat_map(members).for_each(|(name, value)| match name.as_str() {
                    "url" => see(Use::Navigation, value),
                    "icons" => image_sources(value).for_each(|src| see(Use::Image, src)),
                    _ => {}
                })
            }
            _ => {}
        }
    }
    replacements.apply(bytes)
}

/// Rewrites a JSON file that lies at `url`.
///
/// Every string that as a whole resolves to an asset is a reference. Names of
/// members are never touched, and a file that is not JSON is left alone. That a string is a URL at all is for an author to
/// say, so this is used only on files that were named.
pub fn rewrite_json(bytes: &[u8], url: &Url, resolver: &dyn Resolver) -> (Vec<u8>, Summary) {
    let mut replacements = Replacements::new(resolver, url, url);
    let excerpt = Excerpt::verbatim(bytes, 0);
    let json = Json::of(&excerpt);
    if let Err(error) = serde_json::from_str::<IgnoredAny>(json.text) {
        replacements.skip_at(Reason::Syntax, json.place_of(&error));
        return replacements.apply(bytes);
    }
    let start = excerpt.text().len() - json.text.len();
    for span in values(json.text) {
        let Some(text) = serde_json::from_str::<String>(&json.text[span.clone()]).ok() else {
            continue;
        };
        let span = start + span.start + 1..start + span.end - 1;
        let found = Occurrence { text: &text, span, site: Site::Plain, bar: None };
        replacements.consider(&excerpt, &found);
    }
    replacements.apply(bytes)
}

/// The strings of well-formed JSON that are no names of members, quotes included.
fn values(json: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = json.as_bytes();
    let mut at = 0;
    let strings = std::iter::from_fn(move || {
        let start = at + bytes[at..].iter().position(|&b| b == b'"')?;
        let mut end = start + 1;
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        at = end + 1;
        Some(start..at)
    });
    strings.filter(move |span| !bytes[span.end..].trim_ascii_start().starts_with(b":"))
}

/// What a web manifest uses a URL for.
#[derive(Clone, Copy)]
enum Use {
    Image,
    Navigation,
}

/// Hands the addresses of an import map to `replacements`.
///
/// Where the map's own `integrity` pins a module, its address stays.
pub(super) fn import_map(excerpt: &Excerpt<'_>, replacements: &mut Replacements<'_>) {
    let json = Json::of(excerpt);
    let Ok(map) = json.object() else { return replacements.skip(Reason::Syntax) };
    let pinned: Vec<Url> = (map.0.iter().filter(|(name, _)| name == "integrity"))
        .flat_map(|(_, value)| members(value))
        .filter_map(|(url, _)| replacements.resolve(&url))
        .collect();
    for (name, value) in map.0 {
        let addresses: Vec<&RawValue> = match name.as_str() {
            "imports" => members(value).map(|(_, address)| address).collect(),
            "scopes" => members(value)
                .flat_map(|(_, scope)| members(scope))
                .map(|(_, address)| address)
                .collect(),
            _ => Vec::new(),
        };
        for address in addresses {
            let Some(text) = text(address).filter(|text| is_address(text)) else { continue };
            let is_pinned = replacements.resolve(&text).is_some_and(|url| pinned.contains(&url));
            json.consider(address, is_pinned.then_some(Reason::Integrity), replacements);
        }
    }
}

/// A JSON text within a document.
struct Json<'e, 'a> {
    excerpt: &'e Excerpt<'a>,
    /// Without a byte order mark.
    text: &'e str,
}

impl<'e, 'a> Json<'e, 'a> {
    fn of(excerpt: &'e Excerpt<'a>) -> Self {
        let text = excerpt.text();
        Self { excerpt, text: text.strip_prefix('\u{feff}').unwrap_or(text) }
    }

    fn object(&self) -> serde_json::Result<Members<'e>> {
        serde_json::from_str(self.text)
    }

    /// Where in the excerpt an error was found. Its column counts bytes.
    fn place_of(&self, error: &serde_json::Error) -> usize {
        let lines = self.text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let line_start =
            self.excerpt.text().len() - self.text.len() + lines.map(str::len).sum::<usize>();
        line_start + error.column().saturating_sub(1)
    }

    fn consider(
        &self,
        value: &'e RawValue,
        bar: Option<Reason>,
        replacements: &mut Replacements<'_>,
    ) {
        let Some(text) = text(value) else { return };
        let span = self.span(value);
        replacements
            .consider(self.excerpt, &Occurrence { text: &text, span, site: Site::Plain, bar });
    }

    /// Makes the relative URL of a navigation independent of the document's place.
    fn anchor(&self, value: &'e RawValue, replacements: &mut Replacements<'_>) {
        let Some(text) = text(value) else { return };
        replacements.anchor(self.excerpt, &text, self.span(value));
    }

    /// Where the characters of a string stand, without its quotes.
    fn span(&self, value: &'e RawValue) -> Range<usize> {
        // serde_json lends the value from the text it reads, so the distance
        // of their addresses is the value's place.
        let start = value.get().as_ptr().addr() - self.excerpt.text().as_ptr().addr() + 1;
        start..start + value.get().len() - 2
    }
}

/// The members of a JSON object in their order, repeated names included.
#[derive(Default)]
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader).map(Members)
    }
}

/// The members of `value`; none when it is no object.
fn members(value: &RawValue) -> impl Iterator<Item = (String, &RawValue)> {
    serde_json::from_str::<Members<'_>>(value.get()).unwrap_or_default().0.into_iter()
}

/// The elements of `value`; none when it is no array.
fn elements(value: &RawValue) -> impl Iterator<Item = &RawValue> {
    serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_default().into_iter()
}

fn image_sources(images: &RawValue) -> impl Iterator<Item = &RawValue> {
    elements(images).flat_map(members).filter(|(name, _)| name == "src").map(|(_, src)| src)
}

/// The URLs that a share target or a handler of files or protocols opens.
fn actions(handler: &RawValue) -> impl Iterator<Item = &RawValue> {
    members(handler).filter(|(name, _)| name == "action" || name == "url").map(|(_, url)| url)
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Whether an import map reads `text` as a URL; `lodash` is none.
pub(super) fn is_address(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start)) || Url::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::Reference;

    fn ours(reference: &Reference<'_>) -> Option<String> {
        let name = reference.url.path().strip_prefix("/s/")?;
        Some(format!("https://c.nl/{}", name.replace('.', ".fp.")))
    }

    fn rewrite(json: &str) -> (String, Summary) {
        let url = Url::parse("https://shop.nl/s/app.webmanifest").unwrap();
        let (bytes, summary) = rewrite_web_manifest(json.as_bytes(), &url, &ours);
        (String::from_utf8(bytes).unwrap(), summary)
    }

    #[test]
    fn only_the_images_of_a_web_manifest_are_references() {
        let (json, summary) = rewrite(
            "\u{feff}{ \"start_url\": \"/s/index.html\", \"scope\": \"/s/\",\n \"icons\": [ {\"src\": \"i.png\", \"sizes\": \"1x1\"},\
             {\"src\":\"\\/s\\/\\u0069.svg#a\"} ], \"screenshots\":[{\"src\":\"/s/a.jpg?v=2\"}],\
             \"shortcuts\":[{\"url\":\"/s/b.html\",\"icons\":[{\"src\":\"b.png\"}]}], \"src\":\"/s/c.png\" }",
        );
        assert_eq!(
            json,
            "\u{feff}{ \"start_url\": \"/s/index.html\", \"scope\": \"/s/\",\n \"icons\": [ {\"src\": \"https://c.nl/i.fp.png\", \"sizes\": \"1x1\"},\
             {\"src\":\"https://c.nl/i.fp.svg#a\"} ], \"screenshots\":[{\"src\":\"https://c.nl/a.fp.jpg\"}],\
             \"shortcuts\":[{\"url\":\"/s/b.html\",\"icons\":[{\"src\":\"https://c.nl/b.fp.png\"}]}], \"src\":\"/s/c.png\" }",
        );
        assert_eq!(summary.rewritten, 4);
    }

    #[test]
    fn a_relative_navigation_keeps_what_it_names() {
        let (json, summary) = rewrite(
            r#"{"start_url":".","scope":"./","id":"app","shortcuts":[{"url":"a b?q=1#x"}],
            "share_target":{"action":"deel"},"protocol_handlers":[{"url":"\u002e\u002e/p?u=%s"}]}"#,
        );
        assert_eq!(
            json,
            r#"{"start_url":"/s/","scope":"/s/","id":"app","shortcuts":[{"url":"/s/a%20b?q=1#x"}],
            "share_target":{"action":"/s/deel"},"protocol_handlers":[{"url":"/p?u=%s"}]}"#,
        );
        assert_eq!(summary.rewritten, 0, "they are no references");
        for text in ["", "/", "/kassa", "https://shop.nl/", "#a", "?a=\\u005c"] {
            let json = format!("{{\"start_url\":\"{text}\"}}");
            assert_eq!(rewrite(&json).0, json);
        }
    }

    #[test]
    fn a_web_manifest_of_another_shape_is_left_alone() {
        for json in
            ["{}", "{\"icons\":null}", "{\"icons\":[1,{\"src\":2}],\"shortcuts\":{\"icons\":[]}}"]
        {
            assert_eq!(rewrite(json), (json.to_owned(), Summary::default()));
        }
        for json in
            ["", "[]", "{\"icons\":[{\"src\":\"i.png\"}]", "{\"icons\":[{\"src\":\"i.png\"}],}"]
        {
            let (same, summary) = rewrite(json);
            assert_eq!((same.as_str(), summary.skipped.get(&Reason::Syntax)), (json, Some(&1)));
        }
    }

    #[test]
    fn strings_that_are_an_asset_as_a_whole_are_references() {
        let url = Url::parse("https://shop.nl/s/lijst/a.json").unwrap();
        let rewrite = |json: &str| {
            let (bytes, summary) = rewrite_json(json.as_bytes(), &url, &ours);
            (String::from_utf8(bytes).unwrap(), summary.rewritten)
        };
        let table = [
            (r#"["/s/a.png"]"#, r#"["https://c.nl/a.fp.png"]"#, 1),
            ("\u{feff} \"\\/s\\/a.png\"\n", "\u{feff} \"https://c.nl/a.fp.png\"\n", 1),
            (
                r#"{"/s/k.png" : {"é":["../a.png#x", 1, "\u002fs\u002fb.png", "x:\"" ]}, "n":null}"#,
                r#"{"/s/k.png" : {"é":["https://c.nl/a.fp.png#x", 1, "https://c.nl/b.fp.png", "x:\"" ]}, "n":null}"#,
                2,
            ),
            (r#"{"a":"zie: /s/a.png","b":"//elders.nl/a.png","c":""}"#, "", 0),
        ];
        for (json, expected, count) in table {
            let expected = if count == 0 { json } else { expected };
            assert_eq!(rewrite(json), (expected.to_owned(), count));
        }
        let deep = format!("{}\"/s/a.png\"{}", "[".repeat(50_000), "]".repeat(50_000));
        let (rewritten, found) = rewrite(&deep);
        assert!(found == 1 && rewritten.contains("[\"https://c.nl/a.fp.png\"]"));
        let (same, summary) = rewrite_json(b"[\"/s/a.png\",]", &url, &ours);
        assert_eq!(
            (same.as_slice(), summary.skipped.get(&Reason::Syntax)),
            (&b"[\"/s/a.png\",]"[..], Some(&1))
        );
    }

    #[test]
    fn addresses_of_an_import_map_are_references() {
        let document = Url::parse("https://shop.nl/a/b").unwrap();
        let json = br#"{"imports":{"/s/key.js":"/s/a.js","bare":"lodash","dir/":"/s/dir/","x":"../s/x.js","n":null},
            "scopes":{"/s/scope/":{"y":"./../s/y.js"}},"integrity":{"/s/x.js":"sha384-x"}}"#;
        let mut replacements = Replacements::new(&ours, &document, &document);
        import_map(&Excerpt::verbatim(json, 0), &mut replacements);
        let (rewritten, summary) = replacements.apply(json);
        let expected = br#"{"imports":{"/s/key.js":"https://c.nl/a.fp.js","bare":"lodash","dir/":"https://c.nl/dir/","x":"../s/x.js","n":null},
            "scopes":{"/s/scope/":{"y":"https://c.nl/y.fp.js"}},"integrity":{"/s/x.js":"sha384-x"}}"#;
        assert_eq!(String::from_utf8_lossy(&rewritten), String::from_utf8_lossy(expected));
        assert_eq!(summary.skipped.get(&Reason::Integrity), Some(&1));
    }
}
