//! A front that stands before a bucket and fails on purpose, byte by byte.
//!
//! It speaks HTTP/1.1 over plain TCP and passes calls on as they are, but for
//! those that its script picks out: they are refused in the words of Backblaze
//! B2, lost, cut short, held, damaged or answered with what was true before.
//! It counts every call by operation and class. It knows nothing of awning,
//! and no server library frames its replies, because broken ones must be sent
//! exactly as they are written down.

mod call;
pub mod cases;
mod counts;
mod exchange;
mod fault;
mod front;
mod memory;
mod random;
mod rate;
mod reply;
mod rule;
mod script;
mod wire;

pub use call::{Call, Class};
pub use counts::Counts;
pub use fault::{Change, Fault, Moment};
pub use front::{Front, Settings};
pub use reply::Reply;
pub use rule::RuleError;
pub use script::{Script, When};
