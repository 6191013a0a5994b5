//! Names in the bucket, and how they are laid out.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::{AssetPath, Fingerprint};

/// Longest key in bytes that B2 and S3 accept.
const KEY_BYTES_MAX: usize = 1024;

/// Longest prefix of keys in bytes: the longest asset path, with all that is
/// put before and behind it, still fits into a key.
pub const PREFIX_BYTES_MAX: usize = 96;

/// Digits of the number in an activation record's key, so that keys list in its order.
const SEQ_DIGITS: usize = 20;

/// Where the objects of assets lie, under the prefix.
const OBJECTS: &str = "a/";

/// The name of an object in a bucket, relative to the configured prefix.
///
/// One to 1,024 bytes of UTF-8 without control characters (B2's limits).
///
/// Clones share their text.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "String")]
pub struct ObjectKey(Arc<str>);

/// A text that cannot name an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key is 1 to {KEY_BYTES_MAX} bytes without control characters")]
pub struct KeyError;

impl ObjectKey {
    /// Checks `text` against the limits of a key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let fits = (1..=KEY_BYTES_MAX).contains(&text.len());
        if !fits || text.chars().any(char::is_control) {
            return Err(KeyError);
        }
        Ok(Self(text.into()))
    }

    /// The key of an asset published under `fingerprint`:
    /// `a/<dir>/<stem>.<fingerprint>.<extension>`.
    pub fn for_asset(path: &AssetPath, fingerprint: &Fingerprint) -> Self {
        let dir = path.dir();
        Self(
            match path.split_extension() {
                (stem, Some(extension)) => {
                    format!("{OBJECTS}{dir}{stem}.{fingerprint}.{extension}")
                }
                (stem, None) => format!("{OBJECTS}{dir}{stem}.{fingerprint}"),
            }
            .into(),
        )
    }

    /// The key of the asset object that a public path names, if the path has
    /// the shape of a fingerprinted name: `css/app.<fingerprint>.css`.
    pub fn for_public_name(path: &AssetPath) -> Option<Self> {
        let key = Self::of_public_name(path);
        key.fingerprint().is_some().then_some(key)
    }

    /// The key of the asset object with this public name, whatever its shape:
    /// inputs that were fingerprinted by another tool keep their names.
    pub fn of_public_name(path: &AssetPath) -> Self {
        Self([OBJECTS, path.as_str()].concat().into())
    }

    /// The fingerprint in the name, if the name has one.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let name = self.0.rsplit('/').next()?;
        let mut parts = name.rsplit('.');
        let last = parts.next()?;
        let before_last = parts.next()?;
        // With an extension the fingerprint is the last part but one; without, the last.
        let inner = Fingerprint::parse(before_last).filter(|_| parts.next().is_some());
        inner.or_else(|| Fingerprint::parse(last))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The public name of an asset's object: its key without the leading `a/`.
    /// `None` for keys that are not of assets.
    pub fn public_name(&self) -> Option<&str> {
        self.0.strip_prefix(OBJECTS)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0.as_ref().into()
    }
}

/// The layout of one awning bucket under its prefix.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyLayout {
    prefix: String,
}

impl KeyLayout {
    /// A layout under `prefix`; a `/` is put behind a prefix that lacks it.
    pub fn under(prefix: &str) -> Self {
        let mut prefix = prefix.trim_start_matches('/').to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Self { prefix }
    }

