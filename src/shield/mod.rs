//! The shield: a caching origin in front of the bucket and the storefronts.

pub mod config;
pub mod metrics;
mod request;

pub use request::GatedRequest;
