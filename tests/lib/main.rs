//! The library's tests: one binary, a file per topic.

mod admin;
mod gate;
mod harness;
mod listener;
mod serve;
mod shield_assets;
mod shield_collapsing;
mod shield_conditional;
mod shield_memory;
mod shield_releases;
mod storefront;
