//! Room for a crowd: both ends of its connections are files of this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// 512 connections in one test, 300 in another, and what the others need.
const FILES: u64 = 4096;

/// Makes sure that this process may have a few thousand files open; most
/// systems start it with 1,024 and let it ask for more.
pub(crate) fn make_room() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = maximum.map_or(FILES, |most| most.min(FILES));
    if current.is_some_and(|current| current < enough) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(enough), maximum }).unwrap();
    }
}
