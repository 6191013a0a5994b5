//! A bucket that counts what is asked of it, waits when told to, and breaks
//! off or lies on demand.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use awning::clock::Clock;
use awning::store::memory::MemoryStore;
use awning::store::{
    GetOutcome, GetRequest, Object, ObjectHead, ObjectRead, Operation, StoreError, StoreErrorKind,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::watch;

/// How long a test waits for what should happen at once, before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The scripted bucket.
pub(crate) struct Origin {
    pub(crate) store: MemoryStore,
    gets: Mutex<HashMap<String, usize>>,
    ranges: Mutex<Vec<GetRequest>>,
    scripts: Mutex<HashMap<String, Script>>,
    arrived: watch::Sender<usize>,
    gate: watch::Sender<bool>,
    pub(crate) chunks: Arc<Chunks>,
}

/// What happens to the reads of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Script {
    /// The read fails.
    Fails(StoreErrorKind),
    /// The body breaks off with an error after this many bytes.
    BreaksAfter(usize),
    /// The object breaks off with an error at this offset, however it is read.
    BreaksAt(usize),
    /// The object ends at this offset as if it were whole, however it is read.
    EndsAt(usize),
    /// The body breaks off after this many bytes, and its rest is another
    /// object's.
    ChangesAfter(usize),
    /// The byte at this offset is another one.
    Lies(usize),
    /// The body waits for the gate after this many bytes.
    WaitsAfter(usize),
    /// Nothing ever comes.
    Hangs,
    /// This much time passes before each chunk.
    Drips(Duration),
    /// The object comes only up to this offset and then nothing more.
    StallsAt(usize),
    /// The head of each read in turn comes after this long, or never; those of
    /// the reads behind them at once.
    Heads(&'static [Option<Duration>]),
}

/// The bytes of bodies that exist now, in chunks as the bucket gave them.
#[derive(Debug, Default)]
pub(crate) struct Chunks(AtomicUsize);

struct Chunk {
    bytes: Bytes,
    count: Arc<Chunks>,
}

impl Origin {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            store: MemoryStore::new(clock),
            gets: Mutex::default(),
            ranges: Mutex::default(),
            scripts: Mutex::default(),
            arrived: watch::channel(0).0,
            gate: watch::channel(true).0,
            chunks: Arc::default(),
        })
    }

    /// Reads so far of keys that end like this.
    pub(crate) fn gets(&self, suffix: &str) -> usize {
        let gets = self.gets.lock().unwrap();
        gets.iter().filter(|(key, _)| key.ends_with(suffix)).map(|(_, count)| count).sum()
    }

    /// What was last asked for.
    pub(crate) fn last_get(&self) -> GetRequest {
        self.ranges.lock().unwrap().last().cloned().unwrap()
    }

    /// From now on, reads of this key go like this.
    pub(crate) fn script(&self, key: &str, script: Script) {
        self.scripts.lock().unwrap().insert(key.to_owned(), script);
    }

    /// From now on, reads of this key go well.
    pub(crate) fn recover(&self, key: &str) {
        self.scripts.lock().unwrap().remove(key);
    }

    /// Reads wait until [`Origin::open`].
    pub(crate) fn close(&self) {
        self.gate.send_replace(false);
    }

    /// Lets all reads go on.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Waits until this many reads have begun.
    pub(crate) async fn asked(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        let reached = tokio::time::timeout(PATIENCE, arrived.wait_for(|seen| *seen >= count));
        assert!(reached.await.is_ok(), "no {count} reads have begun");
    }

    async fn read(&self, key: &str, request: GetRequest) -> Result<GetOutcome, StoreError> {
        let before = {
            let mut gets = self.gets.lock().unwrap();
            let count = gets.entry(key.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        self.ranges.lock().unwrap().push(request.clone());
        self.arrived.send_modify(|count| *count += 1);
        let script = self.scripts.lock().unwrap().get(key).copied();
        match script {
            Some(Script::Fails(kind)) => {
                return Err(StoreError::new(Operation::Get, key, kind, "scripted"));
            }
            Some(Script::Hangs) => std::future::pending().await,
            Some(Script::ChangesAfter(_)) if request.if_match.is_some() => {
                let kind = StoreErrorKind::Precondition;
                return Err(StoreError::new(Operation::Get, key, kind, "scripted"));
            }
            Some(Script::Heads(heads)) => match heads.get(before) {
                Some(None) => std::future::pending().await,
                Some(Some(after)) => tokio::time::sleep(*after).await,
                None => {}
            },
            Some(Script::WaitsAfter(_)) => {}
            _ => {
                self.gate.subscribe().wait_for(|open| *open).await.unwrap();
            }
        }
        match self.store.get(key, request).await? {
            GetOutcome::Found(object) => Ok(GetOutcome::Found(self.play(key, object, script))),
            GetOutcome::NotModified => Ok(GetOutcome::NotModified),
        }
    }

    fn play(&self, key: &str, object: Object, script: Option<Script>) -> Object {
        let count = Arc::clone(&self.chunks);
        let begins = object.part.map_or(0, |(first, _)| first as usize);
        let mut body =
            object.body.map(move |chunk| chunk.map(|bytes| Chunk::track(bytes, &count))).boxed();
        let broken =
            StoreError::new(Operation::Get, key, StoreErrorKind::Unavailable, "connection reset");
        body = match script {
            Some(Script::BreaksAfter(length) | Script::ChangesAfter(length)) => {
                first(body, length).chain(stream::iter([Err(broken)])).boxed()
            }
            Some(Script::BreaksAt(offset)) => {
                let length = offset.saturating_sub(begins);
                first(body, length).chain(stream::iter([Err(broken)])).boxed()
            }
            Some(Script::EndsAt(offset)) => first(body, offset.saturating_sub(begins)),
            Some(Script::Lies(at)) => lie(body, at),
            Some(Script::Drips(every)) => {
                let drip = move |chunk| tokio::time::sleep(every).map(move |()| chunk);
                body.then(drip).boxed()
            }
            Some(Script::StallsAt(offset)) => {
                let length = offset.saturating_sub(begins);
                first(body, length).chain(stream::pending()).boxed()
            }
            Some(Script::WaitsAfter(length)) => wait(body, length, self.gate.subscribe()),
            _ => body,
        };
        Object { body, ..object }
    }
}

impl ObjectRead for Origin {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        self.read(key, request).boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        self.store.head(key)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").finish_non_exhaustive()
    }
}

