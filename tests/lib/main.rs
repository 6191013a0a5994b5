//! The library's tests: one binary, a file per topic.

mod architecture;
mod bucket;
mod harness;
mod publish;
mod rewrite;
mod store_contract;
