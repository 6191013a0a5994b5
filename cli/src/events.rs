//! What a publish tells while it runs, for programs: a line of JSON an event.

use std::fs::File;
use std::io::{self, LineWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use awning::clock::Clock;
use serde::Serialize;

use crate::config::ConfigError;

/// What names standard output instead of a file.
const STANDARD_OUTPUT: &str = "-";

/// Where events go; nowhere by default. Clones write to the same place.
#[derive(Clone, Default)]
pub(crate) struct Events(Option<Arc<Mutex<Sink>>>);

struct Sink {
    out: Box<dyn Write + Send>,
    /// The first failure; nothing is written behind it.
    failed: Option<io::Error>,
}

/// One line. Times are seconds since 1970, in UTC.
#[derive(Serialize)]
struct Line<'a, T> {
    #[serde(flatten)]
    told: &'a T,
    time: f64,
}

/// The last line.
#[derive(Serialize)]
struct Ended<'a, T> {
    event: &'static str,
    #[serde(flatten)]
    outcome: &'a T,
}

impl Events {
    /// Events to a file, which is made anew, or to standard output for `-`.
    pub(crate) fn to(name: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = name else { return Ok(Self::default()) };
        let out: Box<dyn Write + Send> = if path == Path::new(STANDARD_OUTPUT) {
            Box::new(io::stdout())
        } else {
            let file = File::create(path).map_err(|error| ConfigError::unwritable(path, error))?;
            // A line is whole as soon as it is there: readers follow the file.
            Box::new(LineWriter::new(file))
        };
        Ok(Self(Some(Arc::new(Mutex::new(Sink { out, failed: None })))))
    }

    /// Writes an event.
    pub(crate) fn tell(&self, event: &impl Serialize) {
        let Some(sink) = &self.0 else { return };
        let time = seconds(Clock::System.now());
        sink.lock().unwrap_or_else(PoisonError::into_inner).write(&Line { told: event, time });
    }

    /// Writes the last line: what the command came to.
    pub(crate) fn end(&self, outcome: &impl Serialize) {
        self.tell(&Ended { event: "outcome", outcome });
    }

    /// What kept events from being written.
    pub(crate) fn remark(&self) -> Option<String> {
        let sink = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let error = sink.failed.as_ref()?;
        Some(format!("events are not written to their end: {error}"))
    }
}

impl Sink {
    fn write(&mut self, line: &impl Serialize) {
        if self.failed.is_some() {
            return;
        }
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.out.write_all(&text)?;
            self.out.flush()
        });
        // A publish is not given up because nobody listens.
        self.failed = written.err();
    }
}

fn seconds(time: SystemTime) -> f64 {
    let milliseconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    // Exact until long after anyone reads it.
    u64::try_from(milliseconds).map_or(0.0, |milliseconds| milliseconds as f64 / 1000.0)
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("told", &self.0.is_some()).finish()
    }
}
