//! The library's tests: one binary, a file per topic.

mod admin;
mod architecture;
mod bucket;
mod gate;
mod harness;
mod listener;
mod publish;
mod rewrite;
mod s3_store;
mod serve;
mod shield;
mod shield_assets;
mod shield_collapsing;
mod shield_conditional;
mod shield_memory;
mod shield_releases;
mod store_contract;
mod storefront;
