//! Values that name assets and their bytes: no I/O, and no value that is wrong.

mod fingerprint;
mod hashed;
mod key;
pub mod media;
mod path;
mod place;

pub use fingerprint::{Blake3, Digest, DigestError, Fingerprint};
pub use hashed::may_be_hashed;
pub use key::{KeyError, KeyLayout, ObjectKey, PREFIX_BYTES_MAX};
pub use path::{AssetPath, AssetPathError};
pub use place::Place;
