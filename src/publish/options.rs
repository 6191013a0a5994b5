//! What a publish is told: where to, under which URLs, and how strictly.

use std::num::NonZeroU64;
use std::time::SystemTime;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use tokio::time::Instant;

use super::modules::Modules;
use super::rules::Rules;
use crate::manifest::Channel;
use crate::rewrite::{Mount, PublicBase};

/// Objects that are uploaded at the same time, unless told otherwise.
pub const CONCURRENCY_DEFAULT: usize = 32;

/// Bytes of bodies that are in memory during an upload, unless told otherwise.
pub const UPLOAD_BYTES_DEFAULT: usize = 128 * 1024 * 1024;

/// Objects of more bytes are sent in parts, unless told otherwise.
pub const MULTIPART_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// Bytes of a part, unless told otherwise.
pub const PART_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;

/// How to publish.
#[derive(Clone, Debug)]
pub struct Options {
    /// The channel that is switched to the release.
    pub channel: Channel,
    /// Where the tree stands in the URL space of the site.
    pub mount: Mount,
    /// What references become where another origin may be named.
    pub public: PublicBase,
    /// What references become where only the page's own origin works.
    pub same_origin: PublicBase,
    /// How modules find each other under fingerprinted names.
    pub modules: Modules,
    /// Files that are left out.
    pub ignore: Ignore,
    /// What is done with each file.
    pub rules: Rules,
    /// Whether references that name no asset, and documents that cannot be
    /// read, are refused instead of reported. A missing source map never is.
    pub strict: bool,
    /// Whether more than half of the channel's files or bytes may go.
    pub allow_shrink: bool,
    /// Whether assets are published in content codings as well.
    pub compress: bool,
    /// The publisher's own order, such as a build number; 0 when there is none.
    pub order: u64,
    /// When the channel ends and may be collected; `None` for one that stays.
    pub expires: Option<SystemTime>,
    /// Most objects, or parts of them, that are uploaded at the same time; 0
    /// counts as 1. While the store asks to slow down, fewer are.
    pub concurrency: usize,
    /// Most bytes of bodies in memory during an upload. An object or part of
    /// more is uploaded while no other is.
    pub upload_bytes: usize,
    /// Objects of more bytes are sent in parts, if they are copies of their
    /// files. What is sent in one piece is held in memory, so no more than a
    /// few hundred MiB make sense; the store's limit is 5 GB.
    pub multipart_bytes: u64,
    /// Bytes of a part: at least 5 MiB, and at most 1 GiB, as parts are sent
    /// from memory. An object that would have more than 10,000 parts gets
    /// parts of a multiple of this.
    pub part_bytes: u64,
    /// Most bytes that are sent in a second, on average; `None` is no limit.
    pub bandwidth: Option<NonZeroU64>,
    /// When to stop if the release is not stored by then. An activation that
    /// has begun is finished.
    pub deadline: Option<Instant>,
    /// Whether to use conditional writes where the store has them.
    pub conditional_writes: ConditionalWrites,
}

/// Whether an activation uses conditional writes.
///
/// It is safe without them. With them, a publisher never overwrites a head
/// that it has not seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ConditionalWrites {
    /// None is ever sent: B2 answers 501 to them, and finding out costs calls.
    #[default]
    Never,
    /// The store is tried out right before an activation, at one or two calls.
    Probe,
}

impl Options {
    /// The defaults: mounted at `/`, nothing ignored, references that name no
    /// asset reported, a shrink refused, assets compressed.
    pub fn new(channel: Channel, public: PublicBase, same_origin: PublicBase) -> Self {
        Self {
            channel,
            mount: Mount::at("/"),
            public,
            same_origin,
            modules: Modules::default(),
            ignore: Ignore::default(),
            rules: Rules::default(),
            strict: false,
            allow_shrink: false,
            compress: true,
            order: 0,
            expires: None,
            concurrency: CONCURRENCY_DEFAULT,
            upload_bytes: UPLOAD_BYTES_DEFAULT,
            multipart_bytes: MULTIPART_BYTES_DEFAULT,
            part_bytes: PART_BYTES_DEFAULT,
            bandwidth: None,
            deadline: None,
            conditional_writes: ConditionalWrites::default(),
        }
    }

    /// Whether the deadline has passed.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// Patterns of paths that are not published.
///
/// As in `.gitignore` files `*` stops at a `/` and `**` does not, but a
/// pattern is always matched against the whole path: `**/*.psd`, `drafts/**`.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    globs: Vec<Glob>,
    set: GlobSet,
}

/// A pattern that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{glob}` is not a pattern of paths")]
pub struct IgnoreError {
    glob: String,
    #[source]
    source: globset::Error,
}

impl Ignore {
    /// Reads patterns.
    pub fn parse<S: AsRef<str>>(globs: &[S]) -> Result<Self, IgnoreError> {
        let globs: Vec<Glob> =
            globs.iter().map(|text| parse_glob(text.as_ref())).collect::<Result<_, _>>()?;
        let mut set = GlobSetBuilder::new();
        for glob in &globs {
            set.add(glob.clone());
        }
        let set = set.build().map_err(IgnoreError::of_set)?;
        Ok(Self { globs, set })
    }

    /// The patterns, as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.globs.iter().map(Glob::glob)
    }

    /// The first pattern that `path` matches.
    pub(super) fn matching(&self, path: &str) -> Option<&str> {
        let first = self.set.matches(path).into_iter().min()?;
        Some(self.globs.get(first)?.glob())
    }
}

impl IgnoreError {
    /// Patterns that are right each, and too much together.
    pub(super) fn of_set(source: globset::Error) -> Self {
        Self { glob: source.glob().unwrap_or_default().to_owned(), source }
    }
}

pub(super) fn parse_glob(text: &str) -> Result<Glob, IgnoreError> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(|source| IgnoreError { glob: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_path() {
        let ignore = Ignore::parse(&["**/*.psd", "drafts/**", "*.md"]).unwrap();
        assert_eq!(ignore.matching("img/hero.psd"), Some("**/*.psd"));
        assert_eq!(ignore.matching("hero.psd"), Some("**/*.psd"));
        assert_eq!(ignore.matching("drafts/a/b.html"), Some("drafts/**"));
        assert_eq!(ignore.matching("README.md"), Some("*.md"));
        for published in ["docs/README.md", "drafts.html", "img/psd.png"] {
            assert_eq!(ignore.matching(published), None, "{published}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Ignore::parse(&["ok/*", "a[b"]).unwrap_err();
        assert_eq!(error.to_string(), "`a[b` is not a pattern of paths");
    }
}
