//! Header fields that a manifest may give to an object, checked once.
//!
//! Fields that awning or the store sets by themselves are refused, with what to
//! write instead: two sources of one field would sooner or later disagree.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Longest value of a field, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// Fields that are stored with the object. All others are in the manifest only:
/// the shield adds them, and objects read straight from the bucket lack them.
const STORED: [&str; 2] = ["content-disposition", "content-language"];

/// Fields that only awning or the store may set, and what to write instead.
const REFUSED: &[(&[&str], &str)] = &[
    (&["cache-control", "expires", "pragma", "age"], "write `cache_control` in the rule"),
    (&["content-type", "x-content-type-options"], "write `content_type` in the rule"),
    (&["content-encoding", "vary"], "codings are made by `compress`"),
    (
        &["cache-tag", "edge-cache-tag", "surrogate-key", "xkey", "cache-groups"],
        "write `tags` in the rule",
    ),
    (
        &[
            "accept-ranges",
            "content-digest",
            "content-length",
            "content-md5",
            "content-range",
            "date",
            "digest",
            "etag",
            "last-modified",
            "repr-digest",
        ],
        "it follows from the bytes that are sent",
    ),
    (
        &[
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "via",
        ],
        "it belongs to one connection",
    ),
    (
        &["authorization", "set-cookie", "set-cookie2", "www-authenticate"],
        "what everyone may keep must not hold anyone's session",
    ),
    (&["cache-status", "host", "location", "warning"], "awning answers it by itself"),
];

/// What the names of fields begin with that stores or proxies take for theirs.
const REFUSED_PREFIXES: &[&str] = &["x-accel-", "x-amz-", "x-bz-", "x-sendfile"];

/// The name of a header field that a rule may set, in lower case.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct FieldName(String);

/// The value of a header field: visible ASCII, with single spaces or tabs
/// inside; one to 4,096 bytes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct FieldValue(String);

/// A surrogate key: visible ASCII without commas, one to 128 bytes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// Why a text cannot be what it should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// Not a name of a header field.
    #[error("`{0}` is no name of a header field")]
    Name(String),
    /// A field that is not a rule's to set.
    #[error("`{name}` cannot be set: {instead}")]
    Refused {
        /// The field.
        name: String,
        /// Why, or what to write instead.
        instead: &'static str,
    },
    /// Not a value of a header field.
    #[error("`{}` is no value of a header field: write visible ASCII, at most \
             {VALUE_BYTES_MAX} bytes", .0.escape_debug())]
    Value(String),
    /// Not a media type.
    #[error("`{}` is no media type: write one like `text/css; charset=utf-8`", .0.escape_debug())]
    MediaType(String),
    /// A cache directive that takes seconds has something else.
    #[error("`{0}` needs a number of seconds")]
    Seconds(String),
    /// Not a surrogate key.
    #[error("`{}` is no tag: write visible ASCII without spaces and commas, at most \
             128 bytes", .0.escape_debug())]
    Tag(String),
}

