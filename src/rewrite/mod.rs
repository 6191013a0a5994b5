//! Finding the references in a document and replacing those that are ours.
//!
//! Bytes are spliced, never re-serialised: whatever is not a replaced
//! reference comes out as it went in. Nothing here does I/O.

mod reference;
mod resolver;

pub use reference::{Reference, Site};
pub use resolver::{ManifestResolver, Mount, PublicBase, PublicBaseError, Resolver};
