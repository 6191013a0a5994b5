//! A connection's bytes for the fuzz targets: through the framing alone, and
//! through all of the listener and the gate, with a pipe for a socket.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use metrics::{Counter, Gauge};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::connection::{Endings, protocol, serve_connection};
use super::framing::{Framing, HeadLimits, Step};
use super::roster::Roster;
use super::vigil::Patience;
use super::{Answering, IDLE};
use crate::shield::body::{RequestBody, ResponseBody, full};
use crate::shield::config::{Config, Limits};
use crate::shield::gate::{self, Refusal};
use crate::shield::origin::storefront::fields;
use crate::shield::pages::PageKey;
use crate::shield::request::GatedRequest;
use crate::shield::site::SiteId;

/// Bytes that fit into the pipe, either way: more than any input is answered with.
const PIPE: usize = 4 << 20;
/// How long the visitor listens. The clock of a target stands still while
/// anything happens, so this is when nothing does any more.
const LISTENING: Duration = Duration::from_secs(3);
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What the framing made of a connection's bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Framed {
    /// The heads that went on, each with its empty line.
    pub heads: Vec<Vec<u8>>,
    /// All bytes that went on.
    pub passed: Vec<u8>,
    /// Why a head did not.
    pub refused: Option<Refusal>,
    /// A body in chunks could not be read, or frames of HTTP/2 carried nothing.
    pub broken: bool,
    /// It is HTTP/2, which is not framed.
    pub through: bool,
}

/// One request as it came out of hyper.
#[derive(Debug)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// What the gate made of it.
    pub admitted: Result<Admitted, Refusal>,
}

/// A request that the gate let through.
#[derive(Debug)]
pub struct Admitted {
    /// The request.
    pub request: GatedRequest,
    /// The key of what an upstream answers to it, as text.
    pub key: String,
    /// The fields that the upstream gets.
    pub forwarded: HeaderMap,
}

/// What became of a connection.
#[derive(Debug, Default)]
pub struct Served {
    /// The requests, in order.
    pub seen: Vec<Seen>,
    /// All that its visitor read: each request is answered with `ok`.
    pub answers: Vec<u8>,
}

/// Frames `bytes`, which come in pieces that end at `cuts`. No request ends
/// the protocol.
pub fn framed(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Framed {
    let limits =
        HeadLimits { bytes_max: limits.head_bytes_max, fields_max: limits.header_fields_max };
    let mut framing = Framing::new(limits);
    let mut result = Framed::default();
    let mut from = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        while from < end {
            let before_head = framing.is_before_head();
            match framing.step(&bytes[from..end]) {
                Step::Pass(count) => {
                    let passed = &bytes[from..from + count];
                    result.through |= before_head && passed.starts_with(b"PRI * HTTP/2.0\r\n");
                    if before_head && passed != b"\r\n" && !result.through {
                        result.heads.push(passed.to_vec());
                    }
                    result.passed.extend(passed);
                    from += count;
                }
                Step::More => break,
                Step::Ask => framing.answered(false),
                Step::Refuse(refusal) => {
                    result.refused = Some(refusal);
                    return result;
                }
                Step::Flood => {
                    // How much went on before depends on the cuts.
                    result.passed.clear();
                    result.broken = true;
                    return result;
                }
                Step::Break => {
                    result.broken = true;
                    return result;
                }
            }
        }
    }
    result
}

/// Serves a connection whose visitor sends `bytes` in pieces that end at
/// `cuts`, and then listens. The first site of `config` is the only one.
pub async fn served(bytes: &[u8], cuts: &[usize], config: &Arc<Config>) -> Served {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let limits = &config.limits;
    let patience = Patience { head: limits.head_timeout, idle: IDLE, write: limits.write_timeout };
    let roster = Roster::new(1, 1, Vec::new(), patience, Gauge::noop());
    let Ok(slot) = roster.admit(PEER, Instant::now()) else { return Served::default() };
    let (client, io) = duplex(PIPE);
    let endings = Arc::new(Endings::default());
    let protocol = protocol(limits, Counter::noop());
    let router = Telling { seen: Arc::clone(&seen), config: Arc::clone(config) };
    let serving = serve_connection(io, slot, None, router, &protocol, &endings);
    let visiting = async move {
        let (mut from, mut to) = split(client);
        let mut start = 0;
        for end in cuts.iter().copied().chain([bytes.len()]) {
            if to.write_all(&bytes[start..end]).await.is_err() {
                break;
            }
            start = end;
            yield_now().await;
        }
        let mut answers = Vec::new();
        // An end of the connection and silence are the same here.
        let _ = timeout(LISTENING, from.read_to_end(&mut answers)).await;
        answers
    };
    let (_, answers) = tokio::join!(serving, visiting);
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    Served { seen, answers }
}

/// A site that notes each request, reads its body, and answers `ok`.
#[derive(Clone)]
struct Telling {
    seen: Arc<Mutex<Vec<Seen>>>,
    config: Arc<Config>,
}

impl Answering for Telling {
    async fn answer(self, request: Request<RequestBody>, peer: IpAddr) -> Response<ResponseBody> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let noted = Seen { method, uri, admitted: admitted(&request, peer, &self.config) };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
        // Whether it is whole is not the question here.
        let _ = request.into_body().collect().await;
        Response::new(full("ok"))
    }
}

fn admitted<B>(request: &Request<B>, peer: IpAddr, config: &Config) -> Result<Admitted, Refusal> {
    let gated = gate::admit(request, peer, config)?;
    let site = config.sites.first().map(SiteId::of);
    let key = site.map_or_else(String::new, |site| format!("{:?}", PageKey::of(site, &gated)));
    let forwarded = fields::to_upstream(&gated, None);
    Ok(Admitted { request: gated, key, forwarded })
}
