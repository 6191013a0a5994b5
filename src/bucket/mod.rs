//! The embedded bucket.
