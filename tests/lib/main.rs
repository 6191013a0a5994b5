//! The library's tests: one binary, a file per topic.

mod bucket;
mod harness;
