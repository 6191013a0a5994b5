//! The library's tests: one binary, a file per topic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod architecture;
mod bucket;
mod entry;
mod gate;
mod h2;
mod harness;
mod head;
mod listener;
mod pages;
mod publish;
mod rewrite;
mod s3_store;
mod semantics_oracle;
mod serve;
mod shield;
mod store_contract;
mod storefront;
