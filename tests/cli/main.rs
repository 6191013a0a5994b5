//! The command's tests: one binary, a file per topic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod collect;
mod configuration;
mod crash;
mod doctor;
mod entry;
mod explain;
mod faults;
mod harness;
mod manifests;
mod outcome;
mod pipeline;
mod plan;
mod publish;
mod releases;
mod reload;
mod restart;
mod transfer;
mod up;
mod verify;
