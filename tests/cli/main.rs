//! The command's tests: one binary, a file per topic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod collect;
mod configuration;
mod crash;
mod harness;
mod outcome;
mod publish;
mod releases;
mod up;
mod verify;
