//! Finding secrets in what would be published, while it streams by.
//!
//! A secret is found by the prefix its issuer gave it and judged by what stands
//! around it. What was found is never repeated: reports are read by many.

mod judge;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use judge::{SHAPES, Shape};

pub(super) use judge::Secret;

/// Bytes behind a prefix that its judgement may look at.
const AHEAD_BYTES: usize = 768;

/// Bytes before a prefix that its judgement may look at.
const BEHIND_BYTES: usize = 512;

/// Most secrets that are told of one file.
const FOUND_MAX: usize = 8;

/// The prefixes of all secrets, ready to be looked for in many files.
#[derive(Debug)]
pub(super) struct Prefixes(AhoCorasick);

/// A search through one file.
#[derive(Debug)]
pub(super) struct Search<'a> {
    prefixes: &'a Prefixes,
    /// The last bytes that were seen: all that are not judged yet, and some before.
    window: Vec<u8>,
    /// Where in the window the first byte is that was not judged.
    judged: usize,
    /// The place of the window's first byte in the file.
    line: usize,
    column: usize,
    begun: bool,
    found: Vec<Found>,
}

/// A secret, and where it begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) secret: Secret,
    /// Line and column, both counted from 1, the column in bytes.
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Prefixes {
    /// All that are known.
    #[expect(clippy::expect_used, reason = "the patterns are constants, which every test builds")]
    pub(super) fn known() -> Self {
        let prefixes = SHAPES.iter().map(|shape| shape.prefix);
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(prefixes);
        Self(built.expect("a few short patterns make an automaton"))
    }

    /// Begins a search through a file.
    pub(super) fn search(&self) -> Search<'_> {
        Search {
            prefixes: self,
            window: Vec::new(),
            judged: 0,
            line: 1,
            column: 1,
            begun: false,
            found: Vec::new(),
        }
    }
}

impl Search<'_> {
    /// Looks at the next bytes of the file.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if self.found.len() >= FOUND_MAX {
            return;
        }
        self.window.extend_from_slice(bytes);
        // What may be a secret at the end is judged when more of it is there.
        self.judge_to(self.window.len().saturating_sub(AHEAD_BYTES));
        self.forget();
    }

    /// Ends the search.
    pub(super) fn finish(mut self) -> Vec<Found> {
        self.judge_to(self.window.len());
        self.found
    }

    fn judge_to(&mut self, end: usize) {
        if end <= self.judged {
            return;
        }
        if !self.begun {
            self.begun = true;
            self.add(judge::key_store(&self.window), 0);
        }
        let prefixes = self.prefixes;
        let mut hits = Vec::new();
        for hit in prefixes.0.find_iter(Input::new(&self.window).range(self.judged..)) {
            if hit.start() >= end {
                break;
            }
            let shape: Option<&Shape> = SHAPES.get(hit.pattern().as_usize());
            let secret = shape.and_then(|shape| shape.judge(&self.window, hit.start()));
            hits.push((secret, hit.start()));
        }
        hits.into_iter().for_each(|(secret, at)| self.add(secret, at));
        self.judged = end;
    }

    fn add(&mut self, secret: Option<Secret>, at: usize) {
        let Some(secret) = secret.filter(|_| self.found.len() < FOUND_MAX) else { return };
        let (line, column) = self.place_of(at);
        self.found.push(Found { secret, line, column });
    }

    /// Drops what no judgement will look at any more.
    fn forget(&mut self) {
        let gone = self.judged.saturating_sub(BEHIND_BYTES);
        (self.line, self.column) = self.place_of(gone);
        self.window.drain(..gone);
        self.judged -= gone;
    }

    fn place_of(&self, at: usize) -> (usize, usize) {
        let before = &self.window[..at];
        let lines = line_breaks(before);
        match before.iter().rposition(|b| *b == b'\n') {
            Some(last) => (self.line + lines, at - last),
            None => (self.line, self.column + at),
        }
    }
}

/// Line breaks in `bytes`, in pieces whose counts fit into a byte: that is what
/// processors add up sixteen or more at a time.
fn line_breaks(bytes: &[u8]) -> usize {
    let count = |piece: &[u8]| piece.iter().map(|b| u8::from(*b == b'\n')).sum::<u8>();
    bytes.chunks(usize::from(u8::MAX)).map(|piece| usize::from(count(piece))).sum()
}

#[cfg(test)]
mod tests;