impl FieldName {
    /// Takes the name of a field that a rule may set.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let name = HeaderName::from_bytes(text.as_bytes())
            .map_err(|_| FieldError::Name(text.escape_debug().to_string()))?;
        match refusal(name.as_str()) {
            Some(instead) => Err(FieldError::Refused { name: name.to_string(), instead }),
            None => Ok(Self(name.to_string())),
        }
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FieldValue {
    /// Takes the value of any field.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let fits = (1..=VALUE_BYTES_MAX).contains(&text.len()) && text.trim_ascii() == text;
        let plain = |b: u8| b.is_ascii_graphic() || b == b' ' || b == b'\t';
        if fits && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(FieldError::Value(text.to_owned()))
        }
    }

    /// Takes a `Cache-Control`, in which directives that take seconds have them.
    pub fn cache_control(text: &str) -> Result<Self, FieldError> {
        let value = Self::parse(text)?;
        for directive in text.split(',').map(str::trim) {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = argument.trim_matches('"');
            let timed = matches!(
                name.to_ascii_lowercase().as_str(),
                "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error"
            );
            if timed && (seconds.is_empty() || !seconds.bytes().all(|b| b.is_ascii_digit())) {
                return Err(FieldError::Seconds(directive.to_owned()));
            }
        }
        Ok(value)
    }

    /// Takes a media type: `type/subtype`, and parameters.
    pub fn media_type(text: &str) -> Result<Self, FieldError> {
        let refuse = || FieldError::MediaType(text.to_owned());
        let value = Self::parse(text).map_err(|_| refuse())?;
        let essence = text.split(';').next().unwrap_or_default().trim_end();
        let (kind, subtype) = essence.split_once('/').ok_or_else(refuse)?;
        let token = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
        };
        if token(kind) && token(subtype) { Ok(value) } else { Err(refuse()) }
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tag {
    /// Takes a tag: it may not hold what separates tags in the fields of CDNs.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let fits = (1..=128).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
            Ok(Self(text.to_owned()))
        } else {
            Err(FieldError::Tag(text.to_owned()))
        }
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tag {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a store keeps this field with the object and answers it.
pub fn is_stored(name: &str) -> bool {
    STORED.contains(&name)
}

/// The fields of an entry that a response may carry. A manifest that another
/// publisher wrote may hold what would break the response: that is left out.
pub fn usable(
    fields: &BTreeMap<String, String>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    fields.iter().filter_map(|(name, value)| {
        let name = FieldName::parse(name).ok()?;
        let value = HeaderValue::from_str(FieldValue::parse(value).ok()?.as_str()).ok()?;
        Some((HeaderName::from_bytes(name.as_str().as_bytes()).ok()?, value))
    })
}

fn refusal(name: &str) -> Option<&'static str> {
    if REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Some("the store or a proxy takes it for its own");
    }
    let refused = REFUSED.iter().find(|(names, _)| names.contains(&name));
    refused.map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_set_elsewhere_are_refused_with_what_to_write() {
        let table = [
            ("Cache-Control", "write `cache_control`"),
            ("content-type", "write `content_type`"),
            ("Content-Length", "follows from the bytes"),
            ("ETag", "follows from the bytes"),
            ("last-modified", "follows from the bytes"),
            ("Content-Encoding", "`compress`"),
            ("Transfer-Encoding", "one connection"),
            ("Set-Cookie", "session"),
            ("Surrogate-Key", "write `tags`"),
            ("X-Amz-Meta-Blake3", "takes it for its own"),
            ("x-accel-redirect", "takes it for its own"),
            ("two words", "is no name"),
            ("", "is no name"),
        ];
        for (name, expected) in table {
            let error = FieldName::parse(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
        for name in ["Content-Disposition", "X-Robots-Tag", "Service-Worker-Allowed", "Link"] {
            assert_eq!(FieldName::parse(name).unwrap().as_str(), name.to_ascii_lowercase());
        }
    }

    #[test]
    fn values_are_visible_ascii() {
        assert!(FieldValue::parse("attachment; filename=\"a b.pdf\"").is_ok());
        for text in ["", " a", "a ", "caf\u{e9}", "a\r\nb: c", "a\0b"] {
            assert!(FieldValue::parse(text).is_err(), "{text:?}");
        }
        assert!(FieldValue::parse(&"v".repeat(VALUE_BYTES_MAX)).is_ok());
        assert!(FieldValue::parse(&"v".repeat(VALUE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn seconds_media_types_and_tags_are_checked() {
        for text in ["public, max-age=60", "no-cache", "max-age=1, stale-if-error=\"5\""] {
            assert!(FieldValue::cache_control(text).is_ok(), "{text}");
        }
        for text in ["max-age=1h", "public, max-age", "s-maxage=-1", ""] {
            assert!(FieldValue::cache_control(text).is_err(), "{text}");
        }
        for text in ["text/css", "text/html; charset=utf-8", "image/svg+xml"] {
            assert!(FieldValue::media_type(text).is_ok(), "{text}");
        }
        for text in ["css", "text/", "/css", "text css/x", "text/\u{e9}", ""] {
            assert!(FieldValue::media_type(text).is_err(), "{text}");
        }
        for text in ["fonts", "release:42"] {
            assert!(Tag::parse(text).is_ok(), "{text}");
        }
        for text in ["", "two words", "a,b", "caf\u{e9}", &"t".repeat(129)] {
            assert!(Tag::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_response_carries_only_what_a_rule_could_have_set() {
        let pairs = [("x-robots-tag", "noindex"), ("connection", "close"), ("x-a", "b\r\nc: d")];
        let fields = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let usable: Vec<_> = usable(&fields).map(|(name, _)| name.to_string()).collect();
        assert_eq!(usable, ["x-robots-tag"]);
        assert!(is_stored("content-language") && !is_stored("x-robots-tag"));
    }
}
