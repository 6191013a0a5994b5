//! What the tests share.

pub(crate) mod edge;
pub(crate) mod upstream;
pub(crate) mod wire;
