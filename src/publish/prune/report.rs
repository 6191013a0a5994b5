//! What a collection found and did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::manifest::{Channel, ReleaseId};

/// Why a version is not needed; in the order in which they are deleted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A version behind a newer one of its key.
    Superseded,
    /// The manifest of a release that nothing keeps.
    Manifest,
    /// An object that no kept release names.
    Object,
    /// A record of a channel that is too old to be a head again.
    Record,
    /// The head of a preview that has ended.
    Head,
    /// What a publish was about to store, long ago.
    Intent,
    /// What was written to try the store.
    Probe,
}

/// A version that nothing needs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Unneeded {
    /// Why.
    pub kind: Kind,
    /// The full key.
    pub key: String,
    /// The version, where the store has versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Length in bytes.
    pub size: u64,
    /// When it was stored, in seconds since 1970.
    #[serde(skip)]
    pub(super) stored: u64,
}

/// How many, and how many bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Versions.
    pub versions: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A release that is kept, and a channel that keeps it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Kept {
    /// The release.
    pub release: ReleaseId,
    /// The channel that keeps it; absent for a release that is merely young,
    /// or about to be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

/// What [`mark()`](super::mark()) did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Marked {
    /// Versions that nothing needs and no earlier list names, in the order in
    /// which they would be deleted.
    pub condemned: Vec<Unneeded>,
    /// The lists that were written.
    pub lists: Vec<String>,
}

/// What [`sweep()`](super::sweep()) did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Swept {
    /// Versions that were deleted, in the order of their deletion.
    pub deleted: Vec<Unneeded>,
    /// Condemned versions that are needed again, or were stored anew.
    pub spared: usize,
    /// Lists that were carried out and removed.
    pub lists: Vec<String>,
    /// Lists whose grace has not passed yet, and the versions in them.
    pub waiting: BTreeMap<String, usize>,
}

/// An upload in parts that nobody goes on with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Abandoned {
    /// The full key of the object it would have become.
    pub key: String,
    /// The name of the upload.
    pub upload: String,
    /// Bytes of the parts that had arrived.
    pub size: u64,
    /// When it was begun, in seconds since 1970.
    pub begun: u64,
}

/// What became of unfinished uploads, or would.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Uploads {
    /// Those that were aborted, in the order of their keys.
    pub aborted: Vec<Abandoned>,
    /// How many were left alone: young, of unknown age, or about to be
    /// completed by a publish under way.
    pub kept: usize,
}

/// What one run came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Collected {
    /// What the run deleted.
    pub swept: Swept,
    /// What a later run will delete.
    pub marked: Marked,
    /// Uploads in parts that were never completed.
    pub uploads: Uploads,
    /// The releases that are kept, in the order of their names.
    pub kept: Vec<Kept>,
    /// Objects that are in the bucket.
    pub objects: usize,
    /// Whether the store has versions. Without, a key is deleted whatever
    /// lies under it by then.
    pub by_version: bool,
    /// Whether nothing was written or deleted.
    pub dry_run: bool,
    /// What was found odd, and left alone.
    pub remarks: Vec<String>,
}

/// Counts by kind.
pub fn tallies(unneeded: &[Unneeded]) -> BTreeMap<Kind, Tally> {
    let mut tallies: BTreeMap<Kind, Tally> = BTreeMap::new();
    for one in unneeded {
        let tally = tallies.entry(one.kind).or_default();
        tally.versions += 1;
        tally.bytes += one.size;
    }
    tallies
}
