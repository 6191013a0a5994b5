//! The rules of RFC 9110, 9111 and 9211 as pure functions; `now` is an argument.

pub mod cache_status;
pub mod encoding;
pub mod range;
pub mod validator;
