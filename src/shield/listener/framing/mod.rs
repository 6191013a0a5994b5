//! Where one HTTP/1 message of a connection ends and the next begins, found
//! before hyper sees a byte of it.
//!
//! hyper is handed whole heads that were admitted, and bodies that end where
//! this says: so the two cannot disagree about where a head begins. A head
//! that reads in two ways never reaches it. HTTP/2, and what follows an
//! upgrade, passes untouched; of HTTP/2 the frames are counted.

mod chunks;
mod frames;
mod head;
#[cfg(test)]
pub(super) mod tests;

use self::chunks::Chunks;
use self::frames::Frames;
use self::head::{Follows, outline};
use crate::shield::gate::Refusal;

/// What an HTTP/2 connection with prior knowledge begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Empty lines before a head that are taken for the careless end of the one
/// before (RFC 9112 §2.2).
const BLANK_LINES_MAX: u8 = 1;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    pub(super) bytes_max: usize,
    pub(super) fields_max: usize,
}

/// The framing of one connection's incoming bytes.
#[derive(Debug)]
pub(super) struct Framing {
    limits: HeadLimits,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    /// The first bytes of a connection.
    Opening,
    /// Between messages, or inside a head.
    Head(Progress),
    Body {
        left: u64,
        upgrades: bool,
    },
    Chunks(Chunks, bool),
    /// Behind a request that may end the protocol.
    Upgrade,
    /// HTTP/2.
    Frames(Frames),
    /// No longer HTTP.
    Through,
}

/// How much of an unfinished head was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    scanned: usize,
    line: usize,
    lines: usize,
    blank: u8,
}

/// What to do with the bytes at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// So many of them may go on.
    Pass(usize),
    /// They are a part of something that must be whole first.
    More,
    /// Whether they are HTTP will be known with the response.
    Ask,
    /// They are the beginning of a request that is refused.
    Refuse(Refusal),
    /// They belong to a body that cannot be read.
    Break,
    /// They are some of too many frames that carry nothing.
    Flood,
}

impl Framing {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self { limits, at: At::Opening }
    }

    /// Looks at `bytes`, which begin with everything that was not yet passed
    /// and are not empty.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match &mut self.at {
            At::Opening => self.open(bytes),
            At::Head(_) => self.head(bytes),
            At::Body { left, upgrades } => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                let taken = length.min(*left);
                *left -= taken;
                if *left == 0 {
                    self.at = behind(*upgrades);
                }
                Step::Pass(usize::try_from(taken).unwrap_or(usize::MAX))
            }
            At::Chunks(chunks, upgrades) => match chunks.advance(bytes) {
                Ok(used) => {
                    if chunks.is_done() {
                        self.at = behind(*upgrades);
                    }
                    Step::Pass(used)
                }
                Err(chunks::Malformed) => Step::Break,
            },
            At::Upgrade => Step::Ask,
            At::Frames(frames) => match frames.pass(bytes) {
                Ok(()) => Step::Pass(bytes.len()),
                Err(frames::Flood) => Step::Flood,
            },
            At::Through => Step::Pass(bytes.len()),
        }
    }

    /// Whether what follows depends on a response.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.at, At::Upgrade)
    }

    /// Whether what follows begins with a head.
    #[cfg(fuzzing)]
    pub(super) fn is_before_head(&self) -> bool {
        matches!(self.at, At::Opening | At::Head(_))
    }

    /// The response to a request that might have ended the protocol is known.
    pub(super) fn answered(&mut self, upgraded: bool) {
        if matches!(self.at, At::Upgrade) {
            self.at = if upgraded { At::Through } else { At::Head(Progress::default()) };
        }
    }

    fn open(&mut self, bytes: &[u8]) -> Step {
        if bytes.starts_with(PREFACE) {
            self.at = At::Frames(Frames::begin());
            return Step::Pass(PREFACE.len());
        }
        if PREFACE.starts_with(bytes) {
            return Step::More;
        }
        self.at = At::Head(Progress::default());
        self.head(bytes)
    }

    fn head(&mut self, bytes: &[u8]) -> Step {
        let At::Head(progress) = &mut self.at else { return Step::More };
        if bytes[0] == b'\r' && progress.scanned == 0 {
            return progress.blank_line(bytes);
        }
        match progress.end(bytes, self.limits) {
            Ok(Some(end)) => self.admit(&bytes[..end]),
            Ok(None) => Step::More,
            Err(refusal) => Step::Refuse(refusal),
        }
    }

    fn admit(&mut self, head: &[u8]) -> Step {
        let outline = match outline(head, self.limits.fields_max) {
            Ok(outline) => outline,
            Err(refusal) => return Step::Refuse(refusal),
        };
        let upgrades = outline.upgrades;
        self.at = match outline.follows {
            Follows::Body(0) => behind(upgrades),
            Follows::Body(left) => At::Body { left, upgrades },
            Follows::Chunks => At::Chunks(Chunks::begin(), upgrades),
        };
        Step::Pass(head.len())
    }
}

fn behind(upgrades: bool) -> At {
    if upgrades { At::Upgrade } else { At::Head(Progress::default()) }
}

impl Progress {
    fn blank_line(&mut self, bytes: &[u8]) -> Step {
        match bytes.get(1) {
            None => Step::More,
            Some(b'\n') if self.blank < BLANK_LINES_MAX => {
                self.blank += 1;
                // hyper skips it as well.
                Step::Pass(2)
            }
            Some(_) => Step::Refuse(Refusal::HeadMalformed),
        }
    }

    /// The end of the head, if it is among `bytes`. Each is looked at once,
    /// however they come.
    fn end(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Refusal> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.scanned..]) {
            let feed = self.scanned + found;
            if feed >= limits.bytes_max {
                return Err(Refusal::HeadTooLarge);
            }
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(Refusal::HeadMalformed);
            }
            let empty = feed - 1 == self.line;
            (self.scanned, self.line, self.lines) = (feed + 1, feed + 1, self.lines + 1);
            if empty {
                return Ok(Some(feed + 1));
            }
            // The request line is not a field.
            if self.lines > limits.fields_max + 1 {
                return Err(Refusal::HeadTooLarge);
            }
        }
        self.scanned = bytes.len();
        if bytes.len() > limits.bytes_max { Err(Refusal::HeadTooLarge) } else { Ok(None) }
    }
}
