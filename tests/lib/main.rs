//! The library's tests: one binary, a file per topic.

mod admin;
mod gate;
mod harness;
mod listener;
mod storefront;
