//! The `awning` command: publish a tree, serve it, look after it.

mod args;
mod commands;
mod config;
mod exit;
mod interrupt;
mod logging;
mod open_files;
mod output;
mod progress;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

/// Returns memory under churn better than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let output = output::Output::new(cli.json);
    match commands::run(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            exit::code(&error)
        }
    }
}
