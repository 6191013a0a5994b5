//! Making the bytes of objects again, when they are sent.
//!
//! No bodies are kept between the build and the upload: a release may be
//! larger than memory. Whoever sends compares what was made with its digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{Document, Names, UrlSpace};
use super::hash::Output;
use super::modules::Graph;
use super::source::{ReadError, SourceFile};
use crate::asset::{AssetPath, ObjectKey};

/// How to make the bytes of every object again.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) space: Arc<UrlSpace>,
    pub(super) names: Arc<BTreeMap<AssetPath, ObjectKey>>,
    /// What modules hold, for the `integrity` in pages.
    pub(super) integrity: Arc<BTreeMap<AssetPath, String>>,
    pub(super) modules: Arc<Graph>,
    pub(super) made: Arc<BTreeMap<AssetPath, Made>>,
}

/// Where an object comes from, and what it is.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) file: SourceFile,
    /// What kind of document to rewrite, if the file refers to assets.
    pub(super) document: Option<Document>,
    pub(super) output: Output,
    /// Whether it was named together with others.
    pub(super) in_circle: bool,
}

impl Objects {
    /// Makes the bytes of an object from what its file holds now. They may
    /// differ from what was built: whoever sends them compares the digest.
    pub(super) fn bytes(&self, path: &AssetPath) -> Result<Vec<u8>, ReadError> {
        let made = self.made.get(path).ok_or(ReadError::Changed)?;
        let bytes = made.file.read_again()?;
        let Some(document) = made.document else { return Ok(bytes) };
        let names = Names {
            members: &BTreeMap::new(),
            settled: &self.names,
            integrity: &self.integrity,
            modules: &self.modules,
            in_circle: made.in_circle,
        };
        Ok(document.replace(path, &bytes, &self.space, names))
    }

    /// The MD5 of an object's bytes in hexadecimal.
    pub(super) fn md5(&self, path: &AssetPath) -> Option<&str> {
        Some(self.made.get(path)?.output.md5.as_str())
    }
}
