//! The front itself: it accepts connections, and keeps script and counts.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::call::Call;
use crate::cases;
use crate::counts::Counts;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::memory::Memory;
use crate::rate::Rate;
use crate::script::Script;
use crate::wire::Wire;

/// Most connections at once. Further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;

/// How long B2 keeps a connection that says nothing.
const IDLE: Duration = Duration::from_secs(5);

/// How the front behaves besides its script.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time that is added to every call.
    pub delay: Duration,
    /// How long a connection may be idle before it is closed.
    pub idle: Duration,
    /// Calls a second that are let through; the others are told to slow down.
    pub per_second: Option<u32>,
}

/// A front before a bucket. It ends when the value is dropped.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) behind: SocketAddr,
    pub(crate) settings: Settings,
    /// Told when a call is held.
    pub(crate) held: Notify,
    script: Mutex<Script>,
    counts: Mutex<Counts>,
    memory: Mutex<Memory>,
    rate: Mutex<Option<Rate>>,
    /// Connections that are still to be reset as soon as they are opened.
    resets: Mutex<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { delay: Duration::ZERO, idle: IDLE, per_second: None }
    }
}

impl Front {
    /// A front before `behind`, on a port of its own.
    pub async fn before(behind: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Self::on(listener, behind, Settings::default())
    }

