//! What the tests share.

pub(crate) mod edge;
pub(crate) mod open_files;
pub(crate) mod origin;
pub(crate) mod probe;
pub(crate) mod release;
pub(crate) mod upstream;
pub(crate) mod visit;
pub(crate) mod wire;
