//! A plain HTTP proxy that can refuse a call, or hold it for ever before or
//! after it took effect.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Pass,
    /// Answered by the proxy with this status and S3 error code.
    Refuse(u16, &'static str),
    /// Never forwarded and never answered.
    HoldBefore,
    /// Forwarded, but never answered.
    HoldAfter,
}

/// Decides by method and path.
type Script = Box<dyn FnMut(&str, &str) -> Action + Send>;

pub(crate) struct Proxy {
    address: SocketAddr,
    behind: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    script: Mutex<Script>,
    seen: Mutex<Vec<String>>,
    /// Told when a call is held.
    held: Notify,
}

impl Proxy {
    pub(crate) async fn before(behind: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            behind,
            client: Client::builder(TokioExecutor::new()).build_http(),
            script: Mutex::new(Box::new(|_, _| Action::Pass)),
            seen: Mutex::default(),
            held: Notify::new(),
        });
        let accepting = Arc::clone(&proxy);
        tokio::spawn(async move { accepting.accept(listener).await });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, calls go by this script; what was seen is forgotten.
    pub(crate) fn follow(&self, script: impl FnMut(&str, &str) -> Action + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
        self.seen.lock().unwrap().clear();
    }

    /// Calls since the script began: method and path.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns when a call is being held.
    pub(crate) async fn held(&self) {
        self.held.notified().await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let answer = service_fn(|request| {
                    let proxy = Arc::clone(&proxy);
                    async move { Ok::<_, Infallible>(proxy.answer(request).await) }
                });
                // A client that was killed leaves its connection broken: that is the point.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        self.seen.lock().unwrap().push(format!("{method} {path}"));
        let action = (self.script.lock().unwrap())(&method, &path);
        match action {
            Action::Pass => self.forward(request).await,
            Action::Refuse(status, code) => refusal(status, code),
            Action::HoldBefore => self.hold().await,
            Action::HoldAfter => {
                self.forward(request).await;
                self.hold().await
            }
        }
    }

    async fn hold(&self) -> Response<Full<Bytes>> {
        self.held.notify_one();
        std::future::pending().await
    }

    /// The `Host` stays as it was, because it is part of what is signed.
    async fn forward(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        parts.uri = format!("http://{}{target}", self.behind).parse().unwrap();
        let body = body.collect().await.unwrap().to_bytes();
        let answer =
            self.client.request(Request::from_parts(parts, Full::new(body))).await.unwrap();
        let (parts, body) = answer.into_parts();
        Response::from_parts(parts, Full::new(body.collect().await.unwrap().to_bytes()))
    }
}

/// The body that B2 sends, byte for byte.
fn refusal(status: u16, code: &str) -> Response<Full<Bytes>> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<Error>\n    \
         <Code>{code}</Code>\n    <Message>refused by the test</Message>\n</Error>\n"
    );
    Response::builder()
        .status(status)
        .header("content-type", "application/xml")
        .body(Full::new(body.into()))
        .unwrap()
}
