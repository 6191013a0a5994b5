//! Collapsing: many requests, one forward.
//!
//! A flight is a forward in a task of its own, so it outlives the client that
//! started it. Clients, the first one included, only watch its progress, and
//! may read the body while it still arrives. Nothing here knows what is
//! fetched or how: a [`Cargo`] says what a flight carries.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::cache::{CacheKey, Epoch, Epochs, Head, StoredResponse};
use super::origin::Fault;
use super::origin::bucket::Opened;
use super::spool::Spool;

/// Forwards at a time. Each waits at most for its turn and its timeouts.
const FLIGHTS_MAX: usize = 4096;

/// What flights carry: their keys, and the forms that a response takes on.
pub(crate) trait Cargo: Debug + 'static {
    /// What selects a flight.
    type Key: Clone + Debug + Eq + Hash + Send + Sync + 'static;
    /// What is known of a response before its body is.
    type Head: Debug + Send + Sync + 'static;
    /// A response that is whole.
    type Whole: Debug + Send + Sync + 'static;
    /// A body that is not shared.
    type Opened: Debug + Send + 'static;

    /// The body of a response that is whole.
    fn pieces(whole: &Self::Whole) -> &[Bytes];
}

/// The objects of a bucket.
#[derive(Debug)]
pub(crate) struct Objects;

impl Cargo for Objects {
    type Key = CacheKey;
    type Head = Head;
    type Whole = StoredResponse;
    type Opened = Opened;

    fn pieces(whole: &StoredResponse) -> &[Bytes] {
        &whole.pieces
    }
}

/// The forwards of one shield that are under way.
#[derive(Debug)]
pub(crate) struct Flights<C: Cargo = Objects> {
    board: Arc<Board<C>>,
    tasks: TaskTracker,
}

/// One forward, seen from a client.
#[derive(Debug)]
pub(crate) struct Flight<C: Cargo = Objects> {
    epoch: Epoch,
    progress: watch::Receiver<Progress<C>>,
}

/// How far a forward has come.
#[derive(Debug)]
pub(crate) enum Progress<C: Cargo = Objects> {
    /// The origin has not answered.
    Waiting,
    /// The body arrives; these pieces are released.
    Arriving(Arc<C::Head>, Vec<Bytes>),
    /// The response is whole and proven. Its pieces begin with those released.
    Whole(Arc<C::Whole>),
    /// The response is written to disk, and read from there while it arrives.
    Spooling(Arc<Spool>),
    /// The response is not shared: each client fetches its own.
    Unshared(Arc<Handover<C::Opened>>),
    /// The body outgrew what is held of it: these pieces are released, and the
    /// rest is for the first who comes that far.
    Rest(Vec<Bytes>, Arc<Handover<C::Opened>>),
    /// There is no response, or not all of it.
    Failed(Fault),
}

/// A body that one client may take over from a forward that is not shared.
#[derive(Debug)]
pub(crate) struct Handover<O = Opened>(Mutex<Option<O>>);

/// What became of a request to join.
#[derive(Debug)]
pub(crate) enum Joined<T, C: Cargo = Objects> {
    /// It started a flight.
    Leader(Flight<C>),
    /// It shares a flight.
    Follower(Flight<C>),
    /// A flight landed just before, and this is what it brought.
    Landed(T),
}

/// The forward's side of a flight. Dropping it ends the flight: clients that
/// still wait see a failure, never a short body.
#[derive(Debug)]
pub(crate) struct Takeoff<C: Cargo = Objects> {
    pub(crate) epoch: Epoch,
    key: C::Key,
    progress: watch::Sender<Progress<C>>,
    board: Arc<Board<C>>,
}

#[derive(Debug)]
struct Board<C: Cargo>(Mutex<HashMap<C::Key, Flight<C>>>);

impl<C: Cargo> Default for Flights<C> {
    fn default() -> Self {
        Self { board: Arc::new(Board(Mutex::default())), tasks: TaskTracker::new() }
    }
}

