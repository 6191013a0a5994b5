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

/// Some bytes, and the codings that are tried for them.
type Wanted = (Digest, Vec<Coding>);

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
    let mut kept = match base.manifest() {
        None => BTreeMap::new(),
        Some(base) if base.policy() == build.manifest.policy() => known(base, options),
        Some(base) => proven(base, &build.manifest, &tried),
    };
    let missing = missing(&build.manifest, &tried, &kept);
    kept.extend(coder.code_all(&build.objects, &missing, events)?);

    build.manifest = with_variants(&build.manifest, &tried, &kept);
    build.release = build.manifest.release().map_err(BuildError::Manifest)?;
    Ok(build)
}

/// An object to code.
struct Uncoded<'a> {
    path: &'a AssetPath,
    wanted: Wanted,
    size: u64,
}

/// The assets that codings are tried for, and which of these they may have.
fn tried(manifest: &Manifest, options: &Options) -> BTreeMap<AssetPath, Vec<Coding>> {
    let identities: BTreeSet<&ObjectKey> = manifest.iter().map(|(_, entry)| &entry.key).collect();
    let tried = |(path, entry): (&AssetPath, &Entry)| {
        let coded_already = entry.headers.contains_key("content-encoding");
        let codings = codings::codings(path, &entry.content_type, entry.size, options);
        // Inputs that keep their names may be called like a variant.
        let free = |coding: &Coding| {
            coder::key(&entry.key, *coding).is_some_and(|key| !identities.contains(&key))
        };
        let is_tried = !codings.is_empty() && !coded_already && codings.iter().all(free);
        is_tried.then(|| (path.clone(), codings))
    };
    manifest.iter().filter_map(tried).collect()
}

/// What a manifest that was made under the same rules tells of bytes that
/// these encoders have coded.
fn known(manifest: &Manifest, options: &Options) -> BTreeMap<Wanted, Kept> {
    let Some(encoding) = manifest.encoding().filter(|e| e.version == coder::VERSION) else {
        return BTreeMap::new();
    };
    let before = tried(manifest, options).into_iter().filter_map(|(path, codings)| {
        let entry = manifest.get(path.as_str())?;
        let was_tried = !entry.variants.is_empty() || encoding.left.contains(&path);
        was_tried.then_some((entry, codings))
    });
    let kept = |entry: &Entry| {
        let coded = |(coding, variant): (&Coding, &Variant)| (*coding, (variant.b3, variant.size));
        entry.variants.iter().map(coded).collect()
    };
    before.map(|(entry, codings)| ((entry.b3, codings), kept(entry))).collect()
}

/// What a manifest that was made under other rules tells of bytes that these
/// encoders have coded: only what is in it, as another coding may not have been
/// tried.
fn proven(
    base: &Manifest,
    manifest: &Manifest,
    tried: &BTreeMap<AssetPath, Vec<Coding>>,
) -> BTreeMap<Wanted, Kept> {
    if base.encoding().is_none_or(|encoding| encoding.version != coder::VERSION) {
        return BTreeMap::new();
    }
    let coded = base.iter().filter(|(_, entry)| !entry.variants.is_empty());
    let variants: BTreeMap<Digest, _> =
        coded.map(|(_, entry)| (entry.b3, &entry.variants)).collect();
    let proven = |(path, codings): (&AssetPath, &Vec<Coding>)| {
        let entry = manifest.get(path.as_str())?;
        let variants = variants.get(&entry.b3)?;
        let kept = codings.iter().map(|coding| {
            let variant = variants.get(coding)?;
            Some((*coding, (variant.b3, variant.size)))
        });
        Some(((entry.b3, codings.clone()), kept.collect::<Option<Kept>>()?))
    };
    tried.iter().filter_map(proven).collect()
}

/// What is not known yet, each once, the largest first: begun last, it would
/// keep one core busy when the others are done.
fn missing<'a>(
    manifest: &'a Manifest,
    tried: &BTreeMap<AssetPath, Vec<Coding>>,
    known: &BTreeMap<Wanted, Kept>,
) -> Vec<Uncoded<'a>> {
    let mut seen = BTreeSet::new();
    let uncoded = manifest.iter().filter_map(|(path, entry)| {
        let wanted = (entry.b3, tried.get(path)?.clone());
        let is_new = !known.contains_key(&wanted) && seen.insert(wanted.clone());
        is_new.then_some(Uncoded { path, wanted, size: entry.size })
    });
    let mut missing: Vec<Uncoded<'_>> = uncoded.collect();
    missing.sort_by_key(|uncoded| std::cmp::Reverse(uncoded.size));
    missing
}

fn with_variants(
    manifest: &Manifest,
    tried: &BTreeMap<AssetPath, Vec<Coding>>,
    kept: &BTreeMap<Wanted, Kept>,
) -> Manifest {
    let mut left = BTreeSet::new();
    let mut entries = BTreeMap::new();
    for (path, entry) in manifest.iter() {
        let mut entry = entry.clone();
        let wanted = tried.get(path).map(|codings| (entry.b3, codings.clone()));
        if let Some(kept) = wanted.and_then(|wanted| kept.get(&wanted)) {
            entry.variants = variants(&entry.key, kept);
            if entry.variants.is_empty() {
                left.insert(path.clone());
            }
        }
        entries.insert(path.clone(), entry);
    }
    manifest.clone().with_entries(entries).with_encoding(Encoding { left, version: coder::VERSION })
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
    ) -> Result<BTreeMap<Wanted, Kept>, BuildError> {
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
                Ok(codings) => drop(kept.insert(uncoded.wanted.clone(), codings)),
                Err(error) => problems.push(problem(uncoded.path, &error)),
            }
        }
        problems.sort();
        if problems.is_empty() { Ok(kept) } else { Err(BuildError::Problems(problems)) }
    }

    fn code(&self, objects: &Objects, uncoded: &Uncoded<'_>) -> Result<Kept, CodeError> {
        let Uncoded { path, wanted: (b3, codings), size } = uncoded;
        let _room = self.room.take(*size);
        let mut identity = None;
        let mut kept = Kept::new();
        for coding in codings.iter().copied() {
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

    fn options() -> Options {
        let channel = Channel::parse("production").unwrap();
        Options::new(channel, PublicBase::default(), PublicBase::default())
    }

    fn coded() -> Manifest {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.css"), "a{color:red}".repeat(100)).unwrap();
        let options = options();
        let build = build(dir.path(), &options, &mut |_| ()).unwrap();
        let coder = Coder::default();
        encode(build, &Base::default(), &coder, &options, &mut |_| ()).unwrap().manifest
    }

    #[test]
    fn what_other_encoders_made_is_not_taken_over() {
        let manifest = coded();
        assert_eq!(known(&manifest, &options()).len(), 1);
        let encoding = Encoding { version: coder::VERSION + 1, ..Encoding::default() };
        assert!(known(&manifest.with_encoding(encoding), &options()).is_empty());
    }

    #[test]
    fn an_asset_that_is_called_like_a_variant_keeps_its_name_for_itself() {
        let manifest = coded();
        let entry = manifest.get("a.css").unwrap().clone();
        let other = Entry { key: coder::key(&entry.key, Coding::Br).unwrap(), ..entry.clone() };
        let path = |text| AssetPath::parse(text).unwrap();
        let entries = [(path("a.css"), entry), (path("b.css"), other)];
        let tried = tried(&Manifest::new(entries.into()), &options());
        assert_eq!(tried.keys().map(AssetPath::as_str).collect::<Vec<_>>(), ["b.css"]);
    }
}
