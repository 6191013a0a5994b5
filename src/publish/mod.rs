//! Publishing a directory: from files to the head of a channel.
//!
//! The stages are chained by what they return, so none can be left out:
//! [`build()`] → [`encode()`] (with [`base()`]) → [`plan()`] → [`upload()`] → [`activate()`]. Most of
//! what [`plan()`] refuses, [`refuse()`] refuses before anything is encoded. Nothing is
//! visible to visitors before the last one, and nothing is ever deleted but by
//! [`prune`], which deletes what no release needs any more.
//!
//! What was published is listed by [`history()`], and switched to again by
//! [`switch()`] once [`whole()`] has found every object of it. [`verify()`]
//! looks more closely, and [`repair()`] stores again what is damaged.

mod activate;
mod base;
mod build;
mod claim;
mod collect;
mod condemned;
mod deep;
mod diff;
mod document;
mod encode;
mod error;
mod event;
mod fields;
mod graph;
mod hash;
mod history;
mod ingest;
mod intent;
mod keep;
mod lint;
mod log;
mod modules;
mod objects;
mod occupied;
mod options;
mod parallel;
mod plan;
mod problem;
mod properties;
pub mod prune;
mod repair;
mod rescue;
mod rules;
mod scan;
mod secret;
mod settle;
mod source;
mod switch;
mod upload;
mod verify;
mod whole;
mod writes;

pub use activate::{Release, activate, stage};
pub use base::{Base, base};
pub use build::{Build, BuildError, build};
pub use claim::DEADLINE;
pub use diff::{Changed, Diff, Only};
pub use encode::{CACHE_BYTES_DEFAULT, Cache, Coder, encode};
pub use error::{Broken, PublishError};
pub use event::Event;
pub use history::{History, history};
pub use lint::named_problems;
pub use modules::Modules;
pub use options::{
    CONCURRENCY_DEFAULT, ConditionalWrites, Ignore, IgnoreError, MULTIPART_BYTES_DEFAULT, Options,
    PART_BYTES_DEFAULT, UPLOAD_BYTES_DEFAULT,
};
pub use plan::{Plan, PlannedCalls, Reason, Refused, Step, plan, refuse};
pub use problem::{Ignored, Kind, Place, Problem, Severity};
pub use repair::{Repaired, repair, repair_manifest};
pub use rules::{Compress, Decided, Level, Pattern, Policy, Property, References, Rule, Rules};
pub use scan::ignored;
pub use source::ReadError;
pub use switch::{Switch, Switched, switch};
pub use upload::{Uploaded, upload};
pub use verify::{Check, Flaw, Flawed, Verified, verify};
pub use whole::{StoredManifest, Whole, named, stored, whole};
