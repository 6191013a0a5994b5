//! What an upload came to, object by object.

use super::super::error::PublishError;
use crate::store::StoreError;

/// Objects that were stored, and failures.
#[derive(Default)]
pub(super) struct Outcome {
    stored: (usize, u64),
    failed: Vec<(String, StoreError)>,
    /// A failure that is not the store's.
    fatal: Option<PublishError>,
    /// The deadline passed.
    late: bool,
}

/// Why an object was not stored.
pub(super) enum Failure {
    /// The store failed on this key.
    Store(String, StoreError),
    /// The publish cannot go on at all.
    Fatal(PublishError),
    /// Another object failed first.
    Stopped,
}

impl Outcome {
    /// Objects that were stored, and their bytes.
    pub(super) fn stored(&self) -> (usize, u64) {
        self.stored
    }

    pub(super) fn add_stored(&mut self, size: u64) {
        self.stored.0 += 1;
        self.stored.1 += size;
    }

    pub(super) fn add_failure(&mut self, failure: Failure) {
        match failure {
            Failure::Store(key, error) => self.failed.push((key, error)),
            Failure::Fatal(error) => {
                self.fatal.get_or_insert(error);
            }
            Failure::Stopped => {}
        }
    }

    /// The deadline passed, and what was under way was given up.
    pub(super) fn into_late(self) -> Self {
        Self { late: true, ..self }
    }

    /// Counts of what was stored, if that is all that was planned.
    pub(super) fn into_result(self, planned: usize) -> Result<(usize, u64), PublishError> {
        if let Some(error) = self.fatal {
            return Err(error);
        }
        let stored = self.stored.0;
        if !self.failed.is_empty() {
            let unsent = planned - stored - self.failed.len();
            return Err(PublishError::Incomplete { stored, unsent, failed: self.failed });
        }
        if self.late {
            return Err(PublishError::Late { stored, unsent: planned - stored });
        }
        Ok(self.stored)
    }
}
