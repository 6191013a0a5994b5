//! What the tests share.

pub(crate) mod origin;
pub(crate) mod probe;
pub(crate) mod release;
pub(crate) mod visit;
