//! All versions of keys, as a store with versions lists them: what was
//! overwritten, and what was hidden, still takes room there.

use std::time::SystemTime;

/// A page of a listing of versions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VersionPage {
    /// The versions, in the order of their keys' bytes; those of a key from
    /// the newest to the oldest.
    pub versions: Vec<ListedVersion>,
    /// Where the next page begins; `None` behind the last one.
    pub next: Option<VersionCursor>,
}

/// Where a page of versions ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionCursor {
    /// The key of the last version.
    pub key: String,
    /// Its name; `None` behind all versions of the key.
    pub version: Option<String>,
}

/// One version of a key in a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedVersion {
    /// The full key.
    pub key: String,
    /// The name of the version. Stores that keep no versions, but list them,
    /// say `null`: that name says nothing, see [`ListedVersion::is_exact`].
    pub version: Option<String>,
    /// Length in bytes; 0 for a hide marker.
    pub size: u64,
    /// The validator, with its quotes.
    pub etag: Option<String>,
    /// When it was stored, to the second.
    pub last_modified: Option<SystemTime>,
    /// Whether it is the newest of its key, so that reads meet it.
    pub newest: bool,
    /// Whether it hides the key instead of holding bytes.
    pub marker: bool,
}

impl ListedVersion {
    /// Whether the name stands for these bytes alone. `null` does not: the
    /// next write of the key takes the name over.
    pub fn is_exact(&self) -> bool {
        is_exact(self.version.as_deref())
    }
}

/// Whether the name of a version stands for one write alone.
pub fn is_exact(version: Option<&str>) -> bool {
    version.is_some_and(|name| name != "null" && !name.is_empty())
}

/// Puts versions that were told in two lists, bytes and hide markers, into
/// one order. Versions of a key that are equally old keep their order.
pub(crate) fn in_order(versions: &mut [ListedVersion]) {
    versions.sort_by(|one, other| {
        let by_key = one.key.cmp(&other.key);
        let newest_first = || other.newest.cmp(&one.newest);
        by_key.then_with(newest_first).then_with(|| other.last_modified.cmp(&one.last_modified))
    });
}
