//! From a source tree to the manifest of its release. No network.
//!
//! Files without references are hashed as they stream by. Documents are
//! hashed as they will be published, after what they refer to has its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::collect::{Found, Hold};
use super::document::{DOCUMENT_BYTES_MAX, Document, UrlSpace};
use super::encode::Coder;
use super::event::Event;
use super::hash::{Hashes, Output};
use super::ingest::{Ingested, ingest};
use super::keep;
use super::lint;
use super::modules::{self, Graph};
use super::objects::{Made, Objects};
use super::options::Options;
use super::parallel::parallel;
use super::problem::{Ignored, Kind, Problem, Severity};
use super::properties::{self, Decided, Facts};
use super::rules::{References, Rules};
use super::scan;
use super::secret::{self, Prefixes, Search};
use super::settle::{Named, Reading, settle};
use super::source::{ReadError, SourceFile};
use crate::asset::{AssetPath, Digest, ObjectKey};
use crate::manifest::{Entry, Manifest, ManifestError, ReleaseId};

/// Bytes of a document that are searched for secrets at a time.
const SEARCH_BYTES: usize = 64 * 1024;

/// The field that says what a page may load.
const POLICY: &str = "content-security-policy";

/// The release that a source tree makes, ready to be planned.
#[derive(Clone, Debug)]
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
    let mut space = space
        .keeping(stable(&scan.files, &options.rules))
        .under(policies(&scan.files, &options.rules));

    let read = read_all(&scan.files, &space, options, events);
    let mut problems = scan.problems;
    problems.extend(
        scan.files.iter().flat_map(|file| {
            lint::field_problems(&file.asset, &options.rules.for_path(&file.asset))
        }),
    );
    let mut readings = Vec::with_capacity(read.len());
    let (mut facts, mut told) = (BTreeMap::new(), Vec::new());
    for (file, read) in scan.files.iter().zip(read) {
        problems.extend(read.problems);
        readings.extend(read.reading);
        facts.extend((!read.facts.is_empty()).then(|| (file.asset.clone(), read.facts)));
        told.extend(read.modules.map(|modules| (file.asset.clone(), modules)));
    }
    let Ingested { hashed, logical, problems: doubtful } = ingest(source, &scan.files, &space);
    problems.extend(doubtful);
    let modules = Graph::new(told, &space, options.modules);
    let mut kept = BTreeSet::new();
    // Where a file could not be read, nothing is published anyway.
    if readings.len() == scan.files.len() {
        let known: BTreeSet<&AssetPath> = scan.files.iter().map(|file| &file.asset).collect();
        let (decided, unsure) =
            properties::decide(&facts, &|url| space.asset(url), &|asset| known.contains(asset));
        add_properties(&scan.files, &mut readings, &decided);
        problems.extend(unsure);
        space = space.with_properties(decided);
        modules.order(&scan.files, &mut readings);
        let rehashed;
        (kept, rehashed) = keep::keep(&hashed, &holds(&scan.files, &readings));
        problems.extend(rehashed);
    }
    problems = options.rules.judge(problems);
    if options.strict {
        let refused = problems.iter_mut().filter(|problem| problem.kind.is_strict());
        refused.for_each(|problem| problem.severity = Severity::Error);
    }
    let warnings = without_errors(problems)?;
    let settled =
        settle(&scan.files, &readings, &space, &kept, &modules).map_err(BuildError::Problems)?;
    refuse_shared_names(&scan.files, &settled)?;
    let (manifest, objects) =
        assemble(scan.files, readings, settled, (space, modules), &kept, &options.rules);
    let manifest = manifest.with_logical(logical);
    let release = manifest.release().map_err(BuildError::Manifest)?;
    Ok(Build { manifest, release, objects, warnings, ignored: scan.ignored })
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

    /// Keeps all bytes of the release in memory, so that the tree is not read
    /// again when they are sent: for small trees that go away, or are
    /// published again and again. Without it, no more is in memory than is
    /// under way.
    pub fn hold(self) -> Result<Self, ReadError> {
        Ok(Self { objects: self.objects.hold()?, ..self })
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

/// Adds what relative URLs in custom properties name to the references.
fn add_properties(files: &[SourceFile], readings: &mut [Reading], decided: &Decided) {
    for (file, reading) in files.iter().zip(readings) {
        let Some(named) = decided.get(&file.asset) else { continue };
        if let (Reading::Plain(output), Some(document)) = (&*reading, Document::of(&file.asset)) {
            let (source, assets, hold) = (output.b3, BTreeSet::new(), Hold::default());
            *reading = Reading::Document { document, source, assets, hold };
        }
        if let Reading::Document { assets, hold, .. } = reading {
            assets.extend(named.values().cloned());
            hold.needs.extend(named.values().cloned());
        }
    }
}

/// What ties each document to the names of others.
fn holds<'a>(
    files: &'a [SourceFile],
    readings: &'a [Reading],
) -> BTreeMap<&'a AssetPath, &'a Hold> {
    let hold = |(file, reading): (&'a SourceFile, &'a Reading)| match reading {
        Reading::Plain(_) => None,
        Reading::Document { hold, .. } => Some((&file.asset, hold)),
    };
    files.iter().zip(readings).filter_map(hold).collect()
}

