//! HTTP/2 frames as they pass by, to count those that carry nothing.
//!
//! h2 ends connections that reset streams it has not accepted yet, or send
//! empty DATA or endless CONTINUATION; SETTINGS, PING, PRIORITY, unknown
//! frames and resets of accepted streams it takes without end (RFC 9113 §10.5).

use std::time::Duration;

use tokio::time::Instant;

/// Bytes of a frame's head (RFC 9113 §4.1).
const HEAD: usize = 9;
/// DATA.
const BODY: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// Frames that carry nothing in less than a second. A connection has at most
/// a hundred streams to reset, and no client sends pings faster than answers
/// to them can come.
pub(super) const IDLE_MAX: u32 = 1000;
const WHILE: Duration = Duration::from_secs(1);

/// Where in its frames a connection is.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes of the payload that have not.
    left: usize,
    idle: u32,
    since: Instant,
}

/// There were too many frames that carry nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Flood;

impl Frames {
    /// Frames from the first on.
    pub(super) fn begin() -> Self {
        Self { head: [0; HEAD], have: 0, left: 0, idle: 0, since: Instant::now() }
    }

    /// Takes note of the next bytes of the connection.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let (of_head, rest) = bytes.split_at((HEAD - self.have).min(bytes.len()));
            self.head[self.have..][..of_head.len()].copy_from_slice(of_head);
            self.have += of_head.len();
            bytes = rest;
            if self.have == HEAD {
                self.have = 0;
                self.frame()?;
            }
        }
        Ok(())
    }

    fn frame(&mut self) -> Result<(), Flood> {
        let [high, middle, low, kind, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.left = usize::try_from(length).unwrap_or(usize::MAX);
        if matches!(kind, BODY | HEADERS | WINDOW_UPDATE | CONTINUATION) {
            return Ok(());
        }
        self.idle += 1;
        if self.idle < IDLE_MAX {
            return Ok(());
        }
        // The clock is read once in so many frames.
        let now = Instant::now();
        let is_flood = now - self.since < WHILE;
        (self.idle, self.since) = (0, now);
        if is_flood { Err(Flood) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, 0, 0, 0, 0, 0];
        frame.resize(HEAD + payload, PING);
        frame
    }

    /// How many of these frames pass, when the bytes come in pieces.
    fn passing(kind: u8, payload: usize, piece: usize, frames: u32) -> u32 {
        let mut passing = Frames::begin();
        (0..frames)
            .take_while(|_| {
                frame(kind, payload).chunks(piece).all(|part| passing.pass(part).is_ok())
            })
            .count() as u32
    }

    #[tokio::test(start_paused = true)]
    async fn only_frames_that_carry_nothing_are_too_many() {
        let more = IDLE_MAX + 1;
        for piece in [1, 7, 9, 17, 1000] {
            for kind in [2, 3, 4, 6, 7, 77] {
                assert_eq!(passing(kind, 8, piece, more), IDLE_MAX - 1, "{kind} by {piece}");
            }
            for kind in [BODY, HEADERS, WINDOW_UPDATE, CONTINUATION] {
                assert_eq!(passing(kind, 16, piece, more), more, "{kind} by {piece}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_take_their_time_are_none() {
        let mut frames = Frames::begin();
        for _ in 0..10 * IDLE_MAX {
            tokio::time::advance(Duration::from_millis(2)).await;
            assert_eq!(frames.pass(&frame(PING, 8)), Ok(()));
        }
    }
}
