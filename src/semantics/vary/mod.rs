//! Which requests a stored response answers (RFC 9111 §4.1): those whose
//! selecting fields, normalised, are the same.

mod normal;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, VARY};
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

pub use normal::AcceptedCoding;

use super::field;
use crate::asset::Digest;

/// Selecting fields that one response may name. More are the mark of an
/// origin, or of an attack on one, that no key should follow.
pub const FIELDS_MAX: usize = 16;

/// Bytes of a selecting field's value in a key. Longer ones are there by their
/// digest, so that the length of a key is bounded whatever clients send.
pub const VALUE_MAX: usize = 128;

/// Fields whose values are nobody's business: in a key, which is logged, shown
/// and kept on disk, they are there by their digest only.
const SECRET: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// The selecting fields of a response, sorted, each once.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Vary(Vec<HeaderName>);

/// A `Vary` that cannot be part of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VaryFault {
    /// `*`, at any place: the response fits no other request.
    Any,
    /// More than [`FIELDS_MAX`] fields, or one that has no field's name.
    TooLong,
}

/// The values of a request in the selecting fields of a response: the part of a
/// cache key that tells variants apart.
///
/// Equal for requests that a stored response answers alike. At most about
/// [`FIELDS_MAX`] times the length of a name and [`VALUE_MAX`].
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Selection(Box<str>);

impl Vary {
    /// The selecting fields that a response names. Empty when it names none.
    pub fn of(response: &HeaderMap) -> Result<Self, VaryFault> {
        let mut names = Vec::new();
        let mut fault = None;
        for member in field::members(response, &VARY) {
            if member == "*" {
                return Err(VaryFault::Any);
            }
            match HeaderName::from_bytes(member.as_bytes()) {
                Ok(name) if names.contains(&name) => {}
                Ok(name) if names.len() < FIELDS_MAX => names.push(name),
                _ => fault = Some(VaryFault::TooLong),
            }
        }
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        fault.map_or(Ok(Self(names)), Err)
    }

    /// These fields and others, which select whatever the response says.
    pub fn and(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.0.extend(names);
        self.0.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        self.0.dedup();
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> &[HeaderName] {
        &self.0
    }

    /// Whether the response is the same for all requests.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a request selects by these fields. `request` must hold the fields
    /// as they are forwarded, or the answer may belong to another selection.
    pub fn select(&self, request: &HeaderMap) -> Selection {
        let mut key = String::new();
        for name in &self.0 {
            key.push_str(name.as_str());
            // Neither `:` nor `=` is part of a name, nor a line feed of a value.
            match normal::value(request, name) {
                None => {}
                Some(value) if value.len() <= VALUE_MAX && !SECRET.contains(name) => {
                    key.push(':');
                    key.push_str(&value);
                }
                Some(value) => {
                    key.push('=');
                    key.push_str(&Digest::of(value.as_bytes()).to_string());
                }
            }
            key.push('\n');
        }
        Selection(key.into())
    }
}

impl Selection {
    /// The selection as text, for people: a line for each field.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
