//! A client that sends whatever bytes a test wants to send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection, and what was read of it but not yet used.
pub(crate) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A response as it was on the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// All values of a field, in order.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a field that is there once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.fields(name);
        assert!(fields.len() <= 1, "{name} more than once: {fields:?}");
        fields.first().copied()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads a response to a request of `method`.
    pub(crate) async fn answer(&mut self, method: &str) -> Answer {
        let head = self.until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return answer;
        }
        answer.body = if answer.field("transfer-encoding").is_some() {
            self.chunks().await
        } else if let Some(length) = answer.field("content-length") {
            self.exactly(length.parse().unwrap()).await
        } else {
            self.rest().await
        };
        answer
    }

    /// Reads one chunk of a chunked body; an empty one is the last.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let size = self.until(b"\r\n").await;
        let size = std::str::from_utf8(&size).unwrap().trim().to_owned();
        let size = usize::from_str_radix(&size, 16).unwrap();
        let bytes = self.exactly(size).await;
        self.exactly(2).await;
        bytes
    }

    /// Reads as many bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more().await, "the connection ended early");
        }
        self.read.drain(..count).collect()
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await;
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    /// Reads to the end of `mark`.
    pub(crate) async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            let found = self.read.windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return self.read.drain(..at + mark.len()).collect();
            }
            let so_far = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.more().await, "the connection ended early: {so_far:?}");
        }
    }

    /// A reset ends a connection like any other end.
    async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.read).await.is_ok_and(|count| count > 0)
    }
}

/// Sends `request` on a connection of its own and reads the response.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let request = request.as_ref();
    let method = request.split(|byte| *byte == b' ').next().unwrap();
    let mut wire = Wire::connect(address).await;
    wire.send(request).await;
    wire.answer(&String::from_utf8_lossy(method)).await
}
