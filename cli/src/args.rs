//! What was typed. What it means is decided by each command.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands;

/// Publishes a web shop's static files to a bucket and shields it
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// Configuration file [default: awning.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print JSON on standard output, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Log more on standard error; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What awning can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole product on this machine: bucket, publisher and shield
    Up(commands::up::Up),
    /// Upload a directory of static files and make it the current release
    Publish(commands::publish::Publish),
    /// Write down what publishing a directory would do, for `apply`
    Plan(commands::plan::PlanTree),
    /// Publish what a plan says, or refuse
    Apply(commands::apply::Apply),
    /// List what a channel was switched to, newest first
    Releases(commands::releases::Releases),
    /// Print in which assets two releases differ
    Diff(commands::diff::PrintDiff),
    /// Make a release of the bucket the current one of a channel
    Promote(commands::promote::Promote),
    /// Switch a channel back to an earlier release, and lock it there
    Rollback(commands::rollback::Rollback),
    /// Look up every object of a release: its length, its header fields, its digest
    Verify(commands::verify::Verify),
    /// Collect what no release needs any more, in two phases
    Gc(commands::gc::Gc),
    /// Run the shield, from the configuration
    Serve(commands::serve::Serve),
    /// Print the manifest of a release, for templates and build tools
    Manifest(commands::manifest::PrintManifest),
    /// Print the public URL of each asset, a line each
    Resolve(commands::resolve::Resolve),
    /// Print what the rules decide about a file, and which rule decides it
    Explain(commands::explain::Explain),
    /// Check the bucket, the key and the clock, and say what to do
    Doctor(commands::doctor::Doctor),
    /// Ask a running shield whether it is well, for container health checks
    Health(commands::health::Health),
    /// Run the embedded S3 server alone
    Bucket(commands::bucket::RunBucket),
    /// Print a script that completes commands in a shell
    Completions(commands::completions::Completions),
}
