//! From a source tree to the manifest of its release. No network.
//!
//! Files without references are hashed as they stream by. Documents are
//! hashed as they will be published, after what they refer to has its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::document::{DOCUMENT_BYTES_MAX, Document, Found, UrlSpace};
use super::event::Event;
use super::hash::{Hashes, Output};
use super::lint;
use super::modules::{Facts, Graph};
use super::objects::{Made, Objects};
use super::options::Options;
use super::parallel::parallel;
use super::problem::{Ignored, Problem, Severity};
use super::scan;
use super::settle::{Named, Reading, settle};
use super::source::{ReadError, SourceFile};
use crate::asset::{AssetPath, Digest, media};
use crate::manifest::{Entry, Manifest, ManifestError, ReleaseId};

/// `Cache-Control` of objects under their fingerprinted names.
const CACHE_IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// Bytes at the beginning of a file in which a private key is looked for.
const KEY_SEARCH_BYTES: usize = 64 * 1024;

/// The release that a source tree makes, ready to be planned.
#[derive(Debug)]
pub struct Build {
    pub(super) manifest: Manifest,
    pub(super) release: ReleaseId,
    pub(super) objects: Objects,
    pub(super) warnings: Vec<Problem>,
    pub(super) ignored: Vec<Ignored>,
}