    /// What every key begins with: empty, or a directory with its slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The full key of an object that is named relative to the prefix.
    pub fn object(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key of the manifest of a release.
    pub fn manifest(&self, release: impl fmt::Display) -> String {
        format!("{}.awning/releases/{release}.json", self.prefix)
    }

    /// What the keys of the manifests begin with whose releases' names begin with `digits`.
    pub fn manifests(&self, digits: &str) -> String {
        format!("{}.awning/releases/{digits}", self.prefix)
    }

    /// The key of a channel's head: a cached hint of the newest activation.
    pub fn head(&self, channel: impl fmt::Display) -> String {
        format!("{}.awning/channels/{channel}/head.json", self.prefix)
    }

    /// A key for trying out what the store can do.
    pub fn probe(&self, what: &str) -> String {
        format!("{}.awning/probe/{what}", self.prefix)
    }

    /// What the keys of a channel's activation records begin with.
    pub fn log(&self, channel: impl fmt::Display) -> String {
        format!("{}.awning/channels/{channel}/log/", self.prefix)
    }

    /// The key of one activation record. Records list in the order of `seq`.
    pub fn record(&self, channel: impl fmt::Display, seq: u64, nonce: &str) -> String {
        format!("{}{seq:0SEQ_DIGITS$}-{nonce}.json", self.log(channel))
    }

    /// What a listing has to follow to show the records numbered `seq` and later.
    pub fn records_from(&self, channel: impl fmt::Display, seq: u64) -> String {
        format!("{}{seq:0SEQ_DIGITS$}", self.log(channel))
    }

    /// The number in the key of an activation record; `None` for other keys.
    pub fn record_seq(&self, channel: impl fmt::Display, key: &str) -> Option<u64> {
        let name = key.strip_prefix(&self.log(channel))?.strip_suffix(".json")?;
        let (seq, _nonce) = name.split_once('-')?;
        let digits = seq.len() == SEQ_DIGITS && seq.bytes().all(|b| b.is_ascii_digit());
        if digits { seq.parse().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AssetPath {
        AssetPath::parse(text).unwrap()
    }

    #[test]
    fn an_object_keeps_directory_stem_and_extension() {
        let fingerprint = Fingerprint::parse("abcdefghijklmn23").unwrap();
        let key = |text| ObjectKey::for_asset(&path(text), &fingerprint).to_string();
        assert_eq!(key("css/app.css"), "a/css/app.abcdefghijklmn23.css");
        assert_eq!(key("js/app.js.map"), "a/js/app.js.abcdefghijklmn23.map");
        assert_eq!(key("LICENSE"), "a/LICENSE.abcdefghijklmn23");
    }

    #[test]
    fn a_public_name_leads_back_to_its_key() {
        let key = |text| ObjectKey::for_public_name(&path(text)).map(String::from);
        let named = |text: &str| Some(format!("a/{text}"));
        assert_eq!(key("css/app.abcdefghijklmn23.css"), named("css/app.abcdefghijklmn23.css"));
        assert_eq!(key("LICENSE.abcdefghijklmn23"), named("LICENSE.abcdefghijklmn23"));
        assert_eq!(key("css/app.css"), None);
        assert_eq!(key("abcdefghijklmn23.css"), None);
        assert_eq!(key("abcdefghijklmn23"), None);
    }

    #[test]
    fn a_key_has_at_most_1024_bytes() {
        assert!(ObjectKey::parse(&"k".repeat(1024)).is_ok());
        assert_eq!(ObjectKey::parse(&"k".repeat(1025)), Err(KeyError));
        assert_eq!(ObjectKey::parse(""), Err(KeyError));
    }

    #[test]
    fn a_prefix_is_a_directory() {
        for prefix in ["shop", "shop/", "/shop/"] {
            assert_eq!(KeyLayout::under(prefix).head("p"), "shop/.awning/channels/p/head.json");
        }
        assert_eq!(KeyLayout::under("").manifest("id"), ".awning/releases/id.json");
    }

    #[test]
    fn records_list_in_the_order_of_their_numbers() {
        let layout = KeyLayout::default();
        assert!(layout.record("p", 9, "z") < layout.record("p", 10, "a"));
        assert!(layout.records_from("p", 9) < layout.record("p", 9, "0"));
        assert!(layout.records_from("p", 9) > layout.record("p", 8, "z"));
    }

    #[test]
    fn only_the_key_of_a_record_has_a_number() {
        let layout = KeyLayout::under("shop");
        assert_eq!(layout.record_seq("p", &layout.record("p", 12, "a-b")), Some(12));
        let log = layout.log("p");
        for name in ["12-a.json", "00000000000000000012.json", "readme.txt", ""] {
            assert_eq!(layout.record_seq("p", &format!("{log}{name}")), None, "{name}");
        }
        assert_eq!(layout.record_seq("q", &layout.record("p", 12, "a")), None);
    }
}
