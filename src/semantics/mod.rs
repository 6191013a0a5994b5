//! The rules of RFC 9110, 9111 and their companions (5861, 8246, 9211, 9213)
//! as pure functions; `now` is an argument.
//!
//! What a shared cache asks, in the order in which it asks: [`directives`]
//! (what the origin and the client want), [`storable`] (may it be kept),
//! [`vary`] (for which requests), [`freshness`] (how long), [`reuse`] (may it
//! answer this request now), [`conditional`] and [`partial`] (with what of it),
//! [`freshen`] (what a validation makes of it), [`unsafe_method`] (what other
//! requests make unusable), and [`cache_status`] (what to say about it all).

pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod directives;
pub mod encoding;
pub mod field;
pub mod freshen;
pub mod freshness;
pub mod partial;
pub mod range;
pub mod reuse;
pub mod storable;
pub mod unsafe_method;
pub mod validator;
pub mod vary;
