//! Making the bytes of objects again, when they are sent.
//!
//! No bodies are kept between the build and the upload: a release may be
//! larger than memory. Whoever sends compares what was made with its digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{Document, Names, UrlSpace};
use super::encode::{CodeError, Coder};
use super::error::PublishError;
use super::hash::Output;
use super::modules::Graph;
use super::source::{ReadError, SourceFile};
use crate::asset::{AssetPath, Digest, ObjectKey};
use crate::semantics::encoding::Coding;

/// How to make the bytes of every object again.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) space: Arc<UrlSpace>,
    pub(super) names: Arc<BTreeMap<AssetPath, ObjectKey>>,
    /// What modules hold, for the `integrity` in pages.
    pub(super) integrity: Arc<BTreeMap<AssetPath, String>>,
    pub(super) modules: Arc<Graph>,
    pub(super) made: Arc<BTreeMap<AssetPath, Made>>,
    pub(super) coder: Coder,
    /// The bytes themselves, where they are kept.
    pub(super) held: Option<Arc<BTreeMap<AssetPath, Vec<u8>>>>,
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
    /// Makes the bytes of all objects now, and keeps them.
    pub(super) fn hold(self) -> Result<Self, ReadError> {
        let paths = self.made.keys();
        let held = paths.map(|path| Ok((path.clone(), self.identity(path)?)));
        let held = held.collect::<Result<_, ReadError>>()?;
        Ok(Self { held: Some(Arc::new(held)), ..self })
    }

    /// Whether making these bytes reads no file and takes no time.
    pub(super) fn is_held(&self, coding: Option<Coding>) -> bool {
        self.held.is_some() && coding.is_none()
    }

    /// Makes the bytes of an object from what its file holds now. They may
    /// differ from what was built: whoever sends them compares the digest.
    pub(super) fn bytes(&self, path: &AssetPath) -> Result<Vec<u8>, ReadError> {
        if let Some(held) = &self.held {
            return held.get(path).cloned().ok_or(ReadError::Changed);
        }
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

    /// The file that an object is a copy of, if it is one and not in memory.
    pub(super) fn copied(&self, path: &AssetPath) -> Option<&SourceFile> {
        let made = self.made.get(path)?;
        (made.document.is_none() && self.held.is_none()).then_some(&made.file)
    }

    /// The bytes of an object as they were built.
    pub(super) fn identity(&self, path: &AssetPath) -> Result<Vec<u8>, ReadError> {
        let built = self.made.get(path).map(|made| made.output.b3);
        let bytes = self.bytes(path)?;
        if Some(Digest::of(&bytes)) == built { Ok(bytes) } else { Err(ReadError::Changed) }
    }

    /// The bytes of an object or of a coding of it, if they are those that were
    /// planned.
    pub(super) fn planned(
        &self,
        path: &AssetPath,
        coding: Option<Coding>,
        digest: &Digest,
    ) -> Result<Vec<u8>, PublishError> {
        let changed = |source| PublishError::Changed { path: path.clone(), source };
        let made = self.made.get(path).ok_or_else(|| changed(None))?;
        let Some(coding) = coding else {
            let bytes = self.bytes(path).map_err(|error| changed(Some(error)))?;
            return if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(changed(None)) };
        };
        let uncoded = |source| PublishError::Uncoded { path: path.clone(), coding, source };
        let coded = self.coder.coded(self, path, &made.output.b3, coding);
        let bytes = coded.map_err(|error| match error {
            CodeError::Read(error) => changed(Some(error)),
            CodeError::Encoder(error) => uncoded(Some(error)),
        })?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(uncoded(None)) }
    }

    /// The length of an object in bytes; 0 where there is none.
    pub(super) fn size(&self, path: &AssetPath) -> u64 {
        self.made.get(path).map_or(0, |made| made.output.size)
    }

    /// The same objects, coded by `coder`.
    pub(super) fn with_coder(self, coder: Coder) -> Self {
        Self { coder, ..self }
    }
}
