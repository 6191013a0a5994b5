//! What a build tool already named by content, from the manifest that it wrote
//! into the tree.
//!
//! Such a file keeps its name, for hashing a name twice helps nobody. Nothing is
//! taken for hashed by the look of its name alone, nor by the word of a manifest
//! alone: tools list files with plain names as well.

mod forms;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::document::UrlSpace;
use super::problem::Problem;
use super::source::SourceFile;
use crate::asset::{AssetPath, may_be_hashed};
use crate::manifest::{Chunk, Logical};
use crate::semantics::encoding::Coding;
use forms::{Output, ViteChunk, Written};

/// Largest manifest of a tool that is read, in bytes.
const MANIFEST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Manifests that are read of one tree.
const MANIFESTS_MAX: usize = 1000;

/// Longest name beside the paths of assets, in bytes.
const NAME_BYTES_MAX: usize = 900;

/// Names of tools' manifests, besides those that begin with [`SPROCKETS`].
const NAMES: [&str; 6] = [
    ".manifest.json",
    "assets-manifest.json",
    "entrypoints.json",
    "manifest.json",
    "mix-manifest.json",
    "staticfiles.json",
];

const SPROCKETS: &str = ".sprockets-manifest-";

/// Where Vite puts its manifest.
const VITE: &str = ".vite";

/// What the manifests in a tree say of its files.
#[derive(Debug, Default)]
pub(super) struct Ingested {
    /// Files that a build named by their content.
    pub(super) hashed: BTreeSet<AssetPath>,
    /// What the build calls its files.
    pub(super) logical: Logical,
    /// Names that two manifests give to different files.
    pub(super) problems: Vec<Problem>,
}

/// Reads the manifests beside the files of the tree at `root`, whether they are
/// published themselves or not. One that cannot be read says nothing: then its
/// files are fingerprinted like any other.
pub(super) fn ingest(root: &Path, files: &[SourceFile], space: &UrlSpace) -> Ingested {
    let known: BTreeSet<&AssetPath> = files.iter().map(|file| &file.asset).collect();
    let directories: BTreeSet<&str> =
        files.iter().map(|file| file.asset.dir()).chain([""]).collect();
    let manifests = directories.into_iter().flat_map(|dir| {
        let manifests = manifests(&root.join(dir)).into_iter();
        manifests.filter_map(move |manifest| Some((dir, read(&manifest)?)))
    });
    let mut ingesting = Ingesting { known, space, names: BTreeMap::new(), of: Ingested::default() };
    for (dir, bytes) in manifests.take(MANIFESTS_MAX) {
        if let Some(written) = forms::read(&bytes) {
            ingesting.take(dir, written);
        }
    }
    ingesting.end()
}

/// The manifests that lie in a directory, in the order of their names.
fn manifests(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let sprockets = name.starts_with(SPROCKETS) && name.ends_with(".json");
            (sprockets || NAMES.contains(&&*name)).then(|| dir.join(name))
        })
        .collect();
    found.sort();
    // Vite's own is the newer one where both places have one.
    found.insert(0, dir.join(VITE).join("manifest.json"));
    found
}

/// The bytes of a regular file within bounds; links and pipes are none.
fn read(path: &Path) -> Option<Vec<u8>> {
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MANIFEST_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

struct Ingesting<'a> {
    known: BTreeSet<&'a AssetPath>,
    space: &'a UrlSpace,
    /// The files that each name was given to.
    names: BTreeMap<String, BTreeSet<AssetPath>>,
    of: Ingested,
}

