//! Content codings of a release's assets: chosen, made, and taken over from
//! the release before.
//!
//! Whether a coding was taken over, read from the cache or made afresh is not
//! to be seen in the manifest: its bytes are the same.

mod cache;
mod coder;
mod codings;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::base::Base;
use super::build::{Build, BuildError};
use super::event::Event;
use super::objects::Objects;
use super::options::Options;
use super::parallel::parallel;
use super::problem::Problem;
use super::source::ReadError;
use crate::asset::{AssetPath, Digest, ObjectKey};
use crate::manifest::{Encoding, Entry, Manifest, Variant};
use crate::semantics::encoding::Coding;
use room::Room;

pub use cache::{CACHE_BYTES_DEFAULT, Cache};

/// Bytes of identities that are coded at the same time. Encoders need a
/// multiple of that; a larger identity is coded while no other is.
const CODED_AT_ONCE_BYTES: u64 = 16 * 1024 * 1024;

/// The encoders, and what they made before.
///
/// Without a cache, whatever is sent is coded twice: to learn its digest, and
/// again to send it. Clones share the cache and the bound on memory.
#[derive(Clone, Debug)]
pub struct Coder {
    cache: Option<Arc<Cache>>,
    room: Arc<Room>,
}

/// Digest and length of coded bytes.
type Coded = (Digest, u64);

/// Codings of some bytes that are worth keeping. None is an answer as well.
type Kept = BTreeMap<Coding, Coded>;

/// Why an object could not be coded.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodeError {
    /// Its identity could not be made.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The encoder failed, for want of memory.
    #[error("it cannot be coded")]
    Encoder(#[source] io::Error),
}

/// Adds the variants of its assets to a release.
///
/// What the base has coded already is taken over without a look at the file,
/// if the same encoders made it. The rest is read once more and coded on all
/// cores, which may take minutes; no network is touched. A file that is not
/// what was built any more is a problem of the tree.
pub fn encode(
    build: Build,
    base: &Base,
    coder: &Coder,
    options: &Options,
    events: &mut dyn FnMut(Event),
) -> Result<Build, BuildError> {
    let mut build = Build { objects: build.objects.with_coder(coder.clone()), ..build };
    let tried = tried(&build.manifest, options);
    if tried.is_empty() {
        return Ok(build);
    }
    let mut kept = base.manifest().map(known).unwrap_or_default();
    let missing = missing(&build.manifest, &tried, &kept);
    kept.extend(coder.code_all(&build.objects, &missing, events)?);

    build.manifest = with_variants(&build.manifest, &tried, &kept);
    (build.release, _) = build.manifest.to_bytes().map_err(BuildError::Manifest)?;
    Ok(build)
}

/// An object to code.
struct Uncoded<'a> {
    path: &'a AssetPath,
    b3: Digest,
    size: u64,
}

/// The assets that codings are tried for.
fn tried(manifest: &Manifest, options: &Options) -> BTreeSet<AssetPath> {
    let identities: BTreeSet<&ObjectKey> = manifest.iter().map(|(_, entry)| &entry.key).collect();
    let is_tried = |path: &AssetPath, entry: &Entry| {
        let coded_already = entry.headers.contains_key("content-encoding");
        let codings = codings::codings(path, &entry.content_type, entry.size, options);
        // Inputs that keep their names may be called like a variant.
        let free = |coding: &Coding| {
            coder::key(&entry.key, *coding).is_some_and(|key| !identities.contains(&key))
        };
        !codings.is_empty() && !coded_already && codings.iter().all(free)
    };
    let tried = manifest.iter().filter(|(path, entry)| is_tried(path, entry));
    tried.map(|(path, _)| path.clone()).collect()
}

/// What a manifest tells of bytes that these encoders have coded.
fn known(manifest: &Manifest) -> BTreeMap<Digest, Kept> {
    let Some(encoding) = manifest.encoding().filter(|e| e.version == coder::VERSION) else {
        return BTreeMap::new();
    };
    let tried = manifest
        .iter()
        .filter(|(path, entry)| !entry.variants.is_empty() || encoding.left.contains(*path));
    let kept = |entry: &Entry| {
        let coded = |(coding, variant): (&Coding, &Variant)| (*coding, (variant.b3, variant.size));
        entry.variants.iter().map(coded).collect()
    };
    tried.map(|(_, entry)| (entry.b3, kept(entry))).collect()
}

/// What is not known yet, each once, the largest first: begun last, it would
/// keep one core busy when the others are done.
fn missing<'a>(
    manifest: &'a Manifest,
    tried: &BTreeSet<AssetPath>,
    known: &BTreeMap<Digest, Kept>,
) -> Vec<Uncoded<'a>> {
    let mut seen = BTreeSet::new();
    let mut missing: Vec<Uncoded<'_>> = manifest
        .iter()
        .filter(|(path, entry)| tried.contains(*path) && !known.contains_key(&entry.b3))
        .filter(|(_, entry)| seen.insert(entry.b3))
        .map(|(path, entry)| Uncoded { path, b3: entry.b3, size: entry.size })
        .collect();
    missing.sort_by_key(|uncoded| std::cmp::Reverse(uncoded.size));
    missing
}

fn with_variants(
    manifest: &Manifest,
    tried: &BTreeSet<AssetPath>,
    kept: &BTreeMap<Digest, Kept>,
) -> Manifest {
    let mut left = BTreeSet::new();
    let mut entries = BTreeMap::new();
    for (path, entry) in manifest.iter() {
        let mut entry = entry.clone();
        if let (true, Some(kept)) = (tried.contains(path), kept.get(&entry.b3)) {
            entry.variants = variants(&entry.key, kept);
            if entry.variants.is_empty() {
                left.insert(path.clone());
            }
        }
        entries.insert(path.clone(), entry);
    }
    Manifest::new(entries).with_encoding(Encoding { left, version: coder::VERSION })
}

