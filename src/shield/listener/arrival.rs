//! What happens on a connection before HTTP: a proxy says whose it is, and
//! TLS is agreed on, both within the time that a first head may take.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::proxied;
use super::roster::{Slot, Unadmitted};
use super::tls::Tls;

/// How visitors come in.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// Each connection of a trusted proxy begins with a PROXY protocol header,
    /// and there are no others.
    pub proxy_protocol: bool,
    /// The certificate, when the shield ends TLS itself.
    pub tls: Option<Arc<Tls>>,
    /// Cancelled when another process has taken over the listening sockets.
    pub leaving: CancellationToken,
}

/// A connection that came by TLS.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    /// The host in its handshake, in lower case.
    name: Option<Arc<str>>,
}

/// A connection that is ready for HTTP.
pub(super) enum Arrived {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>, Secure),
}

/// Why a connection did not get so far.
#[derive(Debug)]
pub(super) enum Turned {
    /// It took too long.
    Late,
    /// The peer may not say whose connection it is, or said it wrongly.
    Proxy,
    /// No handshake came about.
    Handshake,
    /// The visitor holds as many connections as one may.
    Unadmitted(Unadmitted),
}

impl Secure {
    /// Whether requests on the connection may name this host.
    pub(crate) fn may_ask_for(&self, host: &str) -> bool {
        self.name.as_deref().is_none_or(|name| name == host)
    }
}

impl Entry {
    /// Whether a connection is ready for HTTP from its first byte.
    pub(super) fn is_plain(&self) -> bool {
        !self.proxy_protocol && self.tls.is_none()
    }

    /// Brings a connection to where HTTP begins, within `limit`.
    pub(super) async fn arrive(
        &self,
        stream: TcpStream,
        slot: &mut Slot,
        limit: Duration,
    ) -> Result<Arrived, Turned> {
        let arriving = async {
            let stream = self.identify(stream, slot).await?;
            match &self.tls {
                None => Ok(Arrived::Plain(stream)),
                Some(tls) => shake_hands(tls, stream).await,
            }
        };
        timeout(limit, arriving).await.unwrap_or(Err(Turned::Late))
    }

    async fn identify(&self, mut stream: TcpStream, slot: &mut Slot) -> Result<TcpStream, Turned> {
        if !self.proxy_protocol {
            return Ok(stream);
        }
        if !slot.is_of_trusted_proxy() {
            return Err(Turned::Proxy);
        }
        let named = proxied::read(&mut stream).await.map_err(|error| {
            tracing::debug!(%error, "a proxy did not say whose connection it is");
            Turned::Proxy
        })?;
        if let Some(address) = named {
            slot.now_of(address).map_err(Turned::Unadmitted)?;
        }
        Ok(stream)
    }
}

async fn shake_hands(tls: &Tls, stream: TcpStream) -> Result<Arrived, Turned> {
    let failed = |error: io::Error| {
        tracing::debug!(%error, "no TLS handshake");
        Turned::Handshake
    };
    let stream = tls.acceptor().accept(stream).await.map_err(failed)?;
    let name = stream.get_ref().1.server_name();
    let name = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase().into());
    Ok(Arrived::Secure(Box::new(stream), Secure { name }))
}
