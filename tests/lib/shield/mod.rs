//! The shield before a scripted bucket, asked without a network.

mod assets;
mod collapsing;
mod conditional;
mod memory;
mod releases;