impl<C: Cargo> Flights<C> {
    /// Joins the flight for `key`, or starts one.
    ///
    /// A flight from before the newest purge is not joined: what it brings
    /// would no longer be usable. It flies on for those who joined before.
    /// `landed` is asked under the lock, so a flight that lands meanwhile is
    /// either joined or found in the cache, never flown again.
    pub(crate) fn join<T, F>(
        &self,
        key: &C::Key,
        epochs: &Epochs,
        landed: impl FnOnce() -> Option<T>,
        forward: impl FnOnce(Takeoff<C>) -> F,
    ) -> Result<Joined<T, C>, Fault>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut flights = self.board.flights();
        if let Some(flight) = flights.get(key).filter(|flight| epochs.usable(flight.epoch)) {
            return Ok(Joined::Follower(flight.clone()));
        }
        if let Some(landed) = landed() {
            return Ok(Joined::Landed(landed));
        }
        if flights.len() >= FLIGHTS_MAX {
            return Err(Fault::Overloaded);
        }
        let (sender, receiver) = watch::channel(Progress::Waiting);
        // Taken before the origin is asked: never later than the forward.
        let epoch = epochs.current();
        let flight = Flight { epoch, progress: receiver };
        flights.insert(key.clone(), flight.clone());
        drop(flights);
        let board = Arc::clone(&self.board);
        self.tasks.spawn(forward(Takeoff { epoch, key: key.clone(), progress: sender, board }));
        Ok(Joined::Leader(flight))
    }

    /// Waits until no flight is left.
    pub(crate) async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl<C: Cargo> Board<C> {
    fn flights(&self) -> MutexGuard<'_, HashMap<C::Key, Flight<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Cargo> Clone for Flight<C> {
    fn clone(&self) -> Self {
        Self { epoch: self.epoch, progress: self.progress.clone() }
    }
}

impl<C: Cargo> Clone for Progress<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Waiting => Self::Waiting,
            Self::Arriving(head, pieces) => Self::Arriving(Arc::clone(head), pieces.clone()),
            Self::Whole(whole) => Self::Whole(Arc::clone(whole)),
            Self::Spooling(spool) => Self::Spooling(Arc::clone(spool)),
            Self::Unshared(handover) => Self::Unshared(Arc::clone(handover)),
            Self::Rest(pieces, rest) => Self::Rest(pieces.clone(), Arc::clone(rest)),
            Self::Failed(fault) => Self::Failed(*fault),
        }
    }
}

impl<C: Cargo> Flight<C> {
    /// Waits until the origin's answer is known: never [`Progress::Waiting`].
    pub(crate) async fn answered(&mut self) -> Progress<C> {
        let answered = |progress: &Progress<C>| !matches!(progress, Progress::Waiting);
        match self.progress.wait_for(answered).await {
            Ok(progress) => progress.clone(),
            // The task ended without a word: it panicked.
            Err(_) => Progress::Failed(Fault::Unavailable),
        }
    }

    /// Waits for the piece at `index`; `None` behind the last one.
    pub(crate) async fn piece(&mut self, index: usize) -> Result<Option<Bytes>, Fault> {
        let there = |progress: &Progress<C>| match progress {
            Progress::Waiting => false,
            Progress::Arriving(_, pieces) => pieces.len() > index,
            _ => true,
        };
        let Ok(progress) = self.progress.wait_for(there).await else {
            return Err(Fault::Unavailable);
        };
        match &*progress {
            Progress::Arriving(_, pieces) => Ok(pieces.get(index).cloned()),
            Progress::Whole(stored) => Ok(C::pieces(stored).get(index).cloned()),
            Progress::Rest(pieces, _) => Ok(pieces.get(index).cloned()),
            Progress::Failed(fault) => Err(*fault),
            Progress::Waiting | Progress::Unshared(_) | Progress::Spooling(_) => {
                Err(Fault::Unavailable)
            }
        }
    }
}

impl<C: Cargo> Flight<C> {
    /// What follows the last piece: nothing, or what one client alone may read.
    pub(crate) fn rest(&self) -> Result<Option<C::Opened>, Fault> {
        match &*self.progress.borrow() {
            Progress::Rest(_, rest) => rest.take().map(Some).ok_or(Fault::Overloaded),
            _ => Ok(None),
        }
    }
}

impl<C: Cargo> Takeoff<C> {
    /// The body begins to arrive.
    pub(crate) fn arriving(&self, head: C::Head) {
        self.progress.send_replace(Progress::Arriving(Arc::new(head), Vec::new()));
    }

    /// The body begins to arrive on disk.
    pub(crate) fn spooling(&self, spool: Arc<Spool>) {
        self.progress.send_replace(Progress::Spooling(spool));
    }

