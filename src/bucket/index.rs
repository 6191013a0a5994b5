//! What the bucket holds, in memory: the versions of every key, in order.
//!
//! Rebuilt from the directory when the bucket is opened, so that a page of a
//! listing costs its own length and not the size of the tree. Does no I/O.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

/// Versions of keys, keys in the order of their bytes.
#[derive(Debug, Default)]
pub(super) struct Index(BTreeMap<Arc<str>, Vec<Version>>);

/// One version of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Version {
    /// Its place among all versions; also its name on disk.
    pub(super) seq: u64,
    pub(super) size: u64,
    /// Without quotes. Empty for a hide marker.
    pub(super) etag: Box<str>,
    pub(super) modified: SystemTime,
    /// Whether it hides the versions before it instead of holding bytes.
    pub(super) marker: bool,
}

/// Which keys to list.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) prefix: String,
    /// Keys that have this text behind the prefix are listed as one.
    pub(super) delimiter: Option<String>,
    pub(super) after: Option<Cursor>,
    /// Most entries of the page.
    pub(super) max: usize,
}

/// Where a page ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Cursor {
    /// Behind all versions of a key.
    Key(String),
    /// Behind one version of a key.
    Version(String, u64),
    /// Behind all keys that begin so.
    Prefix(String),
}

/// A page of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Present when more entries follow.
    pub(super) next: Option<Cursor>,
}

/// A line of a listing.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Entry {
    Version { key: Arc<str>, version: Version, newest: bool },
    Prefix(String),
}

impl Index {
    /// Adds a version. Versions of a key are ordered by their number, whatever
    /// the order in which their writers get here.
    pub(super) fn insert(&mut self, key: &str, version: Version) {
        let versions = match self.0.get_mut(key) {
            Some(versions) => versions,
            None => self.0.entry(key.into()).or_default(),
        };
        let at = versions.partition_point(|other| other.seq < version.seq);
        versions.insert(at, version);
    }

    /// Removes a version for good.
    pub(super) fn remove(&mut self, key: &str, seq: u64) -> Option<Version> {
        let versions = self.0.get_mut(key)?;
        let at = versions.iter().position(|version| version.seq == seq)?;
        let removed = versions.remove(at);
        if versions.is_empty() {
            self.0.remove(key);
        }
        Some(removed)
    }

    /// The newest version of a key, marker or not.
    pub(super) fn newest(&self, key: &str) -> Option<&Version> {
        self.0.get(key)?.last()
    }

    /// One version of a key.
    pub(super) fn version(&self, key: &str, seq: u64) -> Option<&Version> {
        self.0.get(key)?.iter().find(|version| version.seq == seq)
    }

    /// Lists the newest versions of the keys that are not hidden.
    pub(super) fn list(&self, query: &Query) -> Page {
        self.page(query, |versions| {
            let newest = versions.last().filter(|version| !version.marker);
            newest.into_iter().map(|version| (version, true))
        })
    }

    /// Lists all versions, those of a key from the newest to the oldest.
    pub(super) fn list_versions(&self, query: &Query) -> Page {
        self.page(query, |versions| {
            let count = versions.len();
            versions.iter().enumerate().rev().map(move |(at, version)| (version, at + 1 == count))
        })
    }

    fn page<'a, V>(&'a self, query: &Query, chosen: impl Fn(&'a [Version]) -> V) -> Page
    where
        V: Iterator<Item = (&'a Version, bool)>,
    {
        let mut page = Page::default();
        for (key, versions) in self.0.range::<str, _>(bounds(query)) {
            if !key.starts_with(&query.prefix) {
                break;
            }
            let chosen = chosen(versions).filter(|(version, _)| follows(query, key, version));
            match common_prefix(query, key) {
                Some(prefix) => {
                    let entry = Entry::Prefix(prefix.to_owned());
                    let new = page.entries.last() != Some(&entry) && !passed(query, prefix);
                    if new && chosen.count() > 0 && !page.take(query.max, entry) {
                        return page;
                    }
                }
                None => {
                    for (version, newest) in chosen {
                        let (key, version) = (Arc::clone(key), version.clone());
                        if !page.take(query.max, Entry::Version { key, version, newest }) {
                            return page;
                        }
                    }
                }
            }
        }
        page
    }
}

impl Page {
    /// Adds an entry, or notes that there are more when the page is full.
    fn take(&mut self, max: usize, entry: Entry) -> bool {
        if self.entries.len() < max {
            self.entries.push(entry);
            return true;
        }
        self.next = self.entries.last().map(|last| match last {
            Entry::Version { key, version, .. } => Cursor::Version(key.to_string(), version.seq),
            Entry::Prefix(prefix) => Cursor::Prefix(prefix.clone()),
        });
        false
    }
}

/// Where in the map the page begins; [`follows`] and [`passed`] do the rest.
fn bounds(query: &Query) -> (Bound<&str>, Bound<&str>) {
    let prefix = query.prefix.as_str();
    let start = match &query.after {
        Some(Cursor::Key(key)) if key.as_str() >= prefix => Bound::Excluded(key.as_str()),
        Some(Cursor::Version(key, _) | Cursor::Prefix(key)) if key.as_str() >= prefix => {
            Bound::Included(key.as_str())
        }
        _ => Bound::Included(prefix),
    };
    (start, Bound::Unbounded)
}

/// Whether a version lies behind the cursor. Older versions lie behind newer.
fn follows(query: &Query, key: &str, version: &Version) -> bool {
    match &query.after {
        Some(Cursor::Version(after, seq)) => key != after || version.seq < *seq,
        _ => true,
    }
}

/// Whether a common prefix was on an earlier page.
fn passed(query: &Query, prefix: &str) -> bool {
    matches!(&query.after, Some(Cursor::Prefix(after)) if after == prefix)
}

fn common_prefix<'a>(query: &Query, key: &'a str) -> Option<&'a str> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.get(query.prefix.len()..)?;
    let end = query.prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(seq: u64, marker: bool) -> Version {
        Version { seq, size: 1, etag: "".into(), modified: SystemTime::UNIX_EPOCH, marker }
    }

