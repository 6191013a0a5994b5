#![doc = include_str!("docs/architecture.md")]

pub mod asset;
pub mod bucket;
pub mod clock;
pub mod manifest;
pub mod publish;
pub mod rewrite;
pub mod semantics;
pub mod shield;
pub mod store;
