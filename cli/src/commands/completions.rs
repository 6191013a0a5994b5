//! `awning completions`: a script for a shell.

use clap::{Args, CommandFactory as _};

use super::Context;
use crate::args::Cli;

/// Print a script that completes commands in a shell
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints the script.
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "awning", &mut script);
        context.output.bytes(&script)?;
        Ok(())
    }
}
