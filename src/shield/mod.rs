//! The shield: a caching origin in front of the bucket and the storefronts.

pub mod body;
pub mod config;
pub mod gate;
mod listener;
pub mod metrics;
mod request;

pub use listener::Tunnel;
pub use request::GatedRequest;
