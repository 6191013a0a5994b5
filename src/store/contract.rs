//! Checks that every store must pass.
