//! Whether a release lies in the bucket as its manifest says: every object,
//! its length, its header fields, and on request its bytes. Reads only.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::Serialize;

use super::error::PublishError;
use super::fields;
use crate::asset::{AssetPath, Blake3, Digest, KeyLayout, ObjectKey};
use crate::manifest::{Entry, Manifest, ReleaseId};
use crate::semantics::encoding::Coding;
use crate::store::{
    GetOutcome, GetRequest, ObjectHead, ObjectHeaders, ObjectRead, StoreError, StoreErrorKind,
};

/// How thoroughly a release is verified.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Whether every object is read and hashed, instead of looked up.
    pub full: bool,
    /// Calls at the same time; 0 counts as 1.
    pub concurrency: usize,
}

/// A release that was verified.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// The release.
    pub release: ReleaseId,
    /// Objects that it needs.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the bytes were read.
    pub full: bool,
    /// Objects that are not as the manifest says, in the order of their keys.
    pub flaws: Vec<Flawed>,
}

/// An object that is not as the manifest says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Flawed {
    /// The full key.
    pub key: String,
    /// The asset whose object it is.
    pub path: AssetPath,
    /// What is wrong with it; at least one thing.
    pub flaws: Vec<Flaw>,
}

/// What is wrong with an object.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "flaw", rename_all = "snake_case")]
pub enum Flaw {
    /// There is no such object.
    Missing,
    /// It has another length.
    Length {
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes in the bucket.
        found: u64,
    },
    /// It has other bytes.
    Bytes {
        /// Their BLAKE3 by the manifest.
        expected: Digest,
        /// Their BLAKE3.
        found: Digest,
    },
    /// A header field is another one, or is not there.
    Header {
        /// Its name in lower case.
        name: String,
        /// By the manifest; absent where there should be none.
        expected: Option<String>,
        /// In the bucket.
        found: Option<String>,
    },
}

/// An object that a release needs, and the asset it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'m> {
    pub(super) path: &'m AssetPath,
    pub(super) entry: &'m Entry,
    pub(super) key: &'m ObjectKey,
    pub(super) size: u64,
    pub(super) b3: Digest,
    pub(super) coding: Option<Coding>,
}

/// Verifies every object of a release: a HEAD each, or a GET each when the
/// check is full. Objects that are flawed are all told; a call that fails ends
/// it, because then nothing is known.
pub async fn verify(
    store: &dyn ObjectRead,
    layout: &KeyLayout,
    release: ReleaseId,
    manifest: &Manifest,
    check: Check,
) -> Result<Verified, PublishError> {
    let mut verified =
        Verified { release, objects: 0, bytes: 0, full: check.full, flaws: Vec::new() };
    let objects: BTreeMap<&ObjectKey, Expected<'_>> =
        expected(manifest).map(|object| (object.key, object)).collect();
    verified.objects = objects.len();
    verified.bytes = objects.values().map(|object| object.size).sum();
    let looks = objects.into_values().map(|object| {
        async move {
            let key = layout.object(object.key);
            let flaws = object.look(store, &key, check.full).await?;
            let path = object.path.clone();
            Ok::<_, StoreError>((!flaws.is_empty()).then_some(Flawed { key, path, flaws }))
        }
        .boxed()
    });
    let mut looks = stream::iter(looks).buffered(check.concurrency.max(1));
    while let Some(looked) = looks.next().await {
        verified.flaws.extend(looked?);
    }
    Ok(verified)
}

/// All objects of a release, variants included. Assets may share one.
pub(super) fn expected(manifest: &Manifest) -> impl Iterator<Item = Expected<'_>> {
    manifest.iter().flat_map(|(path, entry)| {
        let own =
            Expected { path, entry, key: &entry.key, size: entry.size, b3: entry.b3, coding: None };
        let variants = entry.variants.iter().map(move |(coding, variant)| Expected {
            key: &variant.key,
            size: variant.size,
            b3: variant.b3,
            coding: Some(*coding),
            ..own
        });
        std::iter::once(own).chain(variants)
    })
}

impl Expected<'_> {
    /// The header fields that the object is stored with.
    pub(super) fn headers(&self) -> ObjectHeaders {
        fields::stored(self.entry, self.coding, self.b3)
    }

    async fn look(
        &self,
        store: &dyn ObjectRead,
        key: &str,
        full: bool,
    ) -> Result<Vec<Flaw>, StoreError> {
        let read = if full { self.read(store, key).await } else { self.head(store, key).await };
        match read {
            Ok((head, found)) => Ok(self.flaws(&head, found)),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(vec![Flaw::Missing]),
            Err(error) => Err(error),
        }
    }

    async fn head(
        &self,
        store: &dyn ObjectRead,
        key: &str,
    ) -> Result<(ObjectHead, Option<Digest>), StoreError> {
        Ok((store.head(key).await?, None))
    }

    /// Hashes the bytes as they arrive, so that large objects need no memory.
    async fn read(
        &self,
        store: &dyn ObjectRead,
        key: &str,
    ) -> Result<(ObjectHead, Option<Digest>), StoreError> {
        let GetOutcome::Found(mut object) = store.get(key, GetRequest::default()).await? else {
            // Nothing was asked that allows this answer.
            return self.head(store, key).await;
        };
        let mut hash = Blake3::default();
        while let Some(chunk) = object.body.next().await {
            hash.update(&chunk?);
        }
        Ok((object.head, Some(hash.digest())))
    }

    fn flaws(&self, head: &ObjectHead, bytes: Option<Digest>) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        if head.size != self.size {
            flaws.push(Flaw::Length { expected: self.size, found: head.size });
        } else if let Some(found) = bytes.filter(|found| *found != self.b3) {
            flaws.push(Flaw::Bytes { expected: self.b3, found });
        }
        let (expected, found) = (compared(&self.headers()), compared(&head.headers));
        for ((name, expected), (_, found)) in expected.into_iter().zip(found) {
            if expected != found {
                flaws.push(Flaw::Header { name: name.to_owned(), expected, found });
            }
        }
        flaws
    }
}

/// The fields that are compared.
fn compared(headers: &ObjectHeaders) -> [(&'static str, Option<String>); 6] {
    let ObjectHeaders { content_type, cache_control, content_encoding, .. } = headers.clone();
    [
        ("content-type", content_type),
        ("cache-control", cache_control),
        ("content-encoding", content_encoding),
        ("content-disposition", headers.content_disposition.clone()),
        ("content-language", headers.content_language.clone()),
        ("x-amz-meta-blake3", headers.meta.get("blake3").cloned()),
    ]
}

impl fmt::Display for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.key)?;
        for (at, flaw) in self.flaws.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            flaw.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |field: &Option<String>| match field {
            Some(field) => format!("`{}`", field.escape_debug()),
            None => "none".to_owned(),
        };
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Length { expected, found } => {
                write!(f, "has {found} bytes instead of {expected}")
            }
            Self::Bytes { expected, found } => {
                write!(f, "has other bytes: BLAKE3 {found} instead of {expected}")
            }
            Self::Header { name, expected, found } => {
                write!(f, "has {name} {} instead of {}", or_none(found), or_none(expected))
            }
        }
    }
}
