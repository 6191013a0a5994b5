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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures_util::FutureExt as _;
    use metrics::Gauge;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::Instant;
    use tokio_rustls::TlsConnector;

    use super::super::roster::Roster;
    use super::super::vigil::Patience;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn entry(proxy_protocol: bool, with_tls: bool) -> Entry {
        let place = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lib/tls"));
        let tls = Tls::read(&place.join("one.cert.pem"), &place.join("one.key.pem")).unwrap();
        let tls = with_tls.then(|| Arc::new(tls));
        Entry { proxy_protocol, tls, ..Entry::default() }
    }

    /// A connection that was accepted from a trusted proxy, and its other end.
    async fn accepted() -> (TcpStream, TcpStream, Slot) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let patience = Patience { head: LIMIT, idle: 3 * LIMIT, write: 3 * LIMIT };
        let trusted = vec!["127.0.0.0/8".parse::<ipnet::IpNet>().unwrap()];
        let roster = Roster::new(2, 2, trusted, patience, Gauge::noop());
        let slot = roster.admit(peer.ip(), Instant::now()).unwrap();
        (client, stream, slot)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_before_http_is_waited_for_as_long_as_for_a_head() {
        for (proxied, secure, sent) in [
            (false, true, &b""[..]),
            (false, true, &[22, 3, 1, 2, 0, 1]),
            (true, false, b""),
            (true, false, b"PROXY TCP4 192.0.2.1 "),
            (true, false, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
            (true, true, b"PROXY UNKNOWN\r\n"),
        ] {
            let (mut client, stream, mut slot) = accepted().await;
            client.write_all(sent).await.unwrap();
            let began = Instant::now();
            let turned = entry(proxied, secure).arrive(stream, &mut slot, LIMIT).await;
            assert!(matches!(turned, Err(Turned::Late)), "{sent:?}");
            assert_eq!(began.elapsed().as_secs(), 5, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn visitors_shake_hands_while_many_have_begun_and_stopped() {
        const SILENT: usize = 64;
        let entry = entry(false, true);
        let mut silent = Vec::new();
        for _ in 0..SILENT {
            let (client, stream, mut slot) = accepted().await;
            let entry = entry.clone();
            let mut arriving =
                Box::pin(async move { entry.arrive(stream, &mut slot, 100 * LIMIT).await.is_ok() });
            assert!(arriving.as_mut().now_or_never().is_none());
            silent.push((client, arriving));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots())
            .with_no_client_auth();
        let (visitor, stream, mut slot) = accepted().await;
        let name = ServerName::try_from("shop.example.nl").unwrap();
        let connecting = TlsConnector::from(Arc::new(client)).connect(name, visitor);
        let arriving = entry.arrive(stream, &mut slot, 100 * LIMIT);
        let (connected, arrived) = tokio::join!(connecting, arriving);
        assert!(connected.is_ok() && matches!(arrived, Ok(Arrived::Secure(..))));
        assert_eq!(silent.len(), SILENT);
    }

    fn roots() -> RootCertStore {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject as _;
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lib/tls/one.cert.pem");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
        roots
    }
}
