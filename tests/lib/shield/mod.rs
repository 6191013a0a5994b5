//! The shield before a scripted bucket, asked without a network; and before a real
//! one that fails.

mod assets;
mod collapsing;
mod conditional;
mod disk;
mod faults;
mod memory;
mod origins;
mod ranges;
mod releases;
mod reload;
mod stability;
mod variants;
