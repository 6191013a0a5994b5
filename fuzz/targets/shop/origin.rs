//! An upstream whose answers are the input's: right about what it sends, and
//! as odd as may be about everything else.

use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::play::{Answer, Framing, Says, changed_at, tag_of, varies};
use super::truth::{Bounds, Sent, Truth};
use super::{Time, begin};

/// Bytes of a body: few, so that many fit into a play.
const BODY_MAX: u16 = 6000;
/// Longest head of a request.
const HEAD_MAX: usize = 64 * 1024;
/// Statuses that the origin answers with, the usual ones more often.
const STATUSES: [u16; 16] =
    [200, 200, 200, 200, 200, 200, 204, 301, 404, 410, 500, 503, 304, 421, 429, 299];

/// What the origin knows.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) answers: Vec<Answer>,
    /// Whether a response that sets a cookie may still be shared.
    pub(crate) rfc: bool,
    /// Whether a rule gives freshness to what says nothing.
    pub(crate) rule: bool,
    pub(crate) truth: Truth,
    pub(crate) time: Time,
}

/// A request as the origin reads it.
struct Asked {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
}

/// Answers connections until it is dropped.
pub(crate) async fn answer(listener: TcpListener, script: Arc<Script>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that is dropped is over at once, or thousands of plays
        // leave the system without ports.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        let _ = stream.set_nodelay(true);
        connections.spawn(converse(stream, Arc::clone(&script)));
    }
}

