//! What was done to a document, and what was left alone for which reason.

use std::collections::BTreeMap;

/// What was done to a document.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// References that were replaced.
    pub rewritten: usize,
    /// What was left alone although it is ours, or could not be looked at.
    pub skipped: BTreeMap<Reason, usize>,
    /// Where the first of these stands in the document, in bytes, as far as
    /// that is known.
    pub places: BTreeMap<Reason, usize>,
}

/// Why a reference, or a part of a document, was left alone.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// The resolver's answer holds a character that is not safe everywhere.
    Alphabet,
    /// The answer is a path, and the document's `<base>` is of another origin.
    Base,
    /// The content of an element is longer than [`Limits`](super::Limits) allow.
    Capture,
    /// The document is in a charset that cannot be spliced.
    Charset,
    /// A value holds an entity that only the document's own type definition explains.
    Entity,
    /// The element sends credentials, which a fingerprinted asset cannot allow.
    Credentials,
    /// The bytes are pinned by an `integrity` that other bytes would not match.
    Integrity,
    /// The tokenizer would need more memory than [`Limits`](super::Limits) allow.
    Memory,
    /// The Content-Security-Policy may pin the inline content by a hash, or
    /// would not let the new URL load.
    Policy,
    /// A relative URL in a custom property: who uses it decides what it names.
    Property,
    /// The query holds more than cache busters.
    Query,
    /// The fragment was written with entities or escapes that cannot be kept.
    Suffix,
    /// The content is not well-formed.
    Syntax,
}

impl Summary {
    /// Counts one thing that was left alone.
    pub fn skip(&mut self, reason: Reason) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// Counts one thing that was left alone at `offset` of the document.
    pub fn skip_at(&mut self, reason: Reason, offset: usize) {
        self.skip(reason);
        self.places.entry(reason).or_insert(offset);
    }

    /// Takes over what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.rewritten += other.rewritten;
        for (reason, count) in other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        for (reason, offset) in other.places {
            self.places.entry(reason).or_insert(offset);
        }
    }
}

impl Reason {
    /// The name under which metrics and messages know the reason.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alphabet => "alphabet",
            Self::Base => "base",
            Self::Capture => "capture",
            Self::Charset => "charset",
            Self::Credentials => "credentials",
            Self::Entity => "entity",
            Self::Integrity => "integrity",
            Self::Memory => "memory",
            Self::Policy => "policy",
            Self::Property => "property",
            Self::Query => "query",
            Self::Suffix => "suffix",
            Self::Syntax => "syntax",
        }
    }
}
