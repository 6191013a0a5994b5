//! The name of an asset: where it lies in the source tree.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize, Serializer};

/// Longest asset path in bytes. A B2 key holds 1,024 bytes; the rest is left
/// for the prefix, the fingerprint and the variant's suffix.
const PATH_BYTES_MAX: usize = 900;

/// Everything but RFC 3986's unreserved characters and the separator.
const URL_ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What browsers escape in the path of a URL that is written plainly, and the
/// percent sign (WHATWG URL, "path percent-encode set").
const PATH_ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The path of an asset, relative to the root of the published tree.
///
/// It maintains these invariants:
/// * one to 900 bytes of UTF-8, segments joined by `/`;
/// * no segment is empty, `.` or `..`, so it never escapes its root;
/// * no control character and no backslash.
///
/// ```
/// # use awning::asset::AssetPath;
/// let path = AssetPath::parse("css/app.css").unwrap();
/// assert_eq!((path.dir(), path.file_name()), ("css/", "app.css"));
/// assert_eq!(path.split_extension(), ("app", Some("css")));
/// assert!(AssetPath::parse("../etc/passwd").is_err());
/// ```
///
/// Clones share their text.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub struct AssetPath(Arc<str>);

/// Why a text is not an asset path.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AssetPathError {
    /// Nothing, or longer than a key can hold.
    #[error("path is empty or longer than {PATH_BYTES_MAX} bytes")]
    Length,
    /// An empty segment, `.` or `..`.
    #[error("path has an empty, `.` or `..` segment")]
    Segment,
    /// A control character or a backslash.
    #[error("path has a control character or a backslash")]
    Character,
}

impl AssetPath {
    /// Checks `text` and takes it as it is; nothing is normalised away.
    pub fn parse(text: &str) -> Result<Self, AssetPathError> {
        if text.is_empty() || text.len() > PATH_BYTES_MAX {
            return Err(AssetPathError::Length);
        }
        let mut segments = text.as_bytes().split(|byte| *byte == b'/');
        if segments.any(|segment| matches!(segment, b"" | b"." | b"..")) {
            return Err(AssetPathError::Segment);
        }
        // Most are ASCII, and that is looked through faster.
        let odd = match text.is_ascii() {
            true => text.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\'),
            false => text.chars().any(|c| c.is_control() || c == '\\'),
        };
        if odd {
            return Err(AssetPathError::Character);
        }
        Ok(Self(text.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything up to and including the last `/`; empty at the root.
    pub fn dir(&self) -> &str {
        &self.0[..self.0.rfind('/').map_or(0, |slash| slash + 1)]
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        &self.0[self.dir().len()..]
    }

    /// The file name split at its last dot. A leading dot belongs to the stem.
    pub fn split_extension(&self) -> (&str, Option<&str>) {
        match self.file_name().rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, Some(extension)),
            _ => (self.file_name(), None),
        }
    }

    /// The path as it stands in a URL: percent-encoded outside RFC 3986's
    /// unreserved characters, so it is safe in any HTML, CSS or JSON context.
    pub fn to_url_path(&self) -> String {
        utf8_percent_encode(&self.0, URL_ESCAPED).to_string()
    }

    /// The path as browsers have it where an author wrote it plainly: `@` and
    /// its like stand for themselves. The same asset as
    /// [`to_url_path`](Self::to_url_path) names, but another URL to whoever
    /// compares the two as texts, as import maps do.
    pub fn to_plain_url_path(&self) -> String {
        utf8_percent_encode(&self.0, PATH_ESCAPED).to_string()
    }
}

impl fmt::Display for AssetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for AssetPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AssetPath {
    type Error = AssetPathError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl Serialize for AssetPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<AssetPath> for String {
    fn from(path: AssetPath) -> Self {
        path.0.as_ref().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_escapes_its_root() {
        for text in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\\b", "a\nb", "a\u{7f}"] {
            assert!(AssetPath::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn the_longest_path_has_900_bytes() {
        assert!(AssetPath::parse(&"a".repeat(900)).is_ok());
        assert_eq!(AssetPath::parse(&"a".repeat(901)), Err(AssetPathError::Length));
    }

    #[test]
    fn the_extension_is_what_follows_the_last_dot() {
        let split = |text: &str| {
            let path = AssetPath::parse(text).unwrap();
            let (stem, extension) = path.split_extension();
            (stem.to_owned(), extension.map(str::to_owned))
        };
        assert_eq!(split("js/app.js.map"), ("app.js".into(), Some("map".into())));
        assert_eq!(split("LICENSE"), ("LICENSE".into(), None));
        assert_eq!(split(".nojekyll"), (".nojekyll".into(), None));
    }

    #[test]
    fn a_url_path_holds_only_safe_characters() {
        let path = AssetPath::parse("img/één foto'(1).jpg").unwrap();
        assert_eq!(path.to_url_path(), "img/%C3%A9%C3%A9n%20foto%27%281%29.jpg");
    }
}
