//! One request to a shield, and what the visitor saw.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use awning::shield::body::{ResponseBody, full};
use awning::shield::{GatedRequest, Shield};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body_util::BodyExt as _;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Visit(GatedRequest, Bytes);

/// What a visitor saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body, unless it broke off.
    pub(crate) body: Result<Bytes, String>,
}

/// A GET of a path.
pub(crate) fn get(host: &str, path: &str) -> Visit {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (path, None),
    };
    let request = GatedRequest {
        method: Method::GET,
        scheme: "https",
        host: host.to_owned(),
        authority: host.to_owned(),
        path: path.to_owned(),
        query,
        headers: HeaderMap::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        from_trusted_proxy: false,
        tunnel: None,
    };
    Visit(request, Bytes::new())
}

impl Visit {
    /// With another method.
    pub(crate) fn method(mut self, method: &str) -> Self {
        self.0.method = Method::from_bytes(method.as_bytes()).unwrap();
        self
    }

    /// With its host written in another way.
    pub(crate) fn authority(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.0.authority);
        self
    }

    /// With a header field.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.0.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// With a body.
    pub(crate) fn body(mut self, body: &'static str) -> Self {
        self.1 = Bytes::from_static(body.as_bytes());
        self
    }

    /// The response, its body not read.
    pub(crate) async fn begin(self, shield: &Arc<Shield>) -> Response<ResponseBody> {
        shield.respond_to(self.0, full(self.1)).await
    }

    /// The response, read to its end.
    pub(crate) async fn of(self, shield: &Arc<Shield>) -> Seen {
        Seen::of(self.begin(shield).await).await
    }

    /// The response to the request with a body.
    pub(crate) async fn sending(self, body: &'static str, shield: &Arc<Shield>) -> Seen {
        let visit = self.header("content-length", &body.len().to_string());
        Seen::of(shield.respond_to(visit.0, full(body)).await).await
    }
}

impl Seen {
    async fn of(response: Response<ResponseBody>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        let body = body.map_err(|error| error.to_string());
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// A header field as text; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().unwrap()).unwrap()
    }
}
