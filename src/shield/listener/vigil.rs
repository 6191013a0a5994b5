//! What a connection is waiting for, and until when it may.
//!
//! A record of events and the deadlines that follow from them; it keeps no
//! timer. hyper's own header timeout starts only once the protocol version is
//! known, so a client that sends nothing would be waited for for ever.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From its beginning, or the first byte of a head, to the end of that head.
    pub(crate) head: Duration,
    /// From the end of a response to the first byte of the next head.
    pub(crate) idle: Duration,
    /// Without the peer taking a byte of what is written.
    pub(crate) write: Duration,
}

impl Patience {
    /// Nothing runs out sooner than this after the event that started it.
    pub(crate) fn shortest(&self) -> Duration {
        self.head.min(self.idle).min(self.write)
    }
}

/// What the peer failed to do in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Overdue {
    /// A whole request head.
    Head,
    /// Another request.
    Request,
    /// To take what is written.
    Reading,
}

/// The events of one connection.
#[derive(Debug)]
pub(crate) struct Vigil {
    patience: Patience,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    expecting: Expecting,
    since: Instant,
    in_flight: usize,
    multiplexed: bool,
    write_blocked: Option<Instant>,
    /// Responses whose last bytes were handed over and not asked for more: at
    /// most one a stream. Rarely more than one, and the place is used again.
    handed: Vec<(u64, Instant)>,
    responses: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expecting {
    HeadEnd,
    Request,
}

impl Vigil {
    /// The vigil of a connection that opened at `now`.
    pub(crate) fn new(patience: Patience, now: Instant) -> Self {
        let state = State {
            expecting: Expecting::HeadEnd,
            since: now,
            in_flight: 0,
            multiplexed: false,
            write_blocked: None,
            handed: Vec::new(),
            responses: 0,
        };
        Self { patience, state: Mutex::new(state) }
    }

    /// Bytes arrived. On an HTTP/1 connection without a request they begin a head.
    pub(crate) fn received(&self, now: Instant) {
        let mut state = self.state();
        let begins_head = state.in_flight == 0 && state.expecting == Expecting::Request;
        if begins_head && !state.multiplexed {
            state.expecting = Expecting::HeadEnd;
            state.since = now;
        }
    }

    /// A whole head arrived; the number names its response.
    pub(crate) fn request_began(&self, multiplexed: bool) -> u64 {
        let mut state = self.state();
        state.in_flight += 1;
        state.multiplexed = multiplexed;
        state.responses += 1;
        state.responses
    }

    /// The response was handed over whole, or given up.
    pub(crate) fn request_ended(&self, response: u64, now: Instant) {
        let mut state = self.state();
        state.forget(response);
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 {
            state.expecting = Expecting::Request;
            state.since = now;
        }
    }

    /// A piece of a response was handed over, to be written.
    pub(crate) fn piece_handed(&self, response: u64, now: Instant) {
        let mut state = self.state();
        state.forget(response);
        state.handed.push((response, now));
    }

    /// All pieces of a response were taken, and more is asked for.
    pub(crate) fn piece_wanted(&self, response: u64) {
        self.state().forget(response);
    }

    /// The peer takes no more bytes for now.
    pub(crate) fn write_blocked(&self, now: Instant) {
        self.state().write_blocked.get_or_insert(now);
    }

    /// The peer took bytes.
    pub(crate) fn write_progressed(&self, now: Instant) {
        let mut state = self.state();
        state.write_blocked = None;
        if state.expecting == Expecting::Request {
            state.since = now;
        }
        // With one response at a time, every byte taken is progress of that
        // one; with many, a ping may be all that the peer takes.
        if !state.multiplexed {
            state.handed.iter_mut().for_each(|(_, since)| *since = now);
        }
    }

    /// Whether requests share the connection at the same time.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.state().multiplexed
    }

