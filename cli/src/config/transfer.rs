//! The keys of `[publish]` that say how objects are sent: how many at once,
//! how fast, how long, and in what parts.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use awning::publish::Options;
use tokio::time::Instant;

use super::reader::Reader;
use super::unit;

/// How objects are sent, as far as someone said so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Transfer {
    /// Objects, or parts of them, at the same time.
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Bytes a second.
    pub(crate) bandwidth: Option<NonZeroU64>,
    /// How long a publish may take.
    pub(crate) deadline: Option<Duration>,
    /// Objects of more bytes are sent in parts.
    pub(crate) multipart_above: Option<u64>,
    /// Bytes of a part.
    pub(crate) part_size: Option<u64>,
}

/// Reads the keys.
pub(super) fn read(table: &mut Reader<'_, '_>) -> Transfer {
    Transfer {
        concurrency: table.parsed("concurrency", concurrency),
        bandwidth: table.parsed("bandwidth", bandwidth),
        deadline: table.parsed("deadline", unit::duration),
        multipart_above: table.parsed("multipart_above", unit::size),
        part_size: table.parsed("part_size", unit::size),
    }
}

/// A number of objects at the same time.
pub(crate) fn concurrency(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of objects: write 1 or more"))
}

/// Bytes a second.
pub(crate) fn bandwidth(text: &str) -> Result<NonZeroU64, String> {
    let none = || "0 bytes a second would take for ever".to_owned();
    unit::size(text).and_then(|bytes| NonZeroU64::new(bytes).ok_or_else(none))
}

impl Transfer {
    /// What is said here, and for the rest what `other` says.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            concurrency: self.concurrency.or(other.concurrency),
            bandwidth: self.bandwidth.or(other.bandwidth),
            deadline: self.deadline.or(other.deadline),
            multipart_above: self.multipart_above.or(other.multipart_above),
            part_size: self.part_size.or(other.part_size),
        }
    }

    /// Sets the options, all but the deadline: that begins with each publish.
    pub(crate) fn set(self, options: &mut Options) {
        options.concurrency = self.concurrency.map_or(options.concurrency, NonZeroUsize::get);
        options.bandwidth = self.bandwidth.or(options.bandwidth);
        options.multipart_bytes = self.multipart_above.unwrap_or(options.multipart_bytes);
        options.part_bytes = self.part_size.unwrap_or(options.part_bytes);
    }

    /// Sets all options; the time that a publish may take begins now.
    pub(crate) fn begin(self, options: &mut Options) {
        self.set(options);
        options.deadline = self.deadline.map(|time| Instant::now() + time);
    }
}
