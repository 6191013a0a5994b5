//! Listing the source tree: which files are published, and which cannot be.
//!
//! Nothing is opened here, so a pipe or a device cannot block. Symbolic links
//! are followed only to what is published as well.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::lint;
use super::options::Ignore;
use super::problem::{Ignored, Problem};
use super::source::{SourceFile, Stamp};
use crate::asset::AssetPath;

/// Names that are never published, wherever they are.
const IGNORED_ANYWHERE: &[&str] = &[".DS_Store", ".git", ".hg", ".svn", "Thumbs.db"];

/// Names that are never published when they lie at the root: awning's own.
const IGNORED_AT_ROOT: &[&str] = &[".awning", "awning.toml"];

/// Bounds of a source tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most files. A manifest holds about as many.
    pub(super) files: usize,
    /// Most bytes of one file: as many as go into the parts of an upload while
    /// those stay as small as they are by default, for parts are sent from memory.
    pub(super) file_bytes: u64,
}

/// The limits of every publish: 200,000 files of up to 128 GiB.
pub(super) const LIMITS: Limits = Limits { files: 200_000, file_bytes: 128 * 1024 * 1024 * 1024 };

/// What a source tree holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Files to publish, in the order of their paths.
    pub(super) files: Vec<SourceFile>,
    /// What was left out.
    pub(super) ignored: Vec<Ignored>,
    /// What cannot be published.
    pub(super) problems: Vec<Problem>,
}

/// Lists the tree at `source`, which must be a directory.
pub(super) fn scan(source: &Path, ignore: &Ignore, limits: Limits) -> io::Result<Scan> {
    let root = fs::canonicalize(source)?;
    if !root.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let mut walk = Walk { root, ignore, limits, scan: Scan::default() };
    walk.run();
    let mut scan = walk.scan;
    scan.files.sort_by(|one, other| one.asset.cmp(&other.asset));
    scan.problems.extend(lint::clashes(scan.files.iter().map(|file| &file.asset)));
    if scan.files.is_empty() && scan.problems.is_empty() {
        scan.problems.push(Problem::error(".", "there is nothing to publish"));
    }
    Ok(scan)
}

struct Walk<'a> {
    root: PathBuf,
    ignore: &'a Ignore,
    limits: Limits,
    scan: Scan,
}

impl Walk<'_> {
    fn run(&mut self) {
        let mut entries = WalkDir::new(&self.root)
            .min_depth(1)
            .follow_links(true)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Err(error) => self.unreadable(&error),
                Ok(entry) => {
                    let is_dir = entry.file_type().is_dir();
                    if !self.visit(&entry, is_dir) && is_dir {
                        entries.skip_current_dir();
                    }
                }
            }
            if self.scan.files.len() > self.limits.files {
                let message = format!("the tree has more than {} files", self.limits.files);
                self.problem(".", message);
                return;
            }
        }
    }

    /// Takes a file, or says whether a directory is entered.
    fn visit(&mut self, entry: &DirEntry, is_dir: bool) -> bool {
        let Some(path) = self.relative(entry.path()) else {
            let shown = self.shown(entry.path());
            self.problem(shown, "the name is not UTF-8");
            return false;
        };
        if let Some(rule) = rule_for(&path, self.ignore) {
            let path = if is_dir { format!("{path}/") } else { path };
            self.scan.ignored.push(Ignored { path, rule });
            return false;
        }
        if entry.path_is_symlink()
            && let Err(message) = self.check_target(entry.path())
        {
            self.problem(path, message);
            return false;
        }
        if is_dir {
            return true;
        }
        if let Err(message) = self.take(entry, &path) {
            self.problem(path, message);
        }
        false
    }

    fn take(&mut self, entry: &DirEntry, path: &str) -> Result<(), String> {
        if !entry.file_type().is_file() {
            return Err("neither a file nor a directory: pipes, sockets and devices \
                        are not published"
                .to_owned());
        }
        let asset = AssetPath::parse(path).map_err(|error| error.to_string())?;
        let metadata = entry.metadata().map_err(|error| error.to_string())?;
        let stamp = Stamp::of(&metadata);
        if stamp.bytes > self.limits.file_bytes {
            let most = self.limits.file_bytes;
            return Err(format!("the file has {} bytes, more than {most}", stamp.bytes));
        }
        self.scan.problems.extend(lint::name_problems(&asset));
        self.scan.files.push(SourceFile { asset, file: entry.path().to_owned(), stamp });
        Ok(())
    }

    /// Refuses a link to anything that would not be published under its own name.
    fn check_target(&self, link: &Path) -> Result<(), String> {
        let target = fs::canonicalize(link).map_err(|error| format!("the link fails: {error}"))?;
        if target == self.root {
            return Err("the link leads back to the root of the tree".to_owned());
        }
        let Ok(inside) = target.strip_prefix(&self.root) else {
            return Err("the link leads out of the tree".to_owned());
        };
        let names: Vec<_> = inside.iter().map(|name| name.to_string_lossy()).collect();
        let hidden = names.iter().enumerate().any(|(depth, name)| built_in(name, depth).is_some());
        if hidden {
            return Err("the link leads to what is never published".to_owned());
        }
        match names.last().and_then(|name| lint::secret_name(name)) {
            Some(message) => Err(format!("the link leads to a secret: {message}")),
            None => Ok(()),
        }
    }

    fn unreadable(&mut self, error: &walkdir::Error) {
        let path = error.path().map_or_else(|| ".".to_owned(), |path| self.shown(path));
        let message = match (error.loop_ancestor(), error.io_error()) {
            (Some(_), _) => "the link leads back to a directory that holds it".to_owned(),
            (None, Some(cause)) => format!("cannot be read: {cause}"),
            (None, None) => "cannot be read".to_owned(),
        };
        self.problem(path, message);
    }

    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.scan.problems.push(Problem::error(path.into(), message.into()));
    }

    /// The path below the root with `/` between its segments, if it is UTF-8.
    fn relative(&self, path: &Path) -> Option<String> {
        let inside = path.strip_prefix(&self.root).ok()?;
        let names: Option<Vec<_>> = inside.iter().map(|name| name.to_str()).collect();
        Some(names?.join("/"))
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// What leaves `path` out of a release: a rule about it, or about a directory
/// that holds it.
pub fn ignored(path: &AssetPath, ignore: &Ignore) -> Option<Ignored> {
    let path = path.as_str();
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).find_map(|part| {
        let slash = if part.len() < path.len() { "/" } else { "" };
        Some(Ignored { path: format!("{part}{slash}"), rule: rule_for(part, ignore)? })
    })
}

/// The rule that leaves `path` itself out, if one does.
fn rule_for(path: &str, ignore: &Ignore) -> Option<String> {
    let depth = path.matches('/').count();
    let name = path.rsplit('/').next().unwrap_or(path);
    if let Some(name) = built_in(name, depth) {
        return Some(format!("built-in: {name}"));
    }
    ignore.matching(path).map(str::to_owned)
}

/// The built-in rule that leaves out what has this name at this depth.
fn built_in(name: &str, depth: usize) -> Option<&'static str> {
    let at_root = IGNORED_AT_ROOT.iter().filter(|_| depth == 0);
    IGNORED_ANYWHERE.iter().chain(at_root).find(|known| **known == name).copied()
}

#[cfg(test)]
mod tests;