    /// Since when the connection could be closed without breaking anything off.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.in_flight == 0).then_some(state.since)
    }

    /// What the peer has not done in time by `now`.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Overdue> {
        self.earliest().filter(|(due, _)| *due <= now).map(|(_, overdue)| overdue)
    }

    /// When to look again: no deadline lies before it.
    pub(crate) fn look_again(&self, now: Instant) -> Instant {
        let unforeseen = now + self.patience.shortest();
        self.earliest().map_or(unforeseen, |(due, _)| due.min(unforeseen))
    }

    fn earliest(&self) -> Option<(Instant, Overdue)> {
        let state = self.state();
        let taking = state.write_blocked.into_iter().chain(state.stalled()).min();
        let taking = taking.map(|since| (since + self.patience.write, Overdue::Reading));
        if state.in_flight > 0 || state.write_blocked.is_some() {
            return taking;
        }
        Some(match state.expecting {
            Expecting::HeadEnd => (state.since + self.patience.head, Overdue::Head),
            Expecting::Request => (state.since + self.patience.idle, Overdue::Request),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Nothing of a response is with the peer.
    fn forget(&mut self, response: u64) {
        self.handed.retain(|(handed, _)| *handed != response);
    }

    /// Since when the peer takes no response that it could take.
    ///
    /// The peer of a multiplexed connection may be a proxy, whose visitors
    /// must not suffer from one who stopped reading. So it is judged only
    /// when all of them have; what the others hold back until then is at most
    /// a window a stream.
    fn stalled(&self) -> Option<Instant> {
        let since = self.handed.iter().map(|(_, since)| *since);
        match self.multiplexed {
            false => since.min(),
            true if self.handed.len() < self.in_flight => None,
            true => since.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(5),
        idle: Duration::from_secs(15),
        write: Duration::from_secs(10),
    };

    fn due_after(vigil: &Vigil, start: Instant) -> Option<(u64, Overdue)> {
        vigil.earliest().map(|(due, what)| ((due - start).as_secs(), what))
    }

    #[tokio::test]
    async fn a_head_must_be_whole_in_time_however_its_bytes_come() {
        let start = Instant::now();
        let vigil = Vigil::new(PATIENCE, start);
        vigil.received(start + Duration::from_secs(4));
        assert_eq!(due_after(&vigil, start), Some((5, Overdue::Head)));
        let response = vigil.request_began(false);
        assert_eq!(due_after(&vigil, start), None, "an origin may take longer");
        vigil.request_ended(response, start + Duration::from_secs(20));
        assert_eq!(due_after(&vigil, start), Some((35, Overdue::Request)));
        vigil.received(start + Duration::from_secs(30));
        vigil.received(start + Duration::from_secs(34));
        assert_eq!(due_after(&vigil, start), Some((35, Overdue::Head)));
    }

    #[tokio::test]
    async fn a_peer_must_take_what_is_written() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let vigil = Vigil::new(PATIENCE, start);
        let response = vigil.request_began(false);
        vigil.write_blocked(start + second);
        vigil.write_blocked(start + 2 * second);
        assert_eq!(due_after(&vigil, start), Some((11, Overdue::Reading)));
        vigil.write_progressed(start + 3 * second);
        assert_eq!(due_after(&vigil, start), None);
        vigil.write_blocked(start + 4 * second);
        vigil.request_ended(response, start + 5 * second);
        assert_eq!(due_after(&vigil, start), Some((14, Overdue::Reading)));
        vigil.write_progressed(start + 6 * second);
        assert_eq!(due_after(&vigil, start), Some((21, Overdue::Request)));
    }

    #[tokio::test]
    async fn a_multiplexed_connection_ends_when_none_of_its_responses_is_taken() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let vigil = Vigil::new(PATIENCE, start);
        let (first, other) = (vigil.request_began(true), vigil.request_began(true));
        vigil.piece_handed(first, start);
        vigil.piece_handed(other, start + second);
        vigil.write_progressed(start + 8 * second);
        assert_eq!(due_after(&vigil, start), Some((11, Overdue::Reading)), "pings are no progress");
        vigil.piece_wanted(first);
        assert_eq!(due_after(&vigil, start), None, "another visitor of the same proxy waits");
        vigil.piece_handed(first, start + 9 * second);
        assert_eq!(due_after(&vigil, start), Some((19, Overdue::Reading)));
        vigil.request_ended(other, start + 9 * second);
        vigil.request_ended(first, start + 9 * second);
        vigil.received(start + 12 * second);
        assert_eq!(due_after(&vigil, start), Some((24, Overdue::Request)), "pings begin no head");
    }

    #[tokio::test]
    async fn looking_again_never_misses_a_deadline_that_begins_later() {
        let start = Instant::now();
        let vigil = Vigil::new(PATIENCE, start);
        vigil.request_began(false);
        assert_eq!(vigil.look_again(start), start + PATIENCE.shortest());
        assert_eq!(vigil.overdue(start + Duration::from_secs(60)), None);
    }
}
