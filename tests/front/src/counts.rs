//! What went through the front.

use std::collections::BTreeMap;

use crate::call::{Call, Class};

/// Calls that are remembered one by one. Later ones are only counted.
const SEEN_MAX: usize = 65_536;

/// What went through the front since its script began.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    operations: BTreeMap<&'static str, u64>,
    seen: Vec<Call>,
    /// Connections that clients opened.
    pub connections: u64,
    /// Bytes that came from clients.
    pub bytes_in: u64,
    /// Bytes that were sent to clients.
    pub bytes_out: u64,
    /// Calls that were not simply passed on.
    pub faults: u64,
}

impl Counts {
    /// Calls of one operation by its S3 name.
    pub fn of(&self, operation: &str) -> u64 {
        self.operations.get(operation).copied().unwrap_or_default()
    }

    /// Calls of one class.
    pub fn class(&self, class: Class) -> u64 {
        let of = self.operations.iter().filter(|(name, _)| Class::of(name) == class);
        of.map(|(_, count)| count).sum()
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.operations.values().sum()
    }

    /// The calls one by one, the first 65,536 of them.
    pub fn seen(&self) -> &[Call] {
        &self.seen
    }

    /// Everything as one JSON document.
    pub fn to_json(&self) -> serde_json::Value {
        let classes = [Class::A, Class::B, Class::C];
        serde_json::json!({
            "total": self.total(),
            "classes": classes.map(|class| (format!("{class:?}"), self.class(class))).into_iter()
                .collect::<BTreeMap<_, _>>(),
            "operations": self.operations,
            "objects": self.objects(),
            "connections": self.connections,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "faults": self.faults,
        })
    }

    /// How often each key was read, as far as calls are remembered.
    fn objects(&self) -> BTreeMap<&str, u64> {
        let mut objects = BTreeMap::new();
        for call in self.seen.iter().filter(|call| call.operation == "GetObject") {
            *objects.entry(&*call.key).or_default() += 1;
        }
        objects
    }

    pub(crate) fn add(&mut self, call: &Call) {
        *self.operations.entry(call.operation).or_default() += 1;
        if self.seen.len() < SEEN_MAX {
            self.seen.push(call.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Head;

    #[test]
    fn reads_are_told_by_key() {
        let mut counts = Counts::default();
        for (method, target) in [
            ("GET", "/b/a/x"),
            ("PUT", "/b/a/x"),
            ("GET", "/b/a/x"),
            ("GET", "/b/a/y"),
            ("GET", "/b/?list-type=2"),
        ] {
            counts.add(&Call::of(&Head::request(method, target), 1));
        }
        assert_eq!(counts.to_json()["objects"], serde_json::json!({ "a/x": 2, "a/y": 1 }));
    }
}