impl Chunks {
    /// The bytes that exist now.
    pub(crate) fn live(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Chunk {
    /// A copy that is counted until its last clone is dropped.
    fn track(bytes: Bytes, count: &Arc<Chunks>) -> Bytes {
        count.0.fetch_add(bytes.len(), Ordering::SeqCst);
        let bytes = Bytes::copy_from_slice(&bytes);
        Bytes::from_owner(Self { bytes, count: Arc::clone(count) })
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.count.0.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}

type Body = stream::BoxStream<'static, Result<Bytes, StoreError>>;

/// The first bytes of a body.
fn first(body: Body, length: usize) -> Body {
    let cut = body.scan(length, |left, chunk| {
        let part = chunk.map(|bytes| bytes.slice(..bytes.len().min(*left)));
        *left -= part.as_ref().map_or(0, Bytes::len);
        std::future::ready(Some(part))
    });
    // Ends with the first chunk that lies wholly behind the cut.
    cut.take_while(|part| std::future::ready(!part.as_ref().is_ok_and(Bytes::is_empty))).boxed()
}

fn lie(body: Body, at: usize) -> Body {
    body.scan(0, move |offset, chunk| {
        let told = chunk.map(|bytes| {
            let mut bytes = bytes.to_vec();
            if let Some(byte) = at.checked_sub(*offset).and_then(|at| bytes.get_mut(at)) {
                *byte = !*byte;
            }
            *offset += bytes.len();
            Bytes::from(bytes)
        });
        std::future::ready(Some(told))
    })
    .boxed()
}

/// A body that comes up to an offset, and the rest when the gate is open.
fn wait(body: Body, length: usize, gate: watch::Receiver<bool>) -> Body {
    body.scan((0, gate), move |(offset, gate), chunk| {
        let begins = *offset;
        *offset += chunk.as_ref().map_or(0, Bytes::len);
        let mut gate = gate.clone();
        async move {
            if begins >= length {
                gate.wait_for(|open| *open).await.unwrap();
            }
            Some(chunk)
        }
    })
    .boxed()
}