    /// An index of `key@seq` for bytes and `key!seq` for hide markers.
    fn index(versions: &str) -> Index {
        let mut index = Index::default();
        for text in versions.split_whitespace() {
            let (key, seq) = text.split_once(['@', '!']).unwrap();
            index.insert(key, version(seq.parse().unwrap(), text.contains('!')));
        }
        index
    }

    /// All pages of a listing, joined by `|`.
    fn pages(index: &Index, query: &Query, list: impl Fn(&Index, &Query) -> Page) -> String {
        let mut query = query.clone();
        let mut pages = Vec::new();
        loop {
            let page = list(index, &query);
            let entries = page.entries.iter().map(|entry| match entry {
                Entry::Version { key, version, .. } => format!("{key}@{}", version.seq),
                Entry::Prefix(prefix) => prefix.clone(),
            });
            pages.push(entries.collect::<Vec<_>>().join(" "));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return pages.join(" | "),
            }
        }
    }

    fn query(prefix: &str, delimiter: Option<&str>, max: usize) -> Query {
        let delimiter = delimiter.map(str::to_owned);
        Query { prefix: prefix.to_owned(), delimiter, after: None, max }
    }

    #[test]
    fn keys_list_in_the_order_of_their_bytes() {
        let index = index("b@1 a@2 a/b@3 a-b@4 B@5 é@6");
        let listed = pages(&index, &query("", None, 10), Index::list);
        assert_eq!(listed, "B@5 a@2 a-b@4 a/b@3 b@1 é@6");
    }

    #[test]
    fn pages_neither_repeat_nor_skip() {
        let index = index("a@1 b/1@2 b/2@3 b/3@4 c@5 d/1@6");
        for (delimiter, max, expected) in [
            (None, 2, "a@1 b/1@2 | b/2@3 b/3@4 | c@5 d/1@6"),
            (Some("/"), 1, "a@1 | b/ | c@5 | d/"),
            (Some("/"), 2, "a@1 b/ | c@5 d/"),
            (Some("/"), 4, "a@1 b/ c@5 d/"),
        ] {
            assert_eq!(pages(&index, &query("", delimiter, max), Index::list), expected);
        }
        assert_eq!(pages(&index, &query("b/", Some("/"), 9), Index::list), "b/1@2 b/2@3 b/3@4");
    }

    #[test]
    fn a_page_of_nothing_has_no_successor() {
        assert_eq!(pages(&index("a@1"), &query("", None, 0), Index::list), "");
    }

    #[test]
    fn a_hidden_key_is_not_listed_and_its_versions_are() {
        let index = index("a@1 a!3 a@2 b!4 b@5 c/d@6 c/d!7");
        assert_eq!(pages(&index, &query("", Some("/"), 9), Index::list), "b@5");
        let versions = pages(&index, &query("", None, 2), Index::list_versions);
        assert_eq!(versions, "a@3 a@2 | a@1 b@5 | b@4 c/d@7 | c/d@6");
    }

    #[test]
    fn a_version_inserted_late_does_not_become_the_newest() {
        let mut index = index("a@2");
        index.insert("a", version(1, false));
        assert_eq!(index.newest("a").unwrap().seq, 2);
        index.remove("a", 2);
        assert_eq!(index.newest("a").unwrap().seq, 1);
        index.remove("a", 1);
        assert_eq!(index.newest("a"), None);
    }
}
