//! Publishing a directory: from files to the head of a channel.
//!
//! The stages are chained by what they return, so none can be left out:
//! [`build()`] → [`plan()`] (with [`base()`]) → [`upload()`] → [`activate()`]. Nothing is
//! visible to visitors before the last one, and nothing is ever deleted.

mod activate;
mod base;
mod build;
mod document;
mod error;
mod event;
mod graph;
mod hash;
mod lint;
mod log;
mod options;
mod parallel;
mod plan;
mod problem;
mod scan;
mod settle;
mod source;
mod upload;

pub use activate::{Release, activate, stage};
pub use base::{Base, base};
pub use build::{Build, BuildError, build};
pub use error::PublishError;
pub use event::Event;
pub use options::{CONCURRENCY_DEFAULT, Ignore, IgnoreError, Options, UPLOAD_BYTES_DEFAULT};
pub use plan::{Plan, Reason, Refused, Step, plan};
pub use problem::{Ignored, Place, Problem, Severity};
pub use source::ReadError;
pub use upload::{Uploaded, upload};