/// Refuses two files with different bytes under one name: one that kept its own
/// can have that which another would get.
fn refuse_shared_names(files: &[SourceFile], settled: &[Named]) -> Result<(), BuildError> {
    let mut taken: BTreeMap<&ObjectKey, (&AssetPath, Digest)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, named) in files.iter().zip(settled) {
        let (path, b3) = (&file.asset, named.output.b3);
        let (first, same) = *taken.entry(&named.key).or_insert((path, b3));
        if same != b3 {
            let message = format!("would have the name of `{first}`, which has other bytes");
            problems.push(Problem::error(path, message));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(BuildError::Problems(problems)) }
}

/// The assets that keep their logical URLs.
fn stable(files: &[SourceFile], rules: &Rules) -> BTreeSet<AssetPath> {
    let assets = files.iter().map(|file| &file.asset);
    assets.filter(|asset| !rules.for_path(asset).fingerprint.value).cloned().collect()
}

/// The `Content-Security-Policy` that rules give to pages.
fn policies(files: &[SourceFile], rules: &Rules) -> BTreeMap<AssetPath, String> {
    let pages = files.iter().map(|file| &file.asset);
    let pages = pages.filter(|asset| Document::of(asset) == Some(Document::Html));
    let policy = |page: &AssetPath| {
        let headers = rules.for_path(page).headers;
        let mut policy = headers.into_iter().filter(|(name, _)| name.as_str() == POLICY);
        policy.next().map(|(_, policy)| (page.clone(), policy.value.to_string()))
    };
    pages.filter_map(policy).collect()
}

/// What kind of document a file is, if it is one: by its name, or by a rule.
fn document(file: &SourceFile, options: &Options) -> Option<Document> {
    let by_name = Document::of(&file.asset);
    match options.rules.for_path(&file.asset).references.value {
        Some(References::None) => None,
        Some(References::Json) => by_name.or(Some(Document::Json)),
        None => by_name,
    }
}

/// What reading a file came to.
struct Read {
    /// `None` if it cannot be read.
    reading: Option<Reading>,
    /// What it says of custom properties.
    facts: Facts,
    /// What it has to do with modules.
    modules: Option<modules::Facts>,
    problems: Vec<Problem>,
    bytes: u64,
}

