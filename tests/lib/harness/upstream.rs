//! A web shop of the test's own making.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use awning::shield::body::ResponseBody;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
#[error("it hung up")]
struct HungUp;

/// An upstream, and the heads and bodies of what it was asked.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Parts>>>,
}

impl Upstream {
    /// One that answers each request, its body read whole, with `answer`.
    pub(crate) async fn answering<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Vec<u8>>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        Self::wavering(move |request| {
            let answer = answer(request);
            async move { Some(answer.await) }
        })
        .await
    }

    /// One that hangs up where `answer` has none.
    pub(crate) async fn wavering<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Vec<u8>>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Option<Response<ResponseBody>>> + Send + 'static,
    {
        Self::serving(move |request: Request<Incoming>| {
            let answer = answer.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes().to_vec();
                answer(Request::from_parts(parts, body)).await
            }
        })
        .await
    }

    /// One that is given the bodies of requests as they arrive.
    pub(crate) async fn streaming<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        Self::serving(move |request| {
            let answer = answer(request);
            async move { Some(answer.await) }
        })
        .await
    }

    async fn serving<A, F>(answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Option<Response<ResponseBody>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Parts>>> = Arc::default();
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, record) = (answer.clone(), Arc::clone(&record));
                let answering = service_fn(move |request: Request<Incoming>| {
                    let (parts, body) = request.into_parts();
                    record.lock().unwrap().push(parts.clone());
                    let answer = answer(Request::from_parts(parts, body));
                    async move { answer.await.ok_or(HungUp) }
                });
                let connection = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answering)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Self { address, seen }
    }

    /// One that reads a head and then sends `bytes`, whatever they are.
    pub(crate) async fn raw(bytes: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap() == 0 {
                        break;
                    }
                }
                stream.write_all(bytes).await.unwrap();
            }
        });
        Self { address, seen: Arc::default() }
    }

    /// One that nobody listens for any more.
    pub(crate) async fn gone() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), seen: Arc::default() }
    }

    /// The head of the only request so far.
    pub(crate) fn only(&self) -> Parts {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "one request expected");
        seen[0].clone()
    }

    /// The head of the newest request.
    pub(crate) fn last(&self) -> Parts {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}
