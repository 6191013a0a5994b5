//! A bucket in a map.