async fn converse(mut stream: TcpStream, script: Arc<Script>) {
    while let Some(asked) = read(&mut stream).await {
        let response = script.respond(&asked);
        if stream.write_all(&response.bytes).await.is_err() {
            return;
        }
        if response.ends {
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
        if response.ends || response.breaks {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Requests of a play have no bodies, so nothing is read too far.
        if head.len() > HEAD_MAX || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).expect("a visitor's fields are text here");
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Some(Asked { method, target, fields: lines.filter_map(field).collect() })
}

impl Asked {
    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The bytes of a response, and what becomes of the connection.
struct Response {
    bytes: Vec<u8>,
    ends: bool,
    breaks: bool,
}

impl Script {
    fn respond(&self, asked: &Asked) -> Response {
        let mut facts = self.truth.facts();
        let visit = asked.field("x-visit").and_then(|visit| visit.parse().ok()).expect("a visit");
        let turn = facts.asked.len();
        facts.asked.push(visit);
        let answer =
            self.answers.get(turn % self.answers.len().max(1)).cloned().unwrap_or_default();
        let serial = u32::try_from(facts.sent.len()).expect("plays are short");
        // What a 304 does not say is as it was said before.
        let confirmed = asked.field("if-none-match").filter(|_| answer.confirms);
        let known = confirmed.and_then(serial_of).and_then(|serial| facts.sent.get(serial));
        let allowed = answer.is_allowed()
            || confirmed.is_some_and(|_| known.is_none_or(|known| known.allowed));
        let mut bounds = self.bounds(&answer);
        if confirmed.is_some() || asked.method == "HEAD" {
            // What it does not say holds on.
            bounds.never = false;
            let of_same = |sent: &&Sent| {
                Some(&*sent.host) == asked.field("host") && sent.target == asked.target
            };
            for sent in facts.sent.iter().filter(of_same) {
                bounds.fresh = bounds.fresh.max(sent.bounds.fresh);
                let longer = bounds.while_revalidate.max(sent.bounds.while_revalidate);
                bounds.while_revalidate = longer;
            }
        }
        let sent = Sent {
            at: self.time.now(),
            bounds,
            serial,
            visit,
            host: asked.field("host").expect("a host").to_owned(),
            target: asked.target.clone(),
            kind: asked.field("x-kind").map(str::to_owned),
            htmx: asked.field("hx-request").is_some(),
            personal: self.is_personal(&answer, asked, allowed),
            allowed,
            purges: facts.purges,
            body: body(serial, &answer),
        };
        let response = self.written(&answer, asked, &sent);
        facts.sent.push(sent);
        response
    }

    /// How long an answer may be fresh and stale, by the longest that it says.
    fn bounds(&self, answer: &Answer) -> Bounds {
        let mut bounds = Bounds::default();
        let (mut seconds, mut after) = (if self.rule { 60 } else { 0 }, 0);
        let targeted = answer.says().any(|said| matches!(said, Says::ForCdns(_)));
        for said in answer.says() {
            match *said {
                Says::MaxAge(s) | Says::SMaxAge(s) | Says::ForCdns(s) => {
                    seconds = seconds.max(u64::from(s));
                }
                // From a date that may be before now as well.
                Says::Expires(s) => seconds = seconds.max(u64::from(s.max(0).unsigned_abs()) + 128),
                // A tenth of the time since then (RFC 9111 §4.2.2), and some.
                Says::LastModified(_) => {
                    let begun = begin() - Duration::from_secs(5 * 86_400);
                    let since = self.time.now().duration_since(begun).unwrap_or_default();
                    seconds = seconds.max(since.as_secs() / 10);
                }
                Says::WhileRevalidate(s) => after = after.max(u64::from(s)),
                Says::NoCache if !targeted => bounds.never = true,
                _ => {}
            }
        }
        bounds.fresh = Duration::from_secs(seconds);
        bounds.while_revalidate = Duration::from_secs(after);
        bounds
    }

    /// Whether nobody else may get what is said here (RFC 9111 §3).
    fn is_personal(&self, answer: &Answer, asked: &Asked, allowed: bool) -> bool {
        let says = |said: Says| answer.says().any(|other| *other == said);
        let targeted = answer.says().any(|said| matches!(said, Says::ForCdns(_)));
        let understood = says(Says::MustUnderstand) && answer.code() != 299;
        let withheld = says(Says::Private) || (says(Says::NoStore) && !understood);
        let cookies = says(Says::SetCookie) || asked.field("cookie").is_some();
        let refused =
            |(name, value): &(String, String)| name == "cache-control" && value == "no-store";
        (withheld && !targeted)
            || (cookies && !self.rfc)
            || (asked.field("authorization").is_some() && !allowed)
            || says(Says::VaryAny)
            || asked.fields.iter().any(refused)
    }

    fn written(&self, answer: &Answer, asked: &Asked, sent: &Sent) -> Response {
        let confirmed = asked.field("if-none-match").filter(|_| answer.confirms);
        let part =
            asked.field("range").filter(|_| answer.parts).and_then(|range| part(range, sent));
        let head = asked.method == "HEAD";
        let (code, first, last) = match (confirmed, part, answer.code()) {
            (Some(_), ..) => (304, 0, 0),
            (None, Some((first, last)), 200) => (206, first, last + 1),
            (None, _, code) => (code, 0, sent.body.len()),
        };
        let empty = matches!(code, 204 | 304);
        let content = if empty { &[][..] } else { &sent.body[first..last] };
        let mut text = String::new();
        if answer.says().any(|said| *said == Says::Early) {
            text.push_str("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        text.push_str(&format!("HTTP/1.1 {code} Said\r\nX-Serial: {}\r\n", sent.serial));
        if code == 206 {
            let (last, size) = (last - 1, sent.body.len());
            text.push_str(&format!("Content-Range: bytes {first}-{last}/{size}\r\n"));
        }
        let tag = match confirmed {
            Some(tags) => tags.split(',').next().map(|tag| tag.trim().to_owned()),
            None => Some(tag_of(sent.serial)),
        };
        self.fields(&mut text, answer, sent, tag.as_deref());
        let framing = if empty { None } else { Some(answer.framing) };
        match framing {
            None => {}
            Some(Framing::Length) => {
                text.push_str(&format!("Content-Length: {}\r\n", content.len()));
            }
            Some(Framing::Chunked) => text.push_str("Transfer-Encoding: chunked\r\n"),
            Some(Framing::Close) => text.push_str("Connection: close\r\n"),
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        let before = bytes.len();
        let content = if head { &[][..] } else { content };
        match framing.filter(|_| !head) {
            Some(Framing::Chunked) => chunks(&mut bytes, content),
            _ => bytes.extend_from_slice(content),
        }
        let breaks = answer.breaks.map(usize::from).filter(|at| before + at < bytes.len());
        // Without a length, what was sent is the body: nobody can tell.
        let breaks = breaks.filter(|_| !matches!(framing, Some(Framing::Close)));
        bytes.truncate(breaks.map_or(bytes.len(), |at| before + at));
        let ends = matches!(framing, Some(Framing::Close)) && breaks.is_none();
        Response { bytes, ends, breaks: breaks.is_some() }
    }

    fn fields(&self, text: &mut String, answer: &Answer, sent: &Sent, tag: Option<&str>) {
        let at = |seconds: i64| {
            let now = self.time.now();
            let moved = Duration::from_secs(seconds.unsigned_abs());
            httpdate::fmt_http_date(if seconds < 0 { now - moved } else { now + moved })
        };
        let mut field = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\r\n"));
        if varies(&sent.target) {
            field("Vary", "X-Kind");
        }
        let (mut tag, mut html) = (tag.map(str::to_owned), false);
        for said in answer.says() {
            let control = match *said {
                Says::MaxAge(seconds) => format!("max-age={seconds}"),
                Says::SMaxAge(seconds) => format!("s-maxage={seconds}"),
                Says::NoStore => "no-store".to_owned(),
                Says::NoCache => "no-cache".to_owned(),
                Says::Private => "private".to_owned(),
                Says::Public => "public".to_owned(),
                Says::MustRevalidate => "must-revalidate".to_owned(),
                Says::MustUnderstand => "must-understand".to_owned(),
                Says::WhileRevalidate(seconds) => format!("stale-while-revalidate={seconds}"),
                Says::IfError(seconds) => format!("stale-if-error={seconds}"),
                Says::Immutable => "immutable".to_owned(),
                _ => String::new(),
            };
            match *said {
                Says::ForCdns(seconds) => field("CDN-Cache-Control", &format!("max-age={seconds}")),
                Says::Expires(seconds) => field("Expires", &at(i64::from(seconds))),
                Says::Age(seconds) => field("Age", &seconds.to_string()),
                Says::Date(seconds) => field("Date", &at(i64::from(seconds))),
                Says::LastModified(back) => field("Last-Modified", &changed_at(back)),
                Says::SetCookie => field("Set-Cookie", &format!("session={}", sent.visit)),
                Says::VaryAny => field("Vary", "*"),
                Says::NoTag => tag = None,
                Says::WeakTag => tag = tag.map(|tag| format!("W/{}", tag.trim_start_matches("W/"))),
                Says::Html => html = true,
                _ if !control.is_empty() => field("Cache-Control", &control),
                _ => {}
            }
        }
        if let Some(tag) = tag {
            field("ETag", &tag);
        }
        field("Content-Type", if html { "text/html" } else { "text/plain" });
    }
}

impl Answer {
    fn says(&self) -> impl Iterator<Item = &Says> {
        self.says.iter().take(8)
    }

    /// RFC 9111 §3.5, leniently.
    fn is_allowed(&self) -> bool {
        self.says().any(|said| {
            let known = matches!(said, Says::Public | Says::MustRevalidate);
            known || matches!(said, Says::SMaxAge(_) | Says::ForCdns(_))
        })
    }

    fn code(&self) -> u16 {
        STATUSES[usize::from(self.status) % STATUSES.len()]
    }
}

/// A body that tells in any piece of it which response it is of.
fn body(serial: u32, answer: &Answer) -> Vec<u8> {
    let mark = format!("<s{serial:04}>").replace(['<', '>'], "|");
    mark.bytes().cycle().take(usize::from(answer.length % BODY_MAX)).collect()
}

/// The number of the response with the first of these tags.
fn serial_of(tags: &str) -> Option<usize> {
    let digits = tags.split_once("\"s")?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The part that is asked for, when it is one and there.
fn part(range: &str, sent: &Sent) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let end = sent.body.len().checked_sub(1)?;
    (first <= last && first <= end).then_some((first, last.min(end)))
}

fn chunks(bytes: &mut Vec<u8>, content: &[u8]) {
    for chunk in content.chunks(997) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
}
