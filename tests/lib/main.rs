//! The library's tests: one binary, a file per topic.

mod architecture;
mod bucket;
mod harness;
mod s3_store;
mod store_contract;
