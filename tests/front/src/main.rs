//! A front on the command line, for benchmarks and end-to-end tests.
//!
//! Prints its endpoint on standard output and runs until it is ended. Its
//! counts are at `/_/front`.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use awning_front::{Front, Script, Settings};
use clap::Parser;
use tokio::net::TcpListener;

/// Stand before a bucket and fail on purpose
#[derive(Debug, Parser)]
struct Cli {
    /// Address of the bucket
    #[arg(value_name = "ADDR")]
    behind: SocketAddr,

    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Milliseconds that are added to every call
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,

    /// Calls a second that are let through; the others are told to slow down
    #[arg(long, value_name = "N")]
    rate: Option<u32>,

    /// Decides what happens by chance
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// A rule, such as `PutObject key=a/** p=0.6: pod-busy`
    #[arg(long = "fault", value_name = "RULE")]
    faults: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let script = Script::seeded(cli.seed);
    let script = cli.faults.iter().try_fold(script, |script, rule| script.on_text(rule))?;
    let settings = Settings {
        delay: Duration::from_millis(cli.delay),
        per_second: cli.rate,
        ..Settings::default()
    };
    let front = Front::on(TcpListener::bind(cli.listen).await?, cli.behind, settings)?;
    front.follow(script);
    writeln!(std::io::stdout(), "{}", front.url())?;
    std::future::pending().await
}
