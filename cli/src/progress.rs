//! A bar on the terminal, or nothing where nobody watches.

use awning::publish::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

const STYLE: &str = "{msg:>9} {bar:30} {binary_bytes}/{binary_total_bytes} {eta}";

/// How far a publish is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that shows nothing yet.
    pub(crate) fn new(output: Output) -> Self {
        let target = match output.is_watched() && !output.is_json() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style =
            ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::with_draw_target(Some(0), target).with_style(style) }
    }

    /// Takes a step forward.
    pub(crate) fn show(&self, event: Event) {
        match event {
            Event::Scanned { bytes, .. } => self.begin("hashing", bytes),
            Event::Uploading { bytes, .. } => self.begin("uploading", bytes),
            Event::Encoding { bytes, .. } => self.begin("coding", bytes),
            Event::Hashed { bytes, .. }
            | Event::Encoded { bytes, .. }
            | Event::Uploaded { bytes, .. } => self.bar.set_position(bytes),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn begin(&self, what: &'static str, bytes: u64) {
        self.bar.reset();
        self.bar.set_length(bytes);
        self.bar.set_message(what);
    }
}

/// An error ends a publish anywhere; the bar must not stay.
impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
