//! What the build tool called its files, for templates that know them by that.
//!
//! Taken over from the manifest that the tool wrote into the tree. Only names:
//! which object a file is, the entry of its path says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::asset::AssetPath;

/// Names beside the paths of assets.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct Logical {
    /// What templates ask for, such as `src/main.ts` or `application.css`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, AssetPath>,
    /// The chunks of a Vite build, by the key that Vite's manifest has; and the
    /// entrypoints of a webpack build, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chunks: BTreeMap<String, Chunk>,
}

/// A chunk of a Vite build (`ManifestChunk` in `vite/dist/node/index.d.ts`).
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Chunk {
    /// Other files that it loads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<AssetPath>,
    /// Style sheets that it loads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub css: Vec<AssetPath>,
    /// Keys of chunks that it may import later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dynamic_imports: Vec<String>,
    /// The file itself.
    pub file: AssetPath,
    /// Keys of chunks that it imports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// Whether it is imported later only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_dynamic_entry: bool,
    /// Whether pages name it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_entry: bool,
    /// What the build calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The source that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}
