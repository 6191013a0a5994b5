//! Visitors in numbers that a script could not time, and an origin that makes
//! up what it serves: for tests/e2e/herd and tests/e2e/memory.
//!
//! Usage: storms COMMAND NAME=VALUE…. Every command goes to 127.0.0.1 only, is
//! bounded in count and time, and prints what it found as JSON.

mod herd;
mod origin;
mod press;
mod pulse;
mod storm;
mod visitor;

use std::collections::HashMap;
use std::error::Error;
use std::io::Write as _;
use std::str::FromStr;

use serde_json::Value;

/// Why a command came to nothing.
type Failure = Box<dyn Error>;

/// The arguments of a command, by name.
struct Words(HashMap<String, String>);

impl Words {
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let pair = |argument: String| {
            let (name, value) = argument.split_once('=').ok_or("an argument is NAME=VALUE")?;
            Ok((name.to_owned(), value.to_owned()))
        };
        arguments.map(pair).collect::<Result<_, Failure>>().map(Self)
    }

    /// An argument that may be left out.
    fn maybe<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.0.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("`{name}={text}` cannot be read").into())
    }

    /// An argument that may not.
    fn take<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.maybe(name)?.ok_or_else(|| format!("`{name}=` is missing").into())
    }
}

/// One thread: the visitors are not to take the core of the server that they
/// measure.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let words = Words::of(arguments)?;
    tell(&match &*command {
        "herd" => herd::herd(&words).await?,
        "keys" => press::keys(&words).await?,
        "press" => press::press(&words).await?,
        "pulse" => pulse::pulse(&words).await?,
        "origin" => origin::origin(&words).await?,
        "objects" => storm::objects(&words).await?,
        "urls" => storm::urls(&words).await?,
        "heads" => storm::heads(&words).await?,
        _ => return Err(format!("`{command}` is no command").into()),
    })
}

/// Prints a line for whoever started this.
fn tell(fact: &Value) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{fact}")?;
    Ok(output.flush()?)
}
