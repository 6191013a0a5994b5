//! The command's tests: one binary, a file per topic.

mod configuration;
mod crash;
mod harness;
mod publish;
