//! What a connection is waiting for, and until when it may.
//!
//! A record of events and the deadlines that follow from them; it keeps no
//! timer. hyper's own header timeout starts only once the protocol version is
//! known, so a client that sends nothing would be waited for for ever. And a
//! byte now and then is no progress: whoever is sent something takes it at
//! [`BYTES_PER_SECOND`], or not at all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How fast a peer must take what waits for it: slower than any modem.
const BYTES_PER_SECOND: u64 = 1024;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From its beginning, or the first byte of a head, to the end of that head.
    pub(crate) head: Duration,
    /// From the end of a response to the first byte of the next head.
    pub(crate) idle: Duration,
    /// Without the peer taking what is written at [`BYTES_PER_SECOND`].
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
    /// Since that is expected.
    since: Stretch,
    in_flight: usize,
    multiplexed: bool,
    /// Since the peer last took a byte of what waits.
    write_blocked: Option<Instant>,
    /// Since the peer has not taken all that was written.
    behind: Option<Stretch>,
    /// Streams with a piece of a response that the peer has no window for: at
    /// most one piece a stream. Rarely more than one, and the place is used again.
    handed: Vec<(u64, Instant)>,
    streams: Vec<(u64, CancellationToken)>,
    responses: u64,
    given_up: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expecting {
    HeadEnd,
    Request,
}

/// A stretch of time, and the bytes that the peer took in it.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    begin: Instant,
    taken: u64,
}

impl Stretch {
    fn from(begin: Instant) -> Self {
        Self { begin, taken: 0 }
    }

    /// Whether so many bytes were taken by `now` as must be.
    fn is_fast_enough(&self, now: Instant) -> bool {
        self.taken >= (now - self.begin).as_secs().saturating_mul(BYTES_PER_SECOND)
    }
}

impl Vigil {
    /// The vigil of a connection that opened at `now`.
    pub(crate) fn new(patience: Patience, now: Instant) -> Self {
        let state = State {
            expecting: Expecting::HeadEnd,
            since: Stretch::from(now),
            in_flight: 0,
            multiplexed: false,
            write_blocked: None,
            behind: None,
            handed: Vec::new(),
            streams: Vec::new(),
            responses: 0,
            given_up: false,
        };
        Self { patience, state: Mutex::new(state) }
    }