impl Ingesting<'_> {
    fn take(&mut self, dir: &str, Written { outputs, chunks }: Written) {
        for Output { logical, file } in outputs {
            let Some(asset) = self.place(dir, &file) else { continue };
            let plain = logical.as_deref().is_some_and(|logical| same_stem(logical, &asset));
            let called = |chunk: &ViteChunk| {
                chunk.file == file && chunk.name.as_deref() == Some(asset.split_extension().0)
            };
            let plain = plain || logical.as_ref().and_then(|it| chunks.get(it)).is_some_and(called);
            if !plain && may_be_hashed(&asset) && !is_called_like_a_variant(&asset) {
                self.of.hashed.insert(asset.clone());
            }
            if let Some(logical) = logical.filter(|logical| self.is_name(logical)) {
                self.names.entry(logical).or_default().insert(asset);
            }
        }
        for (key, chunk) in chunks {
            if let Some(chunk) = self.chunk(dir, chunk) {
                self.of.logical.chunks.entry(key).or_insert(chunk);
            }
        }
    }

    /// A name that is given twice means neither.
    fn end(mut self) -> Ingested {
        for (name, assets) in std::mem::take(&mut self.names) {
            let mut assets = assets.into_iter();
            match (assets.next(), assets.next()) {
                (Some(one), None) => {
                    self.of.logical.aliases.insert(name, one);
                }
                (Some(one), Some(other)) => {
                    let message = format!(
                        "a manifest calls `{one}` and another `{other}` by the name `{}`: \
                         it resolves to neither",
                        name.escape_debug()
                    );
                    self.of
                        .problems
                        .push(Problem::warning(&one, message).of(super::Kind::Rehashed));
                }
                _ => {}
            }
        }
        self.of
    }

    fn chunk(&self, dir: &str, chunk: ViteChunk) -> Option<Chunk> {
        let places = |files: &[String]| {
            files.iter().filter_map(|it| self.place(dir, it)).collect::<Vec<_>>()
        };
        // A script that is no chunk has its path for a key.
        let scripts = places(&chunk.scripts).into_iter().map(String::from);
        Some(Chunk {
            assets: places(&chunk.assets),
            css: places(&chunk.css),
            dynamic_imports: chunk.dynamic_imports,
            file: self.place(dir, &chunk.file)?,
            imports: chunk.imports.into_iter().chain(scripts).collect(),
            is_dynamic_entry: chunk.is_dynamic_entry,
            is_entry: chunk.is_entry,
            name: chunk.name,
            src: chunk.src,
        })
    }

    /// The published file that a manifest in `dir` means. What it writes may be
    /// relative to itself, a path of the site, or a whole URL with a path of its own.
    fn place(&self, dir: &str, file: &str) -> Option<AssetPath> {
        let file = file.split(['?', '#']).next()?;
        let known = |asset: &AssetPath| self.known.contains(asset);
        let below = |path: &str| AssetPath::parse(&format!("{dir}{path}")).ok().filter(known);
        let path = match file.split_once("//") {
            Some((_, rest)) => rest.split_once('/')?.1,
            None => file.trim_start_matches('/'),
        };
        let of_site = || self.space.asset_at(&format!("/{path}")).filter(known);
        let shorter = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
        below(path).or_else(of_site).or_else(|| shorter.into_iter().find_map(below))
    }

    /// Whether `text` can be a name beside the paths of assets.
    fn is_name(&self, text: &str) -> bool {
        let plain =
            (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        plain && AssetPath::parse(text).map_or(true, |path| !self.known.contains(&path))
    }
}

/// Whether a file has a name that a variant of another may have: under its own, it
/// could be overwritten by a release that makes that variant.
fn is_called_like_a_variant(asset: &AssetPath) -> bool {
    Coding::ALL.iter().any(|coding| asset.file_name().ends_with(coding.suffix()))
}

/// Whether a file has the stem of its logical name, so that it has no hash.
fn same_stem(logical: &str, asset: &AssetPath) -> bool {
    let name = logical.rsplit('/').next().unwrap_or(logical);
    let stem = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let extensions = |name: &str| name.matches('.').count();
    stem(name) == stem(asset.file_name()) && extensions(name) >= extensions(asset.file_name())
}

#[cfg(test)]
mod tests;
