//! Values that name assets and their bytes: no I/O, and no value that is wrong.

mod fingerprint;
mod key;
pub mod media;
mod path;
mod place;

pub use fingerprint::{Blake3, Digest, DigestError, Fingerprint};
pub use key::{KeyError, KeyLayout, ObjectKey};
pub use path::{AssetPath, AssetPathError};
pub use place::Place;
