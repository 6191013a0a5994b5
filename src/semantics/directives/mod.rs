//! What a response wants of caches, and a request of stored responses
//! (RFC 9111 §5.2, RFC 5861, RFC 8246, RFC 9213).
//!
//! A directive is read once, here; whoever decides asks these types and never
//! a header field.

mod request;
mod response;
mod syntax;
mod targeted;

pub use request::{MaxStale, RequestDirectives};
pub use response::{DecidedBy, ResponseDirectives, Scope};
pub use syntax::DELTA_MAX;
pub(super) use syntax::delta_seconds;

#[cfg(test)]
mod tests;
