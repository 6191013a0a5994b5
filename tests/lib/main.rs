//! The library's tests: one binary, a file per topic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;
mod publish;
mod rewrite;
