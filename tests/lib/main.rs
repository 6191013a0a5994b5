//! The library's tests: one binary, a file per topic.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod architecture;
mod bucket;
mod harness;
mod publish;
mod rewrite;
mod s3_store;
mod store_contract;
