//! Everything that is printed: data on standard output, the rest on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

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
    pub(crate) fn data(self, text: impl Display, value: &impl Serialize) {
        if self.json {
            self.json(value);
        } else {
            self.line(text);
        }
    }

    /// Prints one line of data.
    pub(crate) fn line(self, text: impl Display) {
        // A reader that went away is a normal end, and nothing else can be told.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Prints one JSON document on a line of its own.
    pub(crate) fn json(self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.warning(format_args!("cannot print JSON: {error}")),
        }
    }

    /// Prints bytes of data as they are.
    pub(crate) fn bytes(self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// Tells a person something.
    pub(crate) fn note(self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells a person that something deserves attention.
    pub(crate) fn warning(self, text: impl Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// Prints an error and what caused it.
    pub(crate) fn error(self, error: &anyhow::Error) {
        self.note(format_args!("error: {error}"));
        for cause in error.chain().skip(1) {
            self.note(format_args!("  caused by: {cause}"));
        }
    }
}
