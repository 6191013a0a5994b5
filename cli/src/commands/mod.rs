//! One file a command: its arguments, and what it does with them.

pub(crate) mod apply;
pub(crate) mod bucket;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod gc;
pub(crate) mod health;
mod lifetime;
pub(crate) mod manifest;
mod named;
pub(crate) mod plan;
pub(crate) mod promote;
pub(crate) mod publish;
mod release;
pub(crate) mod releases;
pub(crate) mod resolve;
pub(crate) mod rollback;
pub(crate) mod serve;
mod switch;
mod transfer;
mod tree_flags;
pub(crate) mod up;
pub(crate) mod verify;
mod written;

pub(crate) use tree_flags::TreeFlags;

use std::path::PathBuf;

use awning::store::s3::{Profile, S3Config, S3Store};

use crate::args::{Cli, Command};
use crate::config::{self, ConfigError, Credentials, Environment, Settings, StoreSettings};
use crate::logging;
use crate::output::Output;

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    /// The environment of this run.
    pub(crate) environment: Environment,
    /// Where to print.
    pub(crate) output: Output,
    config: Option<PathBuf>,
}

impl Context {
    /// Reads the configuration, and warns of what has no effect.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let settings = Settings::load(self.config.as_deref(), &self.environment)?;
        for warning in &settings.warnings {
            self.output.warning(warning);
        }
        Ok(settings)
    }

    /// The files that the configuration is read from: its own, and those that
    /// hold secrets.
    pub(crate) fn config_files(&self) -> Vec<PathBuf> {
        let mut files = self.environment.secret_files();
        files.push(config::path(self.config.as_deref(), &self.environment));
        files
    }

    /// Connects to the configured bucket.
    pub(crate) fn store(
        &self,
        settings: &StoreSettings,
        profile: Profile,
    ) -> Result<S3Store, ConfigError> {
        self.s3_config(settings, profile).map(S3Store::new)
    }

    /// How to connect to the configured bucket.
    pub(crate) fn s3_config(
        &self,
        settings: &StoreSettings,
        profile: Profile,
    ) -> Result<S3Config, ConfigError> {
        let Credentials { key_id, key } = Credentials::from(&self.environment)?;
        Ok(S3Config {
            endpoint: settings.endpoint.clone(),
            region: settings.region.clone(),
            bucket: settings.bucket.clone(),
            key_id,
            key,
            profile,
            attempts: settings.attempts,
            waits: settings.waits,
        })
    }
}

/// The store settings, or what to do when there are none.
pub(crate) fn required(store: Option<StoreSettings>) -> Result<StoreSettings, ConfigError> {
    store.ok_or_else(|| {
        ConfigError::missing(
            "no bucket is configured: write `[store]` with `bucket` and `endpoint` to awning.toml, \
             or set AWNING_STORE_BUCKET and AWNING_STORE_ENDPOINT",
        )
    })
}

/// Runs the command that was typed.
pub(crate) fn run(cli: Cli, output: &Output) -> anyhow::Result<()> {
    let environment = Environment::of_process();
    let quiet = !matches!(cli.command, Command::Serve(_) | Command::Up(_) | Command::Bucket(_));
    let default = if quiet { "error" } else { "awning=info,awning_cli=info,notify=error,warn" };
    logging::install(cli.verbose, default, environment.get("LOG"))?;

    let context = Context { environment, output: *output, config: cli.config };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Up(command) => command.run(&context).await,
            Command::Publish(command) => command.run(&context).await,
            Command::Plan(command) => command.run(&context).await,
            Command::Apply(command) => command.run(&context).await,
            Command::Serve(command) => command.run(&context).await,
            Command::Releases(command) => command.run(&context).await,
            Command::Diff(command) => command.run(&context).await,
            Command::Promote(command) => command.run(&context).await,
            Command::Rollback(command) => command.run(&context).await,
            Command::Verify(command) => command.run(&context).await,
            Command::Gc(command) => command.run(&context).await,
            Command::Manifest(command) => command.run(&context).await,
            Command::Resolve(command) => command.run(&context).await,
            Command::Explain(command) => command.run(&context).await,
            Command::Doctor(command) => command.run(&context).await,
            Command::Health(command) => command.run(&context).await,
            Command::Bucket(command) => command.run(&context).await,
            Command::Completions(command) => command.run(&context),
        }
    });
    // What still runs, such as hashing after an interrupt, ends with the process.
    runtime.shutdown_background();
    outcome
}
