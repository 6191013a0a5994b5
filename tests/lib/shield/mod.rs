//! The shield before a scripted bucket, asked without a network; and before a real
//! one that fails.

mod assets;
mod collapsing;
mod conditional;
mod faults;
mod memory;
mod origins;
mod releases;
mod reload;
mod stability;
