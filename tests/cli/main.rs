//! The command's tests: one binary, a file per topic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod configuration;
mod crash;
mod harness;
mod outcome;
mod plan;
mod publish;
mod releases;
mod up;
