//! Naming objects: leaves first, circles together.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::Hold;
use super::document::{Document, Names, UrlSpace};
use super::graph::{self, Component};
use super::hash::Output;
use super::modules::Graph;
use super::parallel::parallel;
use super::problem::Problem;
use super::source::{ReadError, SourceFile};
use crate::asset::{AssetPath, Blake3, Digest, Fingerprint, ObjectKey};

/// What reading a file once tells.
#[derive(Debug)]
pub(super) enum Reading {
    /// It is published as it is.
    Plain(Output),
    /// It refers to these assets.
    Document { document: Document, source: Digest, assets: BTreeSet<AssetPath>, hold: Hold },
}

/// An object whose name and bytes are final.
#[derive(Debug)]
pub(super) struct Named {
    /// The place of its file in the list of files.
    place: usize,
    pub(super) key: ObjectKey,
    pub(super) output: Output,
    /// Whether it was named together with others.
    pub(super) in_circle: bool,
}

/// Names the object of every file, leaves first. The result has the order of
/// `files`. Those that are `kept` have their own names, and their bytes stay.
pub(super) fn settle(
    files: &[SourceFile],
    readings: &[Reading],
    space: &UrlSpace,
    kept: &BTreeSet<AssetPath>,
    modules: &Graph,
) -> Result<Vec<Named>, Vec<Problem>> {
    let mut settled: Vec<Named> = Vec::with_capacity(files.len());
    let (mut names, mut integrity) = (BTreeMap::new(), BTreeMap::new());
    let mut problems = Vec::new();
    for level in graph::levels(&references(files, readings, space, kept)) {
        let settling = Settling {
            files,
            readings,
            space,
            kept,
            modules,
            names: &names,
            integrity: &integrity,
        };
        let first = settled.len();
        for outcome in parallel(&level, |component| settling.component(component), |_| ()) {
            match outcome {
                Ok(members) => settled.extend(members),
                Err(problem) => problems.push(problem),
            }
        }
        for named in &settled[first..] {
            let asset = &files[named.place].asset;
            names.insert(asset.clone(), named.key.clone());
            if modules.is_mapped(asset) {
                integrity.insert(asset.clone(), named.output.integrity.clone());
            }
        }
    }
    settled.sort_by_key(|named| named.place);
    if problems.is_empty() { Ok(settled) } else { Err(problems) }
}

/// What each file refers to, by places in the list of files. What keeps its
/// URL is named without regard to who refers to it.
fn references(
    files: &[SourceFile],
    readings: &[Reading],
    space: &UrlSpace,
    kept: &BTreeSet<AssetPath>,
) -> Vec<Vec<usize>> {
    let places: BTreeMap<&AssetPath, usize> =
        files.iter().enumerate().map(|(place, file)| (&file.asset, place)).collect();
    let of = |(file, reading): (&SourceFile, &Reading)| match reading {
        Reading::Plain(_) => Vec::new(),
        // Its name depends on nothing any more.
        Reading::Document { .. } if kept.contains(&file.asset) => Vec::new(),
        Reading::Document { assets, .. } => {
            let renamed = assets.iter().filter(|asset| !space.keeps(asset));
            renamed.filter_map(|asset| places.get(asset).copied()).collect()
        }
    };
    files.iter().zip(readings).map(of).collect()
}

/// Names the components of one level; those below have their names.
struct Settling<'a> {
    files: &'a [SourceFile],
    readings: &'a [Reading],
    space: &'a UrlSpace,
    kept: &'a BTreeSet<AssetPath>,
    modules: &'a Graph,
    names: &'a BTreeMap<AssetPath, ObjectKey>,
    integrity: &'a BTreeMap<AssetPath, String>,
}

impl Settling<'_> {
    fn component(&self, component: &Component) -> Result<Vec<Named>, Problem> {
        let members = if component.cyclic { self.cycle(component)? } else { BTreeMap::new() };
        component.members.iter().map(|place| self.named(*place, &members)).collect()
    }

    fn named(
        &self,
        place: usize,
        members: &BTreeMap<AssetPath, ObjectKey>,
    ) -> Result<Named, Problem> {
        let path = &self.files[place].asset;
        let output = match &self.readings[place] {
            Reading::Plain(output) => output.clone(),
            Reading::Document { .. } => Output::of(&self.replaced(place, members)?),
        };
        let key = match members.get(path) {
            Some(key) => key.clone(),
            None if self.kept.contains(path) => ObjectKey::of_public_name(path),
            None => ObjectKey::for_asset(path, &output.b3.fingerprint()),
        };
        Ok(Named { place, key, output, in_circle: !members.is_empty() })
    }

    /// The names of assets that refer to each other.
    ///
    /// No member's final bytes can be hashed before the others' names are
    /// known. So all are hashed together, in the order of their paths, with
    /// the same placeholder for the fingerprint in every reference between
    /// them; each name is then a digest of that and of the member's path.
    /// The placeholder stands in a whole URL, so another public URL, which
    /// makes other bytes, makes other names as well.
    fn cycle(&self, component: &Component) -> Result<BTreeMap<AssetPath, ObjectKey>, Problem> {
        let placeholder = Digest::of(b"").fingerprint();
        let named = |fingerprint: &dyn Fn(&AssetPath) -> Fingerprint| {
            let paths = component.members.iter().map(|member| &self.files[*member].asset);
            paths
                .map(|path| (path.clone(), ObjectKey::for_asset(path, &fingerprint(path))))
                .collect::<BTreeMap<_, _>>()
        };
        let placeholders = named(&|_| placeholder.clone());
        let mut together = Blake3::default();
        for member in &component.members {
            add_framed(&mut together, self.files[*member].asset.as_str().as_bytes());
            add_framed(&mut together, &self.replaced(*member, &placeholders)?);
        }
        let together = together.digest();
        Ok(named(&|path| {
            let mut own = Blake3::default();
            own.update(together.as_bytes());
            own.update(path.as_str().as_bytes());
            own.digest().fingerprint()
        }))
    }

    /// The bytes of a document with the names known so far and those of `members`.
    fn replaced(
        &self,
        member: usize,
        members: &BTreeMap<AssetPath, ObjectKey>,
    ) -> Result<Vec<u8>, Problem> {
        let file = &self.files[member];
        let bytes = file.read_whole().map_err(|error| Problem::unreadable(&file.asset, &error))?;
        let Reading::Document { document, source, .. } = &self.readings[member] else {
            return Ok(bytes);
        };
        if Digest::of(&bytes) != *source {
            return Err(Problem::unreadable(&file.asset, &ReadError::Changed));
        }
        if self.kept.contains(&file.asset) {
            return Ok(bytes);
        }
        let names = Names {
            members,
            settled: self.names,
            integrity: self.integrity,
            modules: self.modules,
            in_circle: !members.is_empty(),
        };
        Ok(document.replace(&file.asset, &bytes, self.space, names))
    }
}

/// Adds `bytes` behind their length, so that two parts never read as one.
fn add_framed(hasher: &mut Blake3, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
