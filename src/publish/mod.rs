//! Publishing a directory: from files to the head of a channel.
//!
//! The stages are chained by what they return, so none can be left out:
//! [`build()`] → [`plan()`] (with [`base()`]) → [`upload()`] → [`activate()`]. Nothing is
//! visible to visitors before the last one, and nothing is ever deleted.
//!
//! What was published is listed by [`history()`], and switched to again by
//! [`switch()`] once [`whole()`] has found every object of it.

mod activate;
mod base;
mod build;
mod deep;
mod diff;
mod document;
mod error;
mod event;
mod graph;
mod hash;
mod history;
mod lint;
mod log;
mod modules;
mod objects;
mod options;
mod parallel;
mod plan;
mod problem;
mod scan;
mod settle;
mod source;
mod switch;
mod upload;
mod whole;

pub use activate::{Release, activate, stage};
pub use base::{Base, base};
pub use build::{Build, BuildError, build};
pub use diff::{Changed, Diff, Only};
pub use error::{Broken, PublishError};
pub use event::Event;
pub use history::{History, history};
pub use modules::Modules;
pub use options::{CONCURRENCY_DEFAULT, Ignore, IgnoreError, Options, UPLOAD_BYTES_DEFAULT};
pub use plan::{Plan, Reason, Refused, Step, plan};
pub use problem::{Ignored, Place, Problem, Severity};
pub use source::ReadError;
pub use switch::{Switch, Switched, switch};
pub use upload::{Uploaded, upload};
pub use whole::{StoredManifest, Whole, named, stored, whole};
