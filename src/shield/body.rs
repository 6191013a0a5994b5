//! The bodies that pass through the shield.
//!
//! A body is boxed once, where it enters or leaves; what is in between works
//! on the boxed type and never reads a body whole.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};

/// Why a body ended early.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response on its way to a visitor.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a request on its way to an origin.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body without bytes.
pub fn empty() -> UnsyncBoxBody<Bytes, BoxError> {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of bytes that are at hand.
pub fn full(bytes: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
