//! An origin that makes up what it serves: a bucket whose large objects take no
//! room on any disk, and a shop that has a page for every URL.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use awning::asset::{Blake3, Fingerprint};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::visitor::Body;
use crate::{Failure, Words, tell};

/// The bucket's name, which begins the paths of its objects.
const BUCKET: &str = "/shop";

/// The bytes that large objects repeat.
const PERIOD_BYTES: usize = 64 * 1024;

/// Bytes of a page, and of a small object.
const SMALL_BYTES: u64 = 1024;

const HEAD_BYTES_MAX: usize = 128 * 1024;

/// What every reply has: no bucket sends less.
const FIELDS: &str = "Last-Modified: Wed, 25 Nov 2026 00:00:00 GMT\r\nETag: \"made-up\"\r\n";

/// What is under the names of objects.
struct Objects {
    large: (Fingerprint, Body),
    small: (Fingerprint, Body),
}

/// `bytes= seconds=`: serves objects of so many bytes, for so long. The first
/// line that it prints says where, and what the names of objects end in.
pub(crate) async fn origin(words: &Words) -> Result<Value, Failure> {
    let objects =
        Arc::new(Objects { large: named(words.take("bytes")?), small: named(SMALL_BYTES) });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(&json!({
        "port": listener.local_addr()?.port(),
        "large": objects.large.0.as_str(),
        "small": objects.small.0.as_str(),
    }))?;
    let serving = async {
        loop {
            // Without a free descriptor the next attempt waits for one.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let objects = Arc::clone(&objects);
            // A client that breaks off ends the connection: there is nobody to tell.
            tokio::spawn(async move { serve(stream, &objects).await });
        }
    };
    let _: Result<(), _> = timeout(Duration::from_secs(words.take("seconds")?), serving).await;
    Ok(json!({}))
}

/// The body of an object of this size, and its fingerprint.
pub(crate) fn named(size: u64) -> (Fingerprint, Body) {
    let period: Vec<u8> = (0..PERIOD_BYTES).map(|at| (at % 251) as u8).collect();
    let (mut hasher, mut left) = (Blake3::default(), size);
    while left > 0 {
        let length = left.min(PERIOD_BYTES as u64);
        hasher.update(&period[..length as usize]);
        left -= length;
    }
    (hasher.digest().fingerprint(), Body { period: period.into(), size })
}

async fn serve(stream: TcpStream, objects: &Objects) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut io = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if io.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ');
        let (method, target) = (words.next() == Some("GET"), words.next().unwrap_or_default());
        let target = target.to_owned();
        let mut bytes = 0;
        while !line.trim_end().is_empty() {
            line.clear();
            bytes += io.read_line(&mut line).await?;
            if !line.ends_with('\n') || bytes > HEAD_BYTES_MAX {
                return Ok(());
            }
        }
        let (head, body) = objects.reply(&target);
        io.get_mut().write_all(head.as_bytes()).await?;
        let mut left = body.filter(|_| method).map_or(0, |body| body.size);
        while let Some(body) = body.filter(|_| left > 0) {
            let length = left.min(PERIOD_BYTES as u64);
            io.get_mut().write_all(&body.period[..length as usize]).await?;
            left -= length;
        }
    }
}

impl Objects {
    fn reply(&self, target: &str) -> (String, Option<&Body>) {
        let path = target.split('?').next().unwrap_or_default();
        if let Some(key) = path.strip_prefix(BUCKET) {
            let named = [&self.large, &self.small];
            let named = named.into_iter().find(|(name, _)| key.contains(name.as_str()));
            return match named {
                Some((_, body)) => (head("application/octet-stream", "", body.size), Some(body)),
                None => (absent(), None),
            };
        }
        let fields = match path.starts_with("/vary/") {
            true => "Cache-Control: max-age=3600\r\nVary: X-Storm, Accept-Language\r\n",
            false => "Cache-Control: max-age=3600\r\n",
        };
        let body = &self.small.1;
        (head("text/plain", fields, body.size), Some(body))
    }
}

fn head(media: &str, fields: &str, length: u64) -> String {
    let status = "HTTP/1.1 200 OK\r\n";
    format!("{status}Content-Type: {media}\r\n{FIELDS}{fields}Content-Length: {length}\r\n\r\n")
}

/// The words in which a bucket says that it has no such object.
fn absent() -> String {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchKey</Code>\
                <Message>Key not found</Message></Error>";
    let length = body.len();
    format!(
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/xml\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}