fn variants(identity: &ObjectKey, kept: &Kept) -> BTreeMap<Coding, Variant> {
    let variant = |(coding, (b3, size)): (&Coding, &Coded)| {
        let key = coder::key(identity, *coding)?;
        Some((*coding, Variant { b3: *b3, key, size: *size }))
    };
    kept.iter().filter_map(variant).collect()
}

impl Coder {
    /// Encoders that remember what they made in `cache`.
    pub fn new(cache: Option<Cache>) -> Self {
        Self { cache: cache.map(Arc::new), room: Arc::new(Room::of(CODED_AT_ONCE_BYTES)) }
    }

    /// The cache, if there is one.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
    }

    /// Makes the bytes of a variant again, or reads them from the cache.
    /// Whoever sends them compares the digest.
    pub(super) fn coded(
        &self,
        objects: &Objects,
        path: &AssetPath,
        identity: &Digest,
        coding: Coding,
    ) -> Result<Vec<u8>, CodeError> {
        if let Some(coded) = self.cache().and_then(|cache| cache.get(identity, coding)) {
            return Ok(coded);
        }
        let _room = self.room.take(objects.size(path));
        let bytes = objects.identity(path)?;
        coder::code(coding, &bytes).map_err(CodeError::Encoder)
    }

    fn code_all(
        &self,
        objects: &Objects,
        missing: &[Uncoded<'_>],
        events: &mut dyn FnMut(Event),
    ) -> Result<BTreeMap<Digest, Kept>, BuildError> {
        if missing.is_empty() {
            return Ok(BTreeMap::new());
        }
        let bytes = missing.iter().map(|uncoded| uncoded.size).sum();
        events(Event::Encoding { files: missing.len(), bytes });
        let (mut files, mut bytes) = (0, 0);
        let code = |uncoded: &Uncoded<'_>| (self.code(objects, uncoded), uncoded.size);
        let outcomes = parallel(missing, code, |(_, size)| {
            files += 1;
            bytes += size;
            events(Event::Encoded { files, bytes });
        });
        if let Some(cache) = self.cache() {
            cache.trim();
        }
        let mut kept = BTreeMap::new();
        let mut problems = Vec::new();
        for (uncoded, (outcome, _)) in missing.iter().zip(outcomes) {
            match outcome {
                Ok(codings) => drop(kept.insert(uncoded.b3, codings)),
                Err(error) => problems.push(problem(uncoded.path, &error)),
            }
        }
        problems.sort();
        if problems.is_empty() { Ok(kept) } else { Err(BuildError::Problems(problems)) }
    }

    fn code(&self, objects: &Objects, uncoded: &Uncoded<'_>) -> Result<Kept, CodeError> {
        let Uncoded { path, b3, size } = uncoded;
        let _room = self.room.take(*size);
        let mut identity = None;
        let mut kept = Kept::new();
        for coding in Coding::ALL {
            let cached = self.cache().and_then(|cache| cache.get(b3, coding));
            let coded = match cached {
                Some(coded) => coded,
                None => {
                    let bytes = match &mut identity {
                        Some(bytes) => bytes,
                        none => none.insert(objects.identity(path)?),
                    };
                    let coded = coder::code(coding, bytes).map_err(CodeError::Encoder)?;
                    self.cache().inspect(|cache| cache.keep(b3, coding, &coded));
                    coded
                }
            };
            if coder::is_kept(*size, coded.len() as u64) {
                kept.insert(coding, (Digest::of(&coded), coded.len() as u64));
            }
        }
        Ok(kept)
    }
}

/// No cache.
impl Default for Coder {
    fn default() -> Self {
        Self::new(None)
    }
}

fn problem(path: &AssetPath, error: &CodeError) -> Problem {
    match error {
        CodeError::Read(error) => Problem::unreadable(path, error),
        CodeError::Encoder(cause) => Problem::error(path, format!("{error}: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::manifest::Channel;
    use crate::publish::build;
    use crate::rewrite::PublicBase;

    fn coded() -> Manifest {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.css"), "a{color:red}".repeat(100)).unwrap();
        let channel = Channel::parse("production").unwrap();
        let options = Options::new(channel, PublicBase::default(), PublicBase::default());
        let build = build(dir.path(), &options, &mut |_| ()).unwrap();
        let coder = Coder::default();
        encode(build, &Base::default(), &coder, &options, &mut |_| ()).unwrap().manifest
    }

    #[test]
    fn what_other_encoders_made_is_not_taken_over() {
        let manifest = coded();
        assert_eq!(known(&manifest).len(), 1);
        let encoding = Encoding { version: coder::VERSION + 1, ..Encoding::default() };
        assert!(known(&manifest.with_encoding(encoding)).is_empty());
    }

    #[test]
    fn an_asset_that_is_called_like_a_variant_keeps_its_name_for_itself() {
        let manifest = coded();
        let entry = manifest.get("a.css").unwrap().clone();
        let other = Entry { key: coder::key(&entry.key, Coding::Br).unwrap(), ..entry.clone() };
        let path = |text| AssetPath::parse(text).unwrap();
        let entries = [(path("a.css"), entry), (path("b.css"), other)];
        let channel = Channel::parse("production").unwrap();
        let options = Options::new(channel, PublicBase::default(), PublicBase::default());
        let tried = tried(&Manifest::new(entries.into()), &options);
        assert_eq!(tried.iter().map(AssetPath::as_str).collect::<Vec<_>>(), ["b.css"]);
    }
}
