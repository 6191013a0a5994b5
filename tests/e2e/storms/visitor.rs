//! One visitor: a connection of HTTP/1.1, and answers that are checked while
//! they arrive, so that none is held.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Addresses that visitors come from, as they do in the street: one peer holds
/// only so many connections, and has only so many ports.
const ADDRESSES: usize = 40;

/// Connections that are opened at once: fewer than a listener lets wait.
const OPENED_AT_ONCE: usize = 100;

const BUFFER_BYTES: usize = 16 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long anything of an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub(crate) struct Visitor {
    io: BufReader<TcpStream>,
}

/// What a body has to be: some bytes, again and again up to a size.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) period: Arc<[u8]>,
    pub(crate) size: u64,
}

/// The head of an answer.
pub(crate) struct Head {
    /// When its first byte was there.
    pub(crate) first: Instant,
    pub(crate) status: u16,
    pub(crate) cache_status: String,
    length: u64,
}

/// What became of requests.
#[derive(Default)]
pub(crate) struct Tally {
    /// Answers that were whole and right.
    pub(crate) right: u64,
    /// Answers that ended as if they were whole, and were other bytes.
    pub(crate) wrong: u64,
    /// Connections that were closed, reset or silent before an answer's end.
    pub(crate) broken: u64,
    /// Answers by what they say of the cache.
    pub(crate) led: u64,
    pub(crate) followed: u64,
    pub(crate) hits: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
}

impl Body {
    /// The bytes themselves.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self { period: bytes.into(), size }
    }

    /// Whether `piece` is what stands at `offset`.
    fn has(&self, offset: u64, piece: &[u8]) -> bool {
        let (mut at, mut rest) = (offset, piece);
        while !rest.is_empty() {
            let begin = (at % self.period.len().max(1) as u64) as usize;
            let Some(expected) = self.period.get(begin..).filter(|rest| !rest.is_empty()) else {
                return false;
            };
            let length = expected.len().min(rest.len());
            if expected[..length] != rest[..length] {
                return false;
            }
            (at, rest) = (at + length as u64, &rest[length..]);
        }
        true
    }
}

impl Visitor {
    /// Connects to a port, as the visitor of this number.
    pub(crate) async fn come(port: u16, number: usize) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let last = u8::try_from(number % ADDRESSES).unwrap_or_default() + 2;
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = timeout(PATIENCE, socket.connect(server)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { io: BufReader::with_capacity(BUFFER_BYTES, stream) })
    }

    /// So many visitors who have asked for `warm` already: none of them is new
    /// to the server, which waits longer for the next request than for the first.
    pub(crate) async fn many(port: u16, count: usize, warm: &[u8]) -> io::Result<Vec<Self>> {
        let (mut visitors, mut coming) = (Vec::with_capacity(count), JoinSet::new());
        for number in 0..count {
            if coming.len() >= OPENED_AT_ONCE {
                visitors.extend(coming.join_next().await.transpose()?.transpose()?);
            }
            let warm = warm.to_vec();
            coming.spawn(async move {
                let mut visitor = Self::come(port, number).await?;
                visitor.send(&warm).await?;
                let head = visitor.head().await?;
                visitor.body(&head, None).await.map(|_| visitor)
            });
        }
        while let Some(visitor) = coming.join_next().await {
            visitors.push(visitor??);
        }
        Ok(visitors)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.io.get_mut().write_all(bytes)).await?
    }

    /// Asks, and reads the answer to its end.
    pub(crate) async fn visit(
        &mut self,
        request: &[u8],
        expected: Option<&Body>,
    ) -> io::Result<(Head, bool)> {
        self.send(request).await?;
        let head = self.head().await?;
        let right = self.body(&head, expected).await?;
        Ok((head, right))
    }

    /// Waits for the head of an answer.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        self.arrived().await?;
        let first = Instant::now();
        let mut head = Head { first, status: 0, cache_status: String::new(), length: 0 };
        let (mut bytes, mut line) = (0, String::new());
        loop {
            line.clear();
            bytes += timeout(PATIENCE, self.io.read_line(&mut line)).await??;
            if !line.ends_with('\n') || bytes > HEAD_BYTES_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end();
            if text.is_empty() {
                return Ok(head);
            }
            match text.split_once(": ") {
                None => {
                    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
                    head.status = status.unwrap_or_default();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    head.length = value.parse().unwrap_or_default();
                }
                Some((name, value)) if name.eq_ignore_ascii_case("cache-status") => {
                    value.clone_into(&mut head.cache_status);
                }
                Some(_) => {}
            }
        }
    }

    /// Waits until there is something to read.
    pub(crate) async fn arrived(&mut self) -> io::Result<()> {
        let there = !timeout(PATIENCE, self.io.fill_buf()).await??.is_empty();
        if there { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads the body of an answer, and tells whether it is what it has to be.
    pub(crate) async fn body(&mut self, head: &Head, expected: Option<&Body>) -> io::Result<bool> {
        let expected = expected.filter(|_| head.status == 200);
        let mut right = expected.is_none_or(|body| body.size == head.length);
        let mut offset = 0;
        while offset < head.length {
            let piece = timeout(PATIENCE, self.io.fill_buf()).await??;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let left = usize::try_from(head.length - offset).unwrap_or(usize::MAX);
            let taken = piece.len().min(left);
            right = right && expected.is_none_or(|body| body.has(offset, &piece[..taken]));
            self.io.consume(taken);
            offset += taken as u64;
        }
        Ok(right)
    }
}

impl Tally {
    /// Counts one answer, or that there was none.
    pub(crate) fn count(&mut self, answer: &io::Result<(Head, bool)>) {
        let Ok((head, right)) = answer else {
            self.broken += 1;
            return;
        };
        *self.statuses.entry(head.status).or_default() += 1;
        self.right += u64::from(*right && head.status == 200);
        self.wrong += u64::from(!right);
        self.led += u64::from(head.leads());
        self.followed += u64::from(head.follows());
        self.hits += u64::from(head.is_hit());
    }

    /// Adds what another has counted.
    pub(crate) fn add(&mut self, other: Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        self.broken += other.broken;
        self.led += other.led;
        self.followed += other.followed;
        self.hits += other.hits;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let statuses = self.statuses.iter().map(|(status, count)| (status.to_string(), *count));
        json!({
            "right": self.right,
            "wrong": self.wrong,
            "broken": self.broken,
            "led": self.led,
            "followed": self.followed,
            "hits": self.hits,
            "statuses": statuses.collect::<BTreeMap<_, _>>(),
        })
    }
}

impl Head {
    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status.starts_with("awning; hit")
    }

    /// Whether the request was forwarded for this visitor.
    pub(crate) fn leads(&self) -> bool {
        self.cache_status.contains("; fwd=") && !self.cache_status.contains("collapsed")
    }

    pub(crate) fn follows(&self) -> bool {
        self.cache_status.contains("collapsed")
    }
}

/// A GET request with further fields, each with its CRLF.
pub(crate) fn get(host: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").into_bytes()
}

/// How times in milliseconds are distributed.
pub(crate) fn distribution(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get((times.len() * part / 1000).min(times.len().max(1) - 1));
    json!({ "p50": at(500), "p99": at(990), "max": times.last() })
}

pub(crate) fn millis(from: Instant, to: Instant) -> f64 {
    match to.checked_duration_since(from) {
        Some(time) => time.as_secs_f64() * 1000.0,
        None => -from.duration_since(to).as_secs_f64() * 1000.0,
    }
}
