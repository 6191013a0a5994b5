//! HTTP/1.1 as bytes on a connection: heads are read, bodies passed on as they
//! came, chunks included.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest head that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most fields of a head.
const FIELDS_MAX: usize = 100;

/// Longest line between two chunks, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Most bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A connection, and what was read of it ahead of time.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    ahead: BytesMut,
}

/// The head of a request or of a reply.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    /// Empty for a reply.
    pub(crate) method: String,
    /// Path and query; empty for a reply.
    pub(crate) target: String,
    /// 0 for a request.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    /// As it came, its empty line included.
    pub(crate) raw: Vec<u8>,
}

/// How much of a body is left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks; so many bytes of the one that was begun, its line end included.
    Chunks(u64),
    /// Lines behind the last chunk.
    Trailer,
    /// Everything until the connection ends.
    ToEnd,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Small writes must not wait for the other side's acknowledgement.
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: BytesMut::new() }
    }

    /// Reads a head; `None` when the connection ended before its first byte.
    pub(crate) async fn head(&mut self, of_reply: bool) -> io::Result<Option<Head>> {
        loop {
            if let Some(head) = Head::parse(&self.ahead, of_reply)? {
                let _ = self.ahead.split_to(head.raw.len());
                return Ok(Some(head));
            }
            if self.ahead.len() > HEAD_BYTES_MAX {
                return Err(malformed("the head is too long"));
            }
            match (self.fill().await?, self.ahead.is_empty()) {
                (0, true) => return Ok(None),
                (0, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    /// The next bytes of a body as they came; `None` behind its last.
    pub(crate) async fn piece(&mut self, body: &mut Body) -> io::Result<Option<Bytes>> {
        match *body {
            Body::Length(0) => Ok(None),
            Body::Length(left) => {
                let piece = self.up_to(left).await?;
                *body = Body::Length(left - piece.len() as u64);
                Ok(Some(piece))
            }
            Body::Chunks(0) => {
                let line = self.line().await?;
                let size = std::str::from_utf8(&line).ok();
                let size = size.and_then(|line| line.split([';', '\r']).next());
                let size = size.and_then(|size| u64::from_str_radix(size.trim(), 16).ok());
                *body = match size.ok_or_else(|| malformed("a chunk has no size"))? {
                    0 => Body::Trailer,
                    size => Body::Chunks(size + 2),
                };
                Ok(Some(line))
            }
            Body::Chunks(left) => {
                let piece = self.up_to(left).await?;
                *body = Body::Chunks(left - piece.len() as u64);
                Ok(Some(piece))
            }
            Body::Trailer => {
                let line = self.line().await?;
                if &line[..] == b"\r\n" {
                    *body = Body::Length(0);
                }
                Ok(Some(line))
            }
            Body::ToEnd => {
                if self.ahead.is_empty() && self.fill().await? == 0 {
                    *body = Body::Length(0);
                    return Ok(None);
                }
                Ok(Some(self.ahead.split().freeze()))
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Returns when the other side has gone, whatever it still sends.
    pub(crate) async fn gone(&mut self) {
        loop {
            self.ahead.clear();
            if !matches!(self.fill().await, Ok(1..)) {
                return;
            }
        }
    }

    /// Whether the connection can carry another request: nothing came that
    /// nobody asked for, and no end.
    pub(crate) fn is_quiet(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]);
        self.ahead.is_empty()
            && nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ends the connection with a reset in place of an orderly end.
    pub(crate) fn reset(&self) {
        // Closed without lingering, it throws away what is under way.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }

    async fn up_to(&mut self, bytes_max: u64) -> io::Result<Bytes> {
        if self.ahead.is_empty() && self.fill().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let taken = self.ahead.len().min(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        Ok(self.ahead.split_to(taken).freeze())
    }

    /// Reads a line, its end included.
    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            let end = self.ahead.windows(2).position(|pair| pair == b"\r\n");
            if let Some(end) = end {
                return Ok(self.ahead.split_to(end + 2).freeze());
            }
            if self.ahead.len() > LINE_BYTES_MAX {
                return Err(malformed("a line is too long"));
            }
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.ahead.reserve(PIECE_BYTES);
        self.stream.read_buf(&mut self.ahead).await
    }
}

impl Head {
    /// The value of a field; the name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body that follows a request.
    pub(crate) fn request_body(&self) -> io::Result<Body> {
        self.framed(Body::Length(0))
    }

    /// The body that follows a reply to a request of `method`.
    pub(crate) fn reply_body(&self, method: &str) -> io::Result<Body> {
        match self.status {
            100..=199 | 204 | 304 => Ok(Body::Length(0)),
            _ if method == "HEAD" => Ok(Body::Length(0)),
            _ => self.framed(Body::ToEnd),
        }
    }

    /// The head without a field, or with another value of it.
    pub(crate) fn with(&self, name: &str, value: Option<&str>) -> Vec<u8> {
        let text = String::from_utf8_lossy(&self.raw);
        let mut lines = text.trim_end().split("\r\n");
        let mut head = format!("{}\r\n", lines.next().unwrap_or_default());
        let kept = |line: &&str| {
            line.split(':').next().is_none_or(|found| !found.trim().eq_ignore_ascii_case(name))
        };
        lines.filter(kept).for_each(|line| head += &format!("{line}\r\n"));
        if let Some(value) = value {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        head.into_bytes()
    }

    fn framed(&self, otherwise: Body) -> io::Result<Body> {
        if let Some(coding) = self.field("transfer-encoding") {
            let chunked = coding.trim().eq_ignore_ascii_case("chunked");
            return if chunked { Ok(Body::Chunks(0)) } else { Err(malformed("unknown coding")) };
        }
        match self.field("content-length").map(str::parse) {
            None => Ok(otherwise),
            Some(Ok(length)) => Ok(Body::Length(length)),
            Some(Err(_)) => Err(malformed("the length is no number")),
        }
    }

    fn parse(bytes: &[u8], of_reply: bool) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let (length, mut head) = if of_reply {
            let mut reply = httparse::Response::new(&mut fields);
            let parsed = reply.parse(bytes).map_err(|_| malformed("this is no reply"))?;
            let status = reply.code.unwrap_or_default();
            (parsed, Self { status, fields: owned(reply.headers), ..Self::default() })
        } else {
            let mut request = httparse::Request::new(&mut fields);
            let parsed = request.parse(bytes).map_err(|_| malformed("this is no request"))?;
            let [method, target] =
                [request.method, request.path].map(|text| text.unwrap_or_default().to_owned());
            (parsed, Self { method, target, fields: owned(request.headers), ..Self::default() })
        };
        let httparse::Status::Complete(length) = length else { return Ok(None) };
        head.raw = bytes[..length].to_vec();
        Ok(Some(head))
    }

    #[cfg(test)]
    pub(crate) fn request(method: &str, target: &str) -> Self {
        let raw = format!("{method} {target} HTTP/1.1\r\n\r\n").into_bytes();
        Self::parse(&raw, false).unwrap().unwrap()
    }
}

fn owned(fields: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let named = fields.iter().filter(|field| !field.name.is_empty());
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    named.map(|field| (field.name.to_ascii_lowercase(), text(field.value))).collect()
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn wire(bytes: &[u8]) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        sender.write_all(bytes).await.unwrap();
        Wire::new(listener.accept().await.unwrap().0)
    }

    async fn passed(wire: &mut Wire, mut body: Body) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = wire.piece(&mut body).await.unwrap() {
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    #[tokio::test]
    async fn a_body_ends_where_its_head_says() {
        let chunked = "3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nt: 1\r\n\r\n";
        for (field, body) in
            [("Content-Length: 3", "abc"), ("Transfer-Encoding: chunked", chunked), ("X: y", "")]
        {
            let next = "GET / HTTP/1.1\r\n\r\n";
            let text = format!("PUT /b/k HTTP/1.1\r\n{field}\r\n\r\n{body}{next}");
            let mut wire = wire(text.as_bytes()).await;
            let head = wire.head(false).await.unwrap().unwrap();
            let framed = head.request_body().unwrap();
            assert_eq!(passed(&mut wire, framed).await, body.as_bytes(), "{field}");
            assert_eq!(wire.head(false).await.unwrap().unwrap().method, "GET");
            assert!(wire.head(false).await.unwrap().is_none());
        }
    }

    #[test]
    fn a_field_is_replaced_or_left_out() {
        let raw = b"HTTP/1.1 200 OK\r\nDate: now\r\nA: b\r\n\r\n";
        let head = Head::parse(raw, true).unwrap().unwrap();
        assert_eq!(head.with("date", None), b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
        assert_eq!(head.with("date", Some("x")), b"HTTP/1.1 200 OK\r\nA: b\r\ndate: x\r\n\r\n");
    }
}
