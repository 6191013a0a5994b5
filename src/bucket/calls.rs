//! Counts of the calls that clients made, by operation and B2 class.
//!
//! Backblaze bills and caps by class, so "how many calls does a publish cost"
//! is a question tests and people ask the bucket.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};

/// A B2 transaction class.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Class {
    /// Writing and deleting.
    A,
    /// Reading an object or what is known of it.
    B,
    /// Listing, copying, and everything about buckets.
    C,
}

/// How many calls were made since the bucket was opened.
///
/// A call counts whatever it was answered with. Requests that never became a
/// call, such as those with a wrong signature, are [`Calls::refused`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Calls {
    operations: BTreeMap<String, u64>,
    refused: u64,
}

/// Counts as they grow. Holds one entry for each operation of S3 at most.
#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Calls>);

impl Class {
    /// The class of an S3 operation.
    pub fn of(operation: &str) -> Self {
        match operation {
            "AbortMultipartUpload"
            | "CompleteMultipartUpload"
            | "CreateMultipartUpload"
            | "DeleteObject"
            | "DeleteObjects"
            | "PutObject"
            | "UploadPart" => Class::A,
            "GetObject" | "HeadObject" => Class::B,
            _ => Class::C,
        }
    }
}

impl Calls {
    /// Calls of one operation, by its S3 name: `calls.of("GetObject")`.
    pub fn of(&self, operation: &str) -> u64 {
        self.operations.get(operation).copied().unwrap_or_default()
    }

    /// Calls of one class.
    pub fn class(&self, class: Class) -> u64 {
        self.iter().filter(|(_, of, _)| *of == class).map(|(.., count)| count).sum()
    }

    /// Calls of all classes.
    pub fn total(&self) -> u64 {
        self.operations.values().sum()
    }

    /// Requests that never became a call.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Operations in the order of their names, with class and count.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Class, u64)> {
        self.operations.iter().map(|(name, count)| (name.as_str(), Class::of(name), *count))
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (operation, class, count) in self.iter() {
            writeln!(f, "{class:?} {operation:<28} {count:>9}")?;
        }
        for class in [Class::A, Class::B, Class::C] {
            writeln!(f, "{class:?} {:<28} {:>9}", "all", self.class(class))?;
        }
        write!(f, "- {:<28} {:>9}", "refused", self.refused)
    }
}

impl Serialize for Calls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            total: u64,
            classes: BTreeMap<Class, u64>,
            operations: &'a BTreeMap<String, u64>,
            refused: u64,
        }
        let classes = [Class::A, Class::B, Class::C].map(|class| (class, self.class(class)));
        Wire {
            total: self.total(),
            classes: classes.into(),
            operations: &self.operations,
            refused: self.refused,
        }
        .serialize(serializer)
    }
}

impl Counter {
    pub(super) fn count(&self, operation: &str) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.operations.entry(operation.to_owned()).or_default() += 1;
    }

    pub(super) fn count_refused(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused += 1;
    }

    pub(super) fn snapshot(&self) -> Calls {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_calls() -> Calls {
        let counter = Counter::default();
        for operation in ["PutObject", "GetObject", "GetObject", "HeadObject", "ListObjectsV2"] {
            counter.count(operation);
        }
        counter.count_refused();
        counter.snapshot()
    }

    #[test]
    fn calls_are_counted_by_operation_and_by_class() {
        let calls = some_calls();
        assert_eq!(calls.of("GetObject"), 2);
        assert_eq!(calls.of("DeleteObject"), 0);
        assert_eq!([Class::A, Class::B, Class::C].map(|class| calls.class(class)), [1, 3, 1]);
        assert_eq!((calls.total(), calls.refused()), (5, 1));
    }

    #[test]
    fn calls_are_shown_as_json_and_as_a_table() {
        let json = serde_json::to_value(some_calls()).unwrap();
        assert_eq!(json["classes"]["B"], 3);
        assert_eq!(json["operations"]["PutObject"], 1);
        assert_eq!((&json["total"], &json["refused"]), (&5.into(), &1.into()));
        assert!(some_calls().to_string().starts_with("B GetObject"));
    }
}
