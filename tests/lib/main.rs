//! The library's tests: one binary, a file per topic.

mod architecture;
mod bucket;
mod harness;
mod publish;
mod rewrite;
mod s3_store;
mod store_contract;