    /// Releases the pieces of the body that have arrived: those released
    /// before, and the new ones behind them.
    pub(crate) fn release(&self, arrived: &[Bytes]) {
        self.progress.send_modify(|progress| {
            if let Progress::Arriving(_, pieces) = progress {
                pieces.extend_from_slice(&arrived[pieces.len()..]);
            }
        });
    }

    /// Ends the flight. Who comes after its end was told does not join it: a
    /// failure is shared by those who waited, and by nobody else.
    pub(crate) fn land(self, end: Progress<C>) {
        self.leave_board();
        self.progress.send_replace(end);
    }

    fn leave_board(&self) {
        let mut flights = self.board.flights();
        let own = flights.get(&self.key).is_some_and(|flight| {
            // A newer flight may have taken the place of this one.
            flight.progress.same_channel(&self.progress.subscribe())
        });
        if own {
            flights.remove(&self.key);
        }
    }
}

impl<C: Cargo> Drop for Takeoff<C> {
    fn drop(&mut self) {
        self.leave_board();
    }
}

impl<O> Default for Handover<O> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<O> Handover<O> {
    pub(crate) fn of(opened: O) -> Self {
        Self(Mutex::new(Some(opened)))
    }

    /// The body, for the first who asks.
    pub(crate) fn take(&self) -> Option<O> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::ObjectKey;

    fn key(number: usize) -> CacheKey {
        CacheKey::Object(ObjectKey::parse(&format!("a/{number}")).unwrap())
    }

    fn join(flights: &Flights, key: &CacheKey, epochs: &Epochs) -> Result<Joined<()>, Fault> {
        flights.join(
            key,
            epochs,
            || None,
            async |takeoff: Takeoff| {
                std::future::pending::<()>().await;
                drop(takeoff);
            },
        )
    }

    fn led(joined: Result<Joined<()>, Fault>) -> bool {
        matches!(joined, Ok(Joined::Leader(_)))
    }

    #[tokio::test]
    async fn no_more_than_4096_flights_are_under_way() {
        let (flights, epochs) = (Flights::<Objects>::default(), Epochs::default());
        for number in 0..FLIGHTS_MAX {
            assert!(led(join(&flights, &key(number), &epochs)));
        }
        let refused = join(&flights, &key(FLIGHTS_MAX), &epochs);
        assert!(matches!(refused, Err(Fault::Overloaded)));
        assert!(matches!(join(&flights, &key(0), &epochs), Ok(Joined::Follower(_))));
    }

    #[tokio::test]
    async fn what_has_just_landed_is_not_flown_again() {
        let (flights, epochs) = (Flights::<Objects>::default(), Epochs::default());
        let joined = flights.join(&key(0), &epochs, || Some("cached"), |_| std::future::ready(()));
        assert!(matches!(joined, Ok(Joined::Landed("cached"))), "{joined:?}");
        assert!(flights.board.flights().is_empty());
    }

    #[tokio::test]
    async fn a_flight_from_before_a_purge_is_not_joined_and_does_not_end_the_next() {
        let (flights, epochs) = (Flights::<Objects>::default(), Epochs::default());
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let early = flights.join(
            &key(0),
            &epochs,
            || None::<()>,
            async |takeoff| {
                let _ = receiver.await;
                takeoff.land(Progress::Failed(Fault::Timeout));
            },
        );
        let Ok(Joined::Leader(mut early)) = early else { panic!("{early:?}") };
        epochs.advance();
        assert!(led(join(&flights, &key(0), &epochs)));

        sender.send(()).unwrap();
        assert!(matches!(early.answered().await, Progress::Failed(Fault::Timeout)));
        assert!(matches!(join(&flights, &key(0), &epochs), Ok(Joined::Follower(_))));
    }

    #[tokio::test]
    async fn a_forward_that_panics_fails_its_clients_and_is_flown_again() {
        let (flights, epochs) = (Flights::<Objects>::default(), Epochs::default());
        let joined = flights.join(
            &key(0),
            &epochs,
            || None::<()>,
            async |takeoff: Takeoff| {
                takeoff.release(&[]);
                panic!("scripted");
            },
        );
        let Ok(Joined::Leader(mut flight)) = joined else { panic!("{joined:?}") };
        assert!(matches!(flight.answered().await, Progress::Failed(Fault::Unavailable)));
        assert!(matches!(flight.piece(0).await, Err(Fault::Unavailable)));
        assert!(led(join(&flights, &key(0), &epochs)));
    }
}
