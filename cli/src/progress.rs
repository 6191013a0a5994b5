//! A bar on the terminal, or nothing where nobody watches; and events for
//! programs that asked for them.

use awning::publish::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::Events;
use crate::output::Output;

const STYLE: &str = "{prefix:>9} {bar:30} {binary_bytes}/{binary_total_bytes} \
                     {binary_bytes_per_sec} {eta} left, {msg}";

/// How far a publish is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    events: Events,
}

impl Progress {
    /// A bar that shows nothing yet.
    pub(crate) fn new(output: Output, events: Events) -> Self {
        let target = match output.is_watched() && !output.is_json() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style =
            ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style);
        Self { bar, events }
    }

    /// Takes a step forward.
    pub(crate) fn show(&self, event: Event) {
        self.events.tell(&event);
        match event {
            Event::Scanned { files, bytes } => self.begin("hashing", files, "file(s)", bytes),
            Event::Encoding { files, bytes } => self.begin("coding", files, "file(s)", bytes),
            Event::Uploading { objects, bytes } => {
                self.begin("uploading", objects, "object(s)", bytes)
            }
            Event::Hashed { files, bytes } | Event::Encoded { files, bytes } => {
                self.step(files, "file(s)", bytes)
            }
            Event::Uploaded { objects, bytes } => self.step(objects, "object(s)", bytes),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn begin(&self, what: &'static str, count: usize, of: &str, bytes: u64) {
        self.bar.reset();
        self.bar.set_length(bytes);
        self.bar.set_prefix(what);
        self.bar.set_message(format!("{count} {of}"));
    }

    fn step(&self, count: usize, of: &str, bytes: u64) {
        self.bar.set_position(bytes);
        // Nobody sees the text of a hidden bar, and there may be 100,000 of them.
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{count} {of}"));
        }
    }
}

/// An error ends a publish anywhere; the bar must not stay.
impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