    /// A front before `behind` that accepts from `listener`.
    pub fn on(listener: TcpListener, behind: SocketAddr, settings: Settings) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let rate = settings.per_second.map(|calls| Rate::new(calls, Instant::now()));
        let shared = Arc::new(Shared {
            behind,
            settings,
            held: Notify::new(),
            script: Mutex::default(),
            counts: Mutex::default(),
            memory: Mutex::default(),
            rate: Mutex::new(rate),
            resets: Mutex::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as an endpoint of an S3 client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, calls go by this script, and counts begin at nothing.
    pub fn follow(&self, script: Script) {
        *locked(&self.shared.script) = script;
        *locked(&self.shared.counts) = Counts::default();
    }

    /// From now on, so many calls a second are let through.
    pub fn limit(&self, per_second: Option<u32>) {
        let rate = per_second.map(|calls| Rate::new(calls, Instant::now()));
        *locked(&self.shared.rate) = rate;
    }

    /// Resets the next connections as soon as they are opened: so a TLS
    /// handshake breaks off.
    pub fn reset_connections(&self, count: u64) {
        *locked(&self.shared.resets) = count;
    }

    /// What went through since the script began.
    pub fn counts(&self) -> Counts {
        locked(&self.shared.counts).clone()
    }

    /// How often each rule of the script decided a call.
    pub fn fired(&self) -> Vec<u64> {
        locked(&self.shared.script).fired()
    }

    /// Returns when a call is being held.
    pub async fn held(&self) {
        self.shared.held.notified().await;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// Counts a call and says what becomes of it.
    pub(crate) fn decide(&self, call: &Call) -> Fault {
        let admits =
            |rate: &mut Option<Rate>| rate.as_mut().is_none_or(|rate| rate.admits(Instant::now()));
        let fault = match admits(&mut locked(&self.rate)) {
            true => locked(&self.script).decide(call),
            false => cases::slow_down(None),
        };
        let mut counts = self.counts();
        counts.add(call);
        counts.faults += u64::from(fault != Fault::Pass);
        fault
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        locked(&self.counts)
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        locked(&self.memory)
    }

    fn takes_reset(&self) -> bool {
        let mut resets = locked(&self.resets);
        let takes = *resets > 0;
        *resets = resets.saturating_sub(1);
        takes
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    let mut number = 0;
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // Without a free descriptor the next attempt waits for one to be freed.
        let Ok((stream, _)) = stream else {
            tokio::task::yield_now().await;
            continue;
        };
        let shared = Arc::clone(&shared);
        number += 1;
        connections.spawn(async move {
            connection(stream, shared, number).await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, number: u64) {
    shared.counts().connections += 1;
    let client = Wire::new(stream);
    if shared.takes_reset() {
        client.reset();
        return;
    }
    // A client or a bucket that broke off ends the connection: there is nobody to tell.
    let _ = Exchange::on(client, shared, number).run().await;
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::fault::{Change, Moment};
    use crate::script::When;

    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 10\r\n\r\n0123456789";

    /// A bucket that gives every request the same reply, and counts them.
    async fn bucket() -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counting = Arc::clone(&counting);
                tokio::spawn(async move {
                    let mut wire = Wire::new(stream);
                    while let Ok(Some(head)) = wire.head(false).await {
                        assert!(head.field("expect").is_none());
                        let mut body = head.request_body().unwrap();
                        while wire.piece(&mut body).await.unwrap().is_some() {}
                        counting.fetch_add(1, Ordering::SeqCst);
                        wire.send(REPLY).await.unwrap();
                    }
                });
            }
        });
        (address, asked)
    }

    /// All that comes back for some bytes, on a connection that then ends.
    async fn sent(front: &Front, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(front.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        // A reset ends the reading like any other end.
        let _ = stream.read_to_end(&mut back).await;
        back
    }

    #[tokio::test]
    async fn what_is_passed_on_is_not_touched() {
        let (behind, asked) = bucket().await;
        let front = Front::before(behind).await.unwrap();
        let put = b"PUT /b/k HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        let twice = [&put[..], put].concat();
        assert_eq!(sent(&front, &twice).await, [REPLY, REPLY].concat());
        let counts = front.counts();
        assert_eq!((counts.of("PutObject"), counts.connections, counts.faults), (2, 1, 0));
        assert_eq!(counts.bytes_in, twice.len() as u64);
        assert_eq!(counts.bytes_out, 2 * REPLY.len() as u64);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_client_that_asks_whether_to_go_on_is_told_by_the_front() {
        let (behind, _) = bucket().await;
        let front = Front::before(behind).await.unwrap();
        let put = b"PUT /b/k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
        let expected = [b"HTTP/1.1 100 Continue\r\n\r\n", REPLY].concat();
        assert_eq!(sent(&front, put).await, expected);
    }

    #[tokio::test]
    async fn each_fault_does_what_it_says_and_nothing_else() {
        let head = REPLY.len() - 10;
        let mut flipped = REPLY.to_vec();
        flipped[head + 4] ^= 1;
        let dated = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\ndate: x\r\n\r\n0123456789";
        let field = Change::Field("date".to_owned(), "x".to_owned());
        let busy = || crate::Reply::error(503, "SlowDown", "slower");
        for (fault, back, asks) in [
            (Fault::Change(Change::CutAfter(3)), Some(REPLY[..head + 3].to_vec()), 1),
            (Fault::Change(Change::CutAfter(0)), Some(REPLY[..head].to_vec()), 1),
            (Fault::Change(Change::Flip(4)), Some(flipped), 1),
            (Fault::Change(Change::CloseBehind), Some(REPLY.to_vec()), 1),
            (Fault::Change(Change::Drip(Duration::ZERO)), Some(REPLY.to_vec()), 1),
            (Fault::Change(field), Some(dated.to_vec()), 1),
            (Fault::Close(Moment::Head), Some(Vec::new()), 0),
            (Fault::Close(Moment::Body), Some(Vec::new()), 0),
            (Fault::Close(Moment::Effect), Some(Vec::new()), 1),
            (Fault::Reset(Moment::Head), Some(Vec::new()), 0),
            (Fault::Reset(Moment::Effect), Some(Vec::new()), 1),
            (Fault::Reply(busy()), None, 0),
            (Fault::ReplyAfter(busy()), None, 1),
        ] {
            let (behind, asked) = bucket().await;
            let front = Front::before(behind).await.unwrap();
            front.follow(Script::new().on(When::any(), fault.clone()));
            let put = b"PUT /b/k HTTP/1.1\r\nContent-Length: 6\r\n\r\nabcdef";
            let found = sent(&front, put).await;
            match back {
                Some(back) => assert_eq!(found, back, "{fault:?}"),
                None => assert!(found.starts_with(b"HTTP/1.1 503 Service Unavailable\r\n")),
            }
            assert_eq!(asked.load(Ordering::SeqCst), asks, "{fault:?}");
        }
    }

    #[tokio::test]
    async fn a_replay_is_the_reply_of_before() {
        let (behind, asked) = bucket().await;
        let front = Front::before(behind).await.unwrap();
        let get = b"GET /b/k HTTP/1.1\r\n\r\n";
        front.follow(Script::new().on(When::any().from(2), Fault::Replay));
        assert_eq!(sent(&front, get).await, REPLY);
        assert_eq!(sent(&front, get).await, REPLY);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let other = sent(&front, b"GET /b/other HTTP/1.1\r\n\r\n").await;
        assert!(other.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
    }

    #[tokio::test]
    async fn calls_above_the_rate_are_told_to_slow_down() {
        let (behind, asked) = bucket().await;
        let front = Front::before(behind).await.unwrap();
        front.limit(Some(1));
        let get = b"GET /b/k HTTP/1.1\r\n\r\n".repeat(3);
        let back = String::from_utf8(sent(&front, &get).await).unwrap();
        assert!(back.contains("<Code>SlowDown</Code>"), "{back}");
        assert!(asked.load(Ordering::SeqCst) < 3);
    }
}
