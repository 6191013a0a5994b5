//! Values that name assets and their bytes: no I/O, and no value that is wrong.

mod fingerprint;
mod key;
pub mod media;
mod path;

pub use fingerprint::{Blake3, Digest, DigestError, Fingerprint};
pub use key::{KeyError, KeyLayout, ObjectKey, PREFIX_BYTES_MAX};
pub use path::{AssetPath, AssetPathError};
