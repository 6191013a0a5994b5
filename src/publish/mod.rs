//! Publishing a directory: from files to the head of a channel.
//!
//! The stages are chained by what they return, so none can be left out:
//! [`build()`] → [`plan()`] (with [`base()`]) → [`upload()`] → [`activate()`]. Nothing is
//! visible to visitors before the last one, and nothing is ever deleted but by
//! [`prune`], which deletes what no release needs any more.
//!
//! What was published is listed by [`history()`], and switched to again by
//! [`switch()`] once [`whole()`] has found every object of it.

mod activate;
mod base;
mod build;
mod claim;
mod condemned;
mod diff;
mod document;
mod error;
mod event;
mod graph;
mod hash;
mod history;
mod intent;
mod lint;
mod log;
mod objects;
mod options;
mod parallel;
mod plan;
mod problem;
pub mod prune;
mod rescue;
mod scan;
mod settle;
mod source;
mod switch;
mod upload;
mod whole;

pub use activate::{Release, activate, stage};
pub use base::{Base, base};
pub use build::{Build, BuildError, build};
pub use claim::DEADLINE;
pub use diff::{Changed, Diff, Only};
pub use error::{Broken, PublishError};
pub use event::Event;
pub use history::{History, history};
pub use options::{CONCURRENCY_DEFAULT, Ignore, IgnoreError, Options, UPLOAD_BYTES_DEFAULT};
pub use plan::{Plan, PlannedCalls, Reason, Refused, Step, plan};
pub use problem::{Ignored, Place, Problem, Severity};
pub use source::ReadError;
pub use switch::{Switch, Switched, switch};
pub use upload::{Uploaded, upload};
pub use whole::{StoredManifest, Whole, named, stored, whole};
