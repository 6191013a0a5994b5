//! The manifest: which object each asset of a release is, and in what form.

pub mod field;
pub mod formats;
mod logical;
mod release;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::asset::{AssetPath, Digest, ObjectKey};
use crate::semantics::encoding::Coding;

pub use logical::{Chunk, Logical};
pub use release::{
    ACTIVATION_BYTES_MAX, Activation, ActivationError, Channel, ChannelError, ReleaseId,
};
pub use wire::{MANIFEST_BYTES_MAX, ManifestError};

/// All assets of one release, by path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Manifest {
    entries: BTreeMap<AssetPath, Entry>,
    logical: Logical,
    policy: Option<Digest>,
    encoding: Option<Encoding>,
}

/// How the variants of a release were made: what the next publish has to know
/// to take them over. Absent where no asset was tried.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Encoding {
    /// Assets that were tried in every coding, none of which saves enough.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left: BTreeSet<AssetPath>,
    /// The version of the encoders and of what they are told.
    pub version: u32,
}

/// One asset as it was published.
///
/// Fields stand in alphabetical order, because the serialised order is part
/// of the canonical form a release is named by.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Entry {
    /// BLAKE3 of the object's bytes.
    pub b3: Digest,
    /// `Cache-Control` of the object under its fingerprinted name; of a stable
    /// asset, under its logical one.
    pub cache: String,
    /// Further header fields of the object, names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Subresource integrity of the object: `sha384-` and base64.
    pub integrity: String,
    /// The object, relative to the prefix of the bucket.
    pub key: ObjectKey,
    /// Assets that this one refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<AssetPath>,
    /// Length of the object in bytes.
    pub size: u64,
    /// Whether the asset keeps its logical URL: references to it stay as they
    /// are. Its object lies under a fingerprinted name all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stable: bool,
    /// Surrogate keys, by which its responses are purged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `Content-Type` of the object.
    #[serde(rename = "type")]
    pub content_type: String,
    /// The object in other content codings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<Coding, Variant>,
}

/// One content coding of an object.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Variant {
    /// BLAKE3 of the coded bytes.
    pub b3: Digest,
    /// The object that holds the coded bytes, relative to the prefix.
    pub key: ObjectKey,
    /// Length of the coded bytes.
    pub size: u64,
}

impl Manifest {
    /// A manifest of these entries.
    pub fn new(entries: BTreeMap<AssetPath, Entry>) -> Self {
        Self { entries, ..Self::default() }
    }

    /// The same manifest with the names that a build tool gave.
    #[must_use]
    pub fn with_logical(self, logical: Logical) -> Self {
        Self { logical, ..self }
    }

    /// The names that a build tool gave.
    pub fn logical(&self) -> &Logical {
        &self.logical
    }

    /// The asset that a template asks for: by its path, or else by the name
    /// that the build tool gave it.
    pub fn resolve(&self, name: &str) -> Option<(&AssetPath, &Entry)> {
        let by_path = self.entries.get_key_value(name);
        by_path.or_else(|| self.entries.get_key_value(self.logical.aliases.get(name)?.as_str()))
    }

    /// The same, made under rules with this digest.
    #[must_use]
    pub fn under(self, policy: Option<Digest>) -> Self {
        Self { policy, ..self }
    }

    /// The digest of the rules that gave the entries their header fields;
    /// `None` where there were none. It makes another release of the same
    /// entries under other rules.
    pub fn policy(&self) -> Option<Digest> {
        self.policy
    }

    /// The same manifest of other entries.
    #[must_use]
    pub fn with_entries(self, entries: BTreeMap<AssetPath, Entry>) -> Self {
        Self { entries, ..self }
    }

    /// The same manifest, with how its variants were made.
    #[must_use]
    pub fn with_encoding(self, encoding: Encoding) -> Self {
        Self { encoding: Some(encoding), ..self }
    }

    /// How its variants were made.
    pub fn encoding(&self) -> Option<&Encoding> {
        self.encoding.as_ref()
    }

    /// The entry of an asset.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// All entries in the order of their paths.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&AssetPath, &Entry)> {
        self.entries.iter()
    }

    /// Number of assets.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the release has no assets.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    /// The key whose public name visitors use for this asset at `path`: that
    /// of its object, or of its logical name where that is stable.
    pub fn named_by(&self, path: &AssetPath) -> ObjectKey {
        if self.stable { ObjectKey::of_public_name(path) } else { self.key.clone() }
    }

    /// A header field that is stored with the object.
    pub fn stored_field(&self, name: &str) -> Option<&String> {
        self.headers.get(name).filter(|_| field::is_stored(name))
    }

    /// Whether the objects of two entries are stored with the same fields.
    pub fn is_stored_like(&self, other: &Self) -> bool {
        self.content_type == other.content_type
            && self.cache == other.cache
            && self.stored_fields().eq(other.stored_fields())
    }

    fn stored_fields(&self) -> impl Iterator<Item = (&String, &String)> {
        self.headers.iter().filter(|(name, _)| field::is_stored(name))
    }
}
