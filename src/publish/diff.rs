//! What tells two releases apart. Pure.

use serde::Serialize;

use crate::asset::{AssetPath, ObjectKey};
use crate::manifest::{Entry, Manifest};
use crate::semantics::encoding::Coding;

/// The assets in which two releases differ, each list in the order of paths.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Diff {
    /// Only the second release has them.
    pub added: Vec<Only>,
    /// Only the first release has them.
    pub removed: Vec<Only>,
    /// Both have them, with other bytes, codings or header fields.
    pub changed: Vec<Changed>,
    /// How many both have alike.
    pub same: usize,
}

/// An asset that one release has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Only {
    /// The asset.
    pub path: AssetPath,
    /// Its object.
    pub key: ObjectKey,
    /// Length in bytes.
    pub size: u64,
}

/// An asset that both releases have.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Changed {
    /// The asset.
    pub path: AssetPath,
    /// Its object in the first release.
    pub from_key: ObjectKey,
    /// Length there, in bytes.
    pub from_size: u64,
    /// The codings it has there besides.
    pub from_codings: Vec<Coding>,
    /// Its object in the second release.
    pub key: ObjectKey,
    /// Length there, in bytes.
    pub size: u64,
    /// The codings it has there besides.
    pub codings: Vec<Coding>,
}

impl Diff {
    /// What has to change in `one` to make it `other`.
    pub fn between(one: &Manifest, other: &Manifest) -> Self {
        let mut diff = Self::default();
        for (path, entry) in other.iter() {
            match one.get(path.as_str()) {
                None => diff.added.push(Only::of(path, entry)),
                Some(from) if is_same(from, entry) => diff.same += 1,
                Some(from) => diff.changed.push(Changed {
                    path: path.clone(),
                    from_key: from.key.clone(),
                    from_size: from.size,
                    from_codings: from.variants.keys().copied().collect(),
                    key: entry.key.clone(),
                    size: entry.size,
                    codings: entry.variants.keys().copied().collect(),
                }),
            }
        }
        let gone = one.iter().filter(|(path, _)| other.get(path.as_str()).is_none());
        diff.removed = gone.map(|(path, entry)| Only::of(path, entry)).collect();
        diff
    }
}

impl Only {
    fn of(path: &AssetPath, entry: &Entry) -> Self {
        Self { path: path.clone(), key: entry.key.clone(), size: entry.size }
    }
}

/// Whether visitors get the same. References follow from the rest.
fn is_same(one: &Entry, other: &Entry) -> bool {
    let same_name = one.key == other.key && one.stable == other.stable;
    same_name
        && one.b3 == other.b3
        && one.is_stored_like(other)
        && one.headers == other.headers
        && one.variants == other.variants
}
