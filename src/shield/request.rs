//! A request that passed the gate: parsed once, and used by route, key and
//! forwarder alike, so that they cannot disagree.

use std::net::IpAddr;

use http::{HeaderMap, Method};

use super::listener::Tunnel;

/// What is known of a request once the gate let it through. Its body, if it
/// may have one, travels beside it.
#[derive(Clone, Debug)]
pub struct GatedRequest {
    /// The method.
    pub method: Method,
    /// `http` or `https`: what the visitor used, as far as a trusted proxy says.
    pub scheme: &'static str,
    /// The host in lower case, without port and trailing dot.
    pub host: String,
    /// The host and port exactly as the visitor named them.
    pub authority: String,
    /// The path as received; begins with one `/` and is percent-encoded.
    pub path: String,
    /// The query as received, without `?`.
    pub query: Option<String>,
    /// All header fields as received.
    pub headers: HeaderMap,
    /// The visitor's address: the peer's, or what a trusted proxy says.
    pub client: IpAddr,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Whether the peer itself is a trusted proxy.
    pub from_trusted_proxy: bool,
    /// The way to take over the connection, when the request asks for that.
    pub tunnel: Option<Tunnel>,
}

impl GatedRequest {
    /// The path and the query as received.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}