/// Reads all files. A file that cannot be read has a problem instead of a reading.
fn read_all(
    files: &[SourceFile],
    space: &UrlSpace,
    options: &Options,
    events: &mut dyn FnMut(Event),
) -> Vec<Read> {
    let prefixes = Prefixes::known();
    let known: BTreeSet<&AssetPath> = files.iter().map(|file| &file.asset).collect();
    let (mut count, mut bytes) = (0, 0);
    let read = |file: &SourceFile| {
        let read = match document(file, options) {
            Some(document) if file.stamp.bytes <= DOCUMENT_BYTES_MAX => {
                read_document(file, document, space, &known, &prefixes)
            }
            Some(_) => read_plain(file, &prefixes).map(|mut read| {
                let message = format!("more than {DOCUMENT_BYTES_MAX} bytes: published unread");
                read.problems.push(Problem::warning(&file.asset, message).of(Kind::Unparsed));
                read
            }),
            None => read_plain(file, &prefixes),
        };
        read.unwrap_or_else(|error| Read {
            reading: None,
            facts: Facts::default(),
            modules: None,
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

fn read_plain(file: &SourceFile, prefixes: &Prefixes) -> Result<Read, ReadError> {
    let (mut hashes, mut search) = (Hashes::default(), prefixes.search());
    file.read(|chunk| {
        search.update(chunk);
        hashes.update(chunk);
    })?;
    Ok(Read {
        reading: Some(Reading::Plain(hashes.output())),
        facts: Facts::default(),
        modules: None,
        problems: secrets(&file.asset, search),
        bytes: file.stamp.bytes,
    })
}

fn read_document(
    file: &SourceFile,
    document: Document,
    space: &UrlSpace,
    known: &BTreeSet<&AssetPath>,
    prefixes: &Prefixes,
) -> Result<Read, ReadError> {
    let bytes = file.read_whole()?;
    let mut search = prefixes.search();
    bytes.chunks(SEARCH_BYTES).for_each(|chunk| search.update(chunk));
    let mut problems = secrets(&file.asset, search);
    let found = document.references(&file.asset, &bytes, space, known);
    let Found { assets, problems: more, facts, modules, hold } = found;
    problems.extend(more);
    let reading = Some(if assets.is_empty() {
        Reading::Plain(Output::of(&bytes))
    } else {
        Reading::Document { document, source: Digest::of(&bytes), assets, hold }
    });
    Ok(Read { reading, facts, modules, problems, bytes: file.stamp.bytes })
}

/// What a search found, as problems. What may be meant for browsers is told only.
fn secrets(path: &AssetPath, search: Search<'_>) -> Vec<Problem> {
    let problem = |secret::Found { secret, line, column }| {
        let message = format!("holds {}: {}", secret.what, lint::OR_ELSE);
        let problem = match secret.may_be_public {
            true => Problem::warning(path, message),
            false => Problem::error(path, message),
        };
        problem.of(Kind::Secret).at(line, column)
    };
    search.finish().into_iter().map(problem).collect()
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
    kept: &BTreeSet<AssetPath>,
    rules: &Rules,
) -> (Manifest, Objects) {
    let mut entries = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut made = BTreeMap::new();
    let mut integrity = BTreeMap::new();
    for ((file, reading), named) in files.into_iter().zip(readings).zip(settled) {
        let Named { key, output, in_circle, .. } = named;
        let (document, refs) = match reading {
            Reading::Plain(_) => (None, BTreeSet::new()),
            Reading::Document { assets, .. } if kept.contains(&file.asset) => (None, assets),
            Reading::Document { document, assets, .. } => (Some(document), assets),
        };
        let policy = rules.for_path(&file.asset);
        let entry = Entry {
            b3: output.b3,
            cache: policy.cache_control.value.to_owned(),
            headers: policy.entry_headers(),
            integrity: output.integrity.clone(),
            key: key.clone(),
            refs: modules.refs(&file.asset).unwrap_or(&refs).iter().cloned().collect(),
            size: output.size,
            stable: !policy.fingerprint.value,
            tags: policy.tags.value.iter().map(ToString::to_string).collect(),
            content_type: policy.content_type.value.into_owned(),
            variants: BTreeMap::new(),
        };
        names.insert(file.asset.clone(), key);
        entries.insert(file.asset.clone(), entry);
        if modules.is_mapped(&file.asset) {
            integrity.insert(file.asset.clone(), output.integrity.clone());
        }
        made.insert(file.asset.clone(), Made { file, document, output, in_circle });
    }
    let manifest = Manifest::new(entries).under(rules.digest());
    let objects = Objects {
        space: space.into(),
        names: names.into(),
        integrity: integrity.into(),
        modules: modules.into(),
        made: made.into(),
        coder: Coder::default(),
        held: None,
    };
    (manifest, objects)
}
