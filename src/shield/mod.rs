//! The shield: a caching origin in front of the bucket and the storefronts.

pub mod admin;
pub mod body;
pub mod config;
pub mod gate;
mod listener;
pub mod metrics;
pub mod origin;
pub mod page;
mod request;
pub mod server;
mod silence;

pub use listener::Tunnel;
pub use request::GatedRequest;
