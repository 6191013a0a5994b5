//! What a publish cost and saved, as its summary tells it.

use std::fmt;

use awning::manifest::{Entry, Manifest};
use awning::store::Calls;
use indicatif::HumanBytes;
use serde::Serialize;

/// Figures besides those of the upload.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Objects of the release that are a coding of another.
    pub(crate) variants: usize,
    /// Bytes that a visitor who takes every coding is spared, each asset once.
    pub(crate) variant_bytes_saved: u64,
    /// Calls to the store by B2's transaction classes.
    pub(crate) calls: Calls,
    /// Requests that the client of the store sent again on its own.
    pub(crate) retries: u64,
}

impl Figures {
    /// What is known of a release before anything is spent.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self {
            variants: manifest.iter().map(|(_, entry)| entry.variants.len()).sum(),
            variant_bytes_saved: manifest.iter().map(|(_, entry)| saved(entry)).sum(),
            ..Self::default()
        }
    }
}

fn saved(entry: &Entry) -> u64 {
    let smallest = entry.variants.values().map(|variant| variant.size).min();
    smallest.map_or(0, |smallest| entry.size.saturating_sub(smallest))
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variants, variant_bytes_saved, calls, retries } = self;
        if *variants > 0 {
            write!(f, "; {variants} variants save {}", HumanBytes(*variant_bytes_saved))?;
        }
        write!(f, "; calls: {} A, {} B, {} C", calls.a, calls.b, calls.c)?;
        if *retries > 0 {
            write!(f, ", {retries} of them sent again")?;
        }
        Ok(())
    }
}