    /// The most bytes that are handed over as one piece of a stream: so many
    /// as the peer must take while it is waited for.
    pub(crate) fn piece_max(&self) -> usize {
        let bytes = self.patience.write.as_secs().saturating_mul(BYTES_PER_SECOND);
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1024)
    }

    /// Bytes arrived. On an HTTP/1 connection without a request they begin a head.
    pub(crate) fn received(&self, now: Instant) {
        let mut state = self.state();
        let begins_head = state.in_flight == 0 && state.expecting == Expecting::Request;
        if begins_head && !state.multiplexed {
            state.expecting = Expecting::HeadEnd;
            state.since = Stretch::from(now);
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

    /// A stream can be ended by itself from now on: `end` ends it.
    pub(crate) fn stream_began(&self, response: u64, end: CancellationToken) {
        self.state().streams.push((response, end));
    }

    /// The response was handed over whole, or given up.
    pub(crate) fn request_ended(&self, response: u64, now: Instant) {
        let mut state = self.state();
        state.forget(response);
        state.streams.retain(|(open, _)| *open != response);
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 {
            state.expecting = Expecting::Request;
            state.since = Stretch::from(now);
        }
    }

    /// A piece of a stream's response waits for the peer's window.
    pub(crate) fn piece_handed(&self, response: u64, now: Instant) {
        let mut state = self.state();
        state.forget(response);
        state.handed.push((response, now));
    }

    /// All pieces of a stream's response were taken, and more is asked for.
    pub(crate) fn piece_wanted(&self, response: u64) {
        self.state().forget(response);
    }

    /// The peer takes no more bytes for now.
    pub(crate) fn write_blocked(&self, now: Instant) {
        let mut state = self.state();
        state.write_blocked.get_or_insert(now);
        state.behind.get_or_insert(Stretch::from(now));
    }

    /// The peer took so many bytes.
    pub(crate) fn write_progressed(&self, bytes: usize, now: Instant) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut state = self.state();
        state.write_blocked = None;
        if let Some(behind) = &mut state.behind {
            behind.taken = behind.taken.saturating_add(bytes);
        }
        if state.expecting == Expecting::Request {
            // It may be the answer to a ping, which buys no time.
            match state.multiplexed {
                true => state.since.taken = state.since.taken.saturating_add(bytes),
                false => state.since = Stretch::from(now),
            }
        }
    }

    /// The peer took everything that was written so far.
    pub(crate) fn caught_up(&self) {
        let mut state = self.state();
        (state.write_blocked, state.behind) = (None, None);
    }

    /// Whether requests share the connection at the same time.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.state().multiplexed
    }

    /// Since when the connection could be closed without breaking anything off.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.in_flight == 0).then_some(state.since.begin)
    }

    /// Whether what was written is not waited for any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state().given_up
    }

    /// What the peer has not done in time by `now`. What it does slowly, but
    /// fast enough, is looked at anew.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Overdue> {
        let mut state = self.state();
        let overdue = state.overdue(&self.patience, now);
        state.given_up |= overdue == Some(Overdue::Reading);
        overdue
    }

    /// Ends the streams whose readers stopped, beside others that go on. Gives
    /// how many they were.
    pub(crate) fn end_stopped(&self, now: Instant) -> u64 {
        let (patience, mut state) = (self.patience, self.state());
        let State { handed, streams, .. } = &mut *state;
        let mut ended = 0;
        for (response, since) in handed.iter() {
            let stream = streams.iter().position(|(open, _)| open == response);
            if let Some(stream) = stream.filter(|_| *since + patience.write <= now) {
                streams.swap_remove(stream).1.cancel();
                ended += 1;
            }
        }
        ended
    }

    /// When to look again: no deadline lies before it.
    pub(crate) fn look_again(&self, now: Instant) -> Instant {
        let unforeseen = now + self.patience.shortest();
        self.earliest().map_or(unforeseen, |due| due.clamp(now, unforeseen))
    }

    fn earliest(&self) -> Option<Instant> {
        let (patience, state) = (self.patience, self.state());
        let behind = state.behind.map(|behind| behind.begin);
        // One that was ended already is not waited for again.
        let stopped = state
            .handed
            .iter()
            .filter(|(response, _)| state.streams.iter().any(|(open, _)| open == response));
        let stopped = stopped.map(|(_, since)| *since);
        let taking = state.write_blocked.into_iter().chain(behind).chain(stopped);
        let taking = taking.chain(state.all_stopped()).min().map(|since| since + patience.write);
        if state.in_flight > 0 || state.write_blocked.is_some() {
            return taking;
        }
        let limit = match state.expecting {
            Expecting::HeadEnd => patience.head,
            Expecting::Request => patience.idle,
        };
        taking.into_iter().chain([state.since.begin + limit]).min()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn overdue(&mut self, patience: &Patience, now: Instant) -> Option<Overdue> {
        let due = |since: Instant, limit: Duration| since + limit <= now;
        if self.write_blocked.is_some_and(|since| due(since, patience.write)) {
            return Some(Overdue::Reading);
        }
        if let Some(behind) = &mut self.behind
            && due(behind.begin, patience.write)
        {
            if !behind.is_fast_enough(now) {
                return Some(Overdue::Reading);
            }
            *behind = Stretch::from(now);
        }
        if self.all_stopped().is_some_and(|since| due(since, patience.write)) {
            return Some(Overdue::Reading);
        }
        if self.in_flight > 0 || self.write_blocked.is_some() {
            return None;
        }
        match self.expecting {
            Expecting::HeadEnd => due(self.since.begin, patience.head).then_some(Overdue::Head),
            Expecting::Request if !due(self.since.begin, patience.idle) => None,
            Expecting::Request if self.multiplexed && self.since.is_fast_enough(now) => {
                self.since = Stretch::from(now);
                None
            }
            Expecting::Request => Some(Overdue::Request),
        }
    }

    /// Nothing of a response is with the peer.
    fn forget(&mut self, response: u64) {
        self.handed.retain(|(handed, _)| *handed != response);
    }

    /// Since when the peer takes none of the responses that it asked for.
    ///
    /// The peer may be a proxy, whose visitors must not suffer from one who
    /// stopped reading: while others read, or wait for an origin, only that
    /// one's stream is ended.
    fn all_stopped(&self) -> Option<Instant> {
        let all = self.in_flight > 0 && self.handed.len() >= self.in_flight;
        self.handed.iter().map(|(_, since)| *since).max().filter(|_| all)
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
    const SECOND: Duration = Duration::from_secs(1);

    /// When something is overdue, looked at each second, and what.
    fn due_after(vigil: &Vigil, start: Instant, from: u32) -> Option<(u32, Overdue)> {
        (from..60).find_map(|after| Some((after, vigil.overdue(start + after * SECOND)?)))
    }

    #[tokio::test]
    async fn a_head_must_be_whole_in_time_however_its_bytes_come() {
        let start = Instant::now();
        let vigil = Vigil::new(PATIENCE, start);
        vigil.received(start + 4 * SECOND);
        assert_eq!(due_after(&vigil, start, 0), Some((5, Overdue::Head)));
        let response = vigil.request_began(false);
        assert_eq!(due_after(&vigil, start, 0), None, "an origin may take longer");
        vigil.request_ended(response, start + 20 * SECOND);
        assert_eq!(due_after(&vigil, start, 20), Some((35, Overdue::Request)));
        vigil.received(start + 30 * SECOND);
        vigil.received(start + 34 * SECOND);
        assert_eq!(due_after(&vigil, start, 30), Some((35, Overdue::Head)));
    }

    #[tokio::test]
    async fn a_peer_must_take_what_is_written() {
        let start = Instant::now();
        let vigil = Vigil::new(PATIENCE, start);
        let response = vigil.request_began(false);
        vigil.write_blocked(start + SECOND);
        vigil.write_blocked(start + 2 * SECOND);
        assert_eq!(due_after(&vigil, start, 2), Some((11, Overdue::Reading)));
        vigil.write_progressed(1, start + 3 * SECOND);
        vigil.caught_up();
        assert_eq!(due_after(&vigil, start, 3), None, "it has all there was");
        vigil.write_blocked(start + 4 * SECOND);
        vigil.request_ended(response, start + 5 * SECOND);
        assert_eq!(due_after(&vigil, start, 5), Some((14, Overdue::Reading)));
        vigil.write_progressed(1, start + 6 * SECOND);
        vigil.caught_up();
        assert_eq!(due_after(&vigil, start, 6), Some((21, Overdue::Request)));
    }

    #[tokio::test]
    async fn a_byte_now_and_then_is_no_reading_and_a_kibibyte_each_second_is() {
        for (bytes, due) in [(1, Some(10)), (1023, Some(10)), (1024, None), (100_000, None)] {
            let start = Instant::now();
            let vigil = Vigil::new(PATIENCE, start);
            vigil.request_began(false);
            let mut found = None;
            for second in 0..60 {
                let now = start + second * SECOND;
                vigil.write_blocked(now);
                if let Some(overdue) = vigil.overdue(now) {
                    found = Some((second, overdue));
                    break;
                }
                vigil.write_progressed(bytes, now);
                vigil.write_blocked(now);
            }
            assert_eq!(found, due.map(|due| (due, Overdue::Reading)), "{bytes} bytes a second");
        }
    }

    #[tokio::test]
    async fn a_multiplexed_connection_ends_when_none_of_its_responses_is_taken() {
        let start = Instant::now();
        let vigil = Vigil::new(PATIENCE, start);
        let (first, other) = (vigil.request_began(true), vigil.request_began(true));
        vigil.piece_handed(first, start);
        vigil.piece_handed(other, start + SECOND);
        vigil.write_progressed(17, start + 8 * SECOND);
        assert_eq!(due_after(&vigil, start, 8), Some((11, Overdue::Reading)), "pings are nothing");
        vigil.piece_wanted(first);
        assert_eq!(due_after(&vigil, start, 8), None, "another visitor of the same proxy waits");
        vigil.piece_handed(first, start + 9 * SECOND);
        assert_eq!(due_after(&vigil, start, 9), Some((19, Overdue::Reading)));
    }

    #[tokio::test]
    async fn an_idle_multiplexed_connection_is_not_kept_by_pings() {
        let start = Instant::now();
        let vigil = Vigil::new(PATIENCE, start);
        let response = vigil.request_began(true);
        vigil.request_ended(response, start + 9 * SECOND);
        vigil.received(start + 12 * SECOND);
        vigil.write_progressed(17, start + 12 * SECOND);
        assert_eq!(due_after(&vigil, start, 12), Some((24, Overdue::Request)));
        // But one that still takes the end of a response is.
        vigil.write_progressed(15 * 1024, start + 20 * SECOND);
        assert_eq!(due_after(&vigil, start, 20), Some((39, Overdue::Request)));
    }

    #[tokio::test]
    async fn a_stream_that_is_not_read_is_ended_beside_others_that_are() {
        let start = Instant::now();
        let vigil = Vigil::new(PATIENCE, start);
        let ends: Vec<_> = (0..2).map(|_| CancellationToken::new()).collect();
        let streams: Vec<_> = ends
            .iter()
            .map(|end| {
                let response = vigil.request_began(true);
                vigil.stream_began(response, end.clone());
                response
            })
            .collect();
        vigil.piece_handed(streams[0], start);
        assert_eq!(vigil.end_stopped(start + 9 * SECOND), 0);
        assert_eq!(vigil.look_again(start + 9 * SECOND), start + 10 * SECOND);
        assert_eq!(vigil.end_stopped(start + 10 * SECOND), 1);
        assert!(ends[0].is_cancelled() && !ends[1].is_cancelled());
        assert_eq!(vigil.end_stopped(start + 11 * SECOND), 0, "once is enough");
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
