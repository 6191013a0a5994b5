//! What is logged, and where: lines on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Installs the logger. `directives` comes from `AWNING_LOG`, in the form
/// `awning=debug,hyper=info`; otherwise `verbose` decides.
pub(crate) fn install(verbose: u8, default: &str, directives: Option<&str>) {
    let level = match verbose {
        0 => default.to_owned(),
        1 => "awning=debug,awning_cli=debug,info".to_owned(),
        _ => "awning=trace,awning_cli=trace,debug".to_owned(),
    };
    let filter =
        EnvFilter::try_new(directives.unwrap_or(&level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second call in one process is refused; the first one stays.
    let _ = subscriber.try_init();
}
