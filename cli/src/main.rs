//! The `awning` command: publish a tree, serve it, look after it.

mod args;
mod commands;
mod config;
mod embedded;
mod events;
mod exit;
mod failure;
mod figures;
mod github;
mod handover;
mod interrupt;
mod logging;
mod open_files;
mod outcome;
mod output;
mod planned;
mod progress;
mod reload;
mod served;
mod watch;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser as _;

/// Returns memory under churn better than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = args::Cli::try_parse().unwrap_or_else(|error| mistyped(&error));
    let output = output::Output::new(cli.json);
    outcome(output, || commands::run(cli, &output)).into()
}

/// Runs a command, tells what went wrong, and says how to exit.
fn outcome(output: output::Output, run: impl FnOnce() -> anyhow::Result<()>) -> u8 {
    // The panic itself has been told by the standard hook.
    let run = panic::catch_unwind(AssertUnwindSafe(run));
    match run.unwrap_or_else(|_| Err(anyhow!("this is a bug in awning: please report it"))) {
        Ok(()) => 0,
        Err(error) => {
            output.failure(&error);
            exit::code(&error)
        }
    }
}

/// Tells what was typed wrong, or the help or version that was asked for.
fn mistyped(error: &clap::Error) -> ! {
    // Nothing was parsed, so the flag is looked for among the arguments.
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let _ = output::Output::new(true).json(&failure::Failure::usage(error));
    }
    error.exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::panic, reason = "it is what is tested")]
    fn a_panic_exits_as_an_unforeseen_error() {
        assert_eq!(outcome(output::Output::new(false), || panic!("on purpose")), 1);
        assert_eq!(outcome(output::Output::new(false), || Ok(())), 0);
    }
}
