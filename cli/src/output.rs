//! Everything that is printed: data on standard output, the rest on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::failure::Failure;

/// Data could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct Unprinted(#[from] io::Error);

/// Where a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Prints JSON as data when `json` is set.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether data is JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person watches standard error, so that a bar may move there.
    pub(crate) fn is_watched(self) -> bool {
        io::stderr().is_terminal()
    }

    /// Prints data: `text`, or `value` where JSON was asked for.
    pub(crate) fn data(self, text: impl Display, value: &impl Serialize) -> Result<(), Unprinted> {
        if self.json { self.json(value) } else { self.line(text) }
    }

    /// Prints one line of data.
    pub(crate) fn line(self, text: impl Display) -> Result<(), Unprinted> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Prints one JSON document on a line of its own.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), Unprinted> {
        self.line(serde_json::to_string(value).map_err(io::Error::from)?)
    }

    /// Prints bytes of data as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Unprinted> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            // A reader that went away has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            // Anything else, such as a full disk, leaves it with half of the data.
            outcome => Ok(outcome?),
        }
    }

    /// Tells a person something.
    pub(crate) fn note(self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells a person that something deserves attention.
    pub(crate) fn warning(self, text: impl Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// Prints the error that ends a command: where data is JSON, as data too,
    /// so that a program always has a document to read.
    pub(crate) fn failure(self, error: &anyhow::Error) {
        self.error(error);
        if self.json {
            // Standard error has it already.
            let _ = self.json(&Failure::of(error));
        }
    }

    /// Prints an error and what caused it.
    pub(crate) fn error(self, error: &anyhow::Error) {
        self.note(format_args!("error: {error}"));
        for cause in error.chain().skip(1) {
            self.note(format_args!("  caused by: {cause}"));
        }
    }
}
