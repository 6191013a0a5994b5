//! What is logged, and where: lines on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::ConfigError;

/// Installs the logger. `directives` comes from `AWNING_LOG`, in the form
/// `awning=debug,hyper=info`; otherwise `verbose` decides.
pub(crate) fn install(
    verbose: u8,
    default: &str,
    directives: Option<&str>,
) -> Result<(), ConfigError> {
    let level = match verbose {
        0 => default.to_owned(),
        1 => "awning=debug,awning_cli=debug,info".to_owned(),
        _ => "awning=trace,awning_cli=trace,debug".to_owned(),
    };
    let filter = EnvFilter::try_new(directives.unwrap_or(&level)).map_err(|error| {
        ConfigError::missing(&format!("AWNING_LOG cannot be read ({error}): write awning=debug"))
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second call in one process is refused; the first one stays.
    let _ = subscriber.try_init();
    Ok(())
}
