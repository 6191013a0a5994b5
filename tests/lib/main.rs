//! The library's tests: one binary, a file per topic.

mod harness;
mod publish;
mod rewrite;