/// Why a source tree makes no release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The source is not a directory that can be read.
    #[error("the source is not a readable directory")]
    Source(#[source] std::io::Error),
    /// The tree has problems; warnings are among them.
    #[error("the source tree has {} problem(s)", .0.iter().filter(|p| p.is_error()).count())]
    Problems(Vec<Problem>),
    /// The manifest would be too large.
    #[error("the source tree makes no manifest")]
    Manifest(#[source] ManifestError),
    /// The URL space is not usable.
    #[error("the mount makes no URL")]
    Mount(#[source] url::ParseError),
}

/// Builds the release of the tree at `source`.
///
/// All problems of the tree are reported at once. Reads every file once, and
/// a document that refers to assets once more; it stays on this thread and
/// its workers, and touches no network.
pub fn build(
    source: &Path,
    options: &Options,
    events: &mut dyn FnMut(Event),
) -> Result<Build, BuildError> {
    let space = UrlSpace::new(&options.mount, &options.public, &options.same_origin)
        .map_err(BuildError::Mount)?;
    let scan = scan::scan(source, &options.ignore, scan::LIMITS).map_err(BuildError::Source)?;
    let bytes = scan.files.iter().map(|file| file.stamp.bytes).sum();
    events(Event::Scanned { files: scan.files.len(), bytes });

    let read = read_all(&scan.files, &space, events);
    let mut problems = scan.problems;
    let mut readings = Vec::with_capacity(read.len());
    let mut facts = Vec::new();
    for (file, Read { reading, facts: told, problems: found, .. }) in scan.files.iter().zip(read) {
        problems.extend(found);
        readings.extend(reading);
        facts.extend(told.map(|told| (file.asset.clone(), told)));
    }
    if options.strict {
        problems.iter_mut().for_each(|problem| problem.severity = Severity::Error);
    }
    let warnings = without_errors(problems)?;
    let modules = Graph::new(facts, &space, options.modules);
    modules.order(&scan.files, &mut readings);
    let settled = settle(&scan.files, &readings, &space, &modules).map_err(BuildError::Problems)?;
    assemble(scan.files, readings, settled, (space, modules), warnings, scan.ignored)
}

impl Build {
    /// The release that the tree makes.
    pub fn release(&self) -> ReleaseId {
        self.release
    }

    /// The manifest of the release.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What is wrong with the tree but does not stop the publish.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What was left out of the release.
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }
}

/// What reading a file came to.
struct Read {
    /// `None` if it cannot be read.
    reading: Option<Reading>,
    facts: Option<Facts>,
    problems: Vec<Problem>,
    bytes: u64,
}

/// Reads all files. A file that cannot be read has a problem instead of a reading.
fn read_all(files: &[SourceFile], space: &UrlSpace, events: &mut dyn FnMut(Event)) -> Vec<Read> {
    let known: BTreeSet<&AssetPath> = files.iter().map(|file| &file.asset).collect();
    let (mut count, mut bytes) = (0, 0);
    let read = |file: &SourceFile| {
        let read = match Document::of(&file.asset) {
            Some(document) if file.stamp.bytes <= DOCUMENT_BYTES_MAX => {
                read_document(file, document, space, &known)
            }
            Some(_) => read_plain(file).map(|mut read| {
                let message = format!("more than {DOCUMENT_BYTES_MAX} bytes: published unread");
                read.problems.push(Problem::warning(&file.asset, message));
                read
            }),
            None => read_plain(file),
        };
        read.unwrap_or_else(|error| Read {
            reading: None,
            facts: None,
            problems: vec![Problem::unreadable(&file.asset, &error)],
            bytes: file.stamp.bytes,
        })
    };
    parallel(files, read, |read| {
        count += 1;
        bytes += read.bytes;
        events(Event::Hashed { files: count, bytes });
    })
}

fn read_plain(file: &SourceFile) -> Result<Read, ReadError> {
    let mut hashes = Hashes::default();
    let mut head = Vec::new();
    file.read(|chunk| {
        let wanted = KEY_SEARCH_BYTES - head.len();
        head.extend_from_slice(&chunk[..wanted.min(chunk.len())]);
        hashes.update(chunk);
    })?;
    let reading = Some(Reading::Plain(hashes.output()));
    let problems = secrets(&file.asset, &head);
    Ok(Read { reading, facts: None, problems, bytes: file.stamp.bytes })
}

fn read_document(
    file: &SourceFile,
    document: Document,
    space: &UrlSpace,
    known: &BTreeSet<&AssetPath>,
) -> Result<Read, ReadError> {
    let bytes = file.read_whole()?;
    let mut problems = secrets(&file.asset, &bytes[..bytes.len().min(KEY_SEARCH_BYTES)]);
    let found = document.references(&file.asset, &bytes, space, known);
    let Found { assets, problems: more, facts } = found;
    problems.extend(more);
    let reading = Some(if assets.is_empty() {
        Reading::Plain(Output::of(&bytes))
    } else {
        Reading::Document { document, source: Digest::of(&bytes), assets }
    });
    Ok(Read { reading, facts, problems, bytes: file.stamp.bytes })
}

fn secrets(path: &AssetPath, head: &[u8]) -> Vec<Problem> {
    if lint::holds_private_key(head) {
        vec![Problem::error(path, "holds a private key: remove it, or ignore the file")]
    } else {
        Vec::new()
    }
}

fn without_errors(mut problems: Vec<Problem>) -> Result<Vec<Problem>, BuildError> {
    problems.sort();
    if problems.iter().any(Problem::is_error) {
        return Err(BuildError::Problems(problems));
    }
    Ok(problems)
}

fn assemble(
    files: Vec<SourceFile>,
    readings: Vec<Reading>,
    settled: Vec<Named>,
    (space, modules): (UrlSpace, Graph),
    warnings: Vec<Problem>,
    ignored: Vec<Ignored>,
) -> Result<Build, BuildError> {
    let mut entries = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut made = BTreeMap::new();
    let mut integrity = BTreeMap::new();
    for ((file, reading), named) in files.into_iter().zip(readings).zip(settled) {
        let Named { key, output, in_circle, .. } = named;
        let (document, refs) = match reading {
            Reading::Plain(_) => (None, BTreeSet::new()),
            Reading::Document { document, assets, .. } => (Some(document), assets),
        };
        let entry = Entry {
            b3: output.b3,
            cache: CACHE_IMMUTABLE.to_owned(),
            content_type: media::content_type(&file.asset),
            headers: BTreeMap::new(),
            integrity: output.integrity.clone(),
            key: key.clone(),
            refs: modules.refs(&file.asset).unwrap_or(&refs).iter().cloned().collect(),
            size: output.size,
            stable: false,
            tags: Vec::new(),
            variants: BTreeMap::new(),
        };
        names.insert(file.asset.clone(), key);
        entries.insert(file.asset.clone(), entry);
        if modules.is_mapped(&file.asset) {
            integrity.insert(file.asset.clone(), output.integrity.clone());
        }
        made.insert(file.asset.clone(), Made { file, document, output, in_circle });
    }
    let manifest = Manifest::new(entries);
    let (release, _) = manifest.to_bytes().map_err(BuildError::Manifest)?;
    let objects = Objects {
        space: space.into(),
        names: names.into(),
        integrity: integrity.into(),
        modules: modules.into(),
        made: made.into(),
    };
    Ok(Build { manifest, release, objects, warnings, ignored })
}
