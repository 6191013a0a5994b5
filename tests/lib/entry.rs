//! Ways in that are no plain socket: TLS, and proxies that pass bytes on.

use std::path::PathBuf;
use std::sync::Arc;

use awning::shield::body::{RequestBody, full};
use awning::shield::config::{Config, Limits, Serve};
use awning::shield::metrics::Metrics;
use awning::shield::server::{Front, public_router, serve_routers_by};
use awning::shield::{Entry, GatedRequest, Tls, TlsError};
use axum::Router;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::harness::edge::{Edge, config};
use crate::harness::wire::Wire;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: shop.example.nl\r\nX-Forwarded-For: 198.51.100.7\r\n\
                       Connection: close\r\n\r\n";

fn pem(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lib/tls")).join(name)
}

fn tls(name: &str) -> Arc<Tls> {
    let (certificate, key) = (format!("{name}.cert.pem"), format!("{name}.key.pem"));
    Arc::new(Tls::read(&pem(&certificate), &pem(&key)).unwrap())
}

/// A site that tells who asks, behind this way in.
async fn telling(entry: Entry, trusted: &[&str]) -> Edge {
    telling_within(Limits::standard(), entry, trusted).await
}

async fn telling_within(limits: Limits, entry: Entry, trusted: &[&str]) -> Edge {
    let trusted_proxies = trusted.iter().map(|net| net.parse().unwrap()).collect();
    let config = Config { trusted_proxies, limits, ..config(Serve::Assets) };
    let metrics = Arc::new(Metrics::default());
    let tell = |request: GatedRequest, _: RequestBody| async move {
        let GatedRequest { scheme, host, peer, client, .. } = request;
        Response::new(full(format!("{scheme} {host} {peer} {client}")))
    };
    let router = public_router(Arc::new(config.clone()), Arc::clone(&metrics), tell);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = listener.local_addr().unwrap();
    let front = Front { listener, router };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = listener.local_addr().unwrap();
    let admin_front = Front { listener, router: Router::new() };
    let shutdown = CancellationToken::new();
    let (inner, token) = (Arc::clone(&metrics), shutdown.clone());
    let serving = tokio::spawn(async move {
        serve_routers_by(front, admin_front, entry, &config, &inner, token).await
    });
    Edge { public, admin, metrics, shutdown, serving }
}

async fn handshake(
    edge: &Edge,
    certificate: &str,
    protocol: &str,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem(certificate)).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(edge.public).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn ask_securely(edge: &Edge, certificate: &str, host: &str) -> String {
    let mut stream = handshake(edge, certificate, "http/1.1", "shop.example.nl").await.unwrap();
    stream.write_all(REQUEST.replace("shop.example.nl", host).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A close without a TLS alert is a close.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn visitors_come_by_tls_over_both_versions() {
    let edge = telling(Entry { tls: Some(tls("one")), ..Entry::default() }, &[]).await;
    let answer = ask_securely(&edge, "one.cert.pem", "shop.example.nl").await;
    assert!(answer.ends_with("https shop.example.nl 127.0.0.1 127.0.0.1"), "{answer}");

    let stream = handshake(&edge, "one.cert.pem", "h2", "shop.example.nl").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://shop.example.nl/").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "https shop.example.nl 127.0.0.1 127.0.0.1");
}

#[tokio::test]
async fn a_host_that_the_handshake_did_not_name_is_misdirected() {
    let edge = telling(Entry { tls: Some(tls("one")), ..Entry::default() }, &[]).await;
    let answer = ask_securely(&edge, "one.cert.pem", "other.example.nl").await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert!(answer.contains("cache-status: awning; detail=name-differs"), "{answer}");
    let answer = ask_securely(&edge, "one.cert.pem", "SHOP.example.nl.:443").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_closed_and_counted() {
    let edge = telling(Entry { tls: Some(tls("one")), ..Entry::default() }, &[]).await;
    let mut wire = Wire::connect(edge.public).await;
    wire.send(REQUEST).await;
    let rest = wire.rest().await;
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    let text = edge.metrics.render();
    assert!(text.contains(r#"awning_rejected_total{reason="tls-handshake"} 1"#), "{text}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_an_unusable_one_is_not() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let put = |name: &str| {
        for part in ["cert", "key"] {
            std::fs::copy(pem(&format!("{name}.{part}.pem")), path(part)).unwrap();
        }
    };
    put("one");
    let tls = Arc::new(Tls::read(&path("cert"), &path("key")).unwrap());
    let reload = || Tls::read(&path("cert"), &path("key")).map(|newer| tls.renew(&newer));
    let edge = telling(Entry { tls: Some(Arc::clone(&tls)), ..Entry::default() }, &[]).await;
    put("two");
    assert!(handshake(&edge, "two.cert.pem", "h2", "shop.example.nl").await.is_err());
    reload().unwrap();
    assert!(handshake(&edge, "two.cert.pem", "h2", "shop.example.nl").await.is_ok());
    std::fs::write(path("cert"), "nonsense").unwrap();
    assert!(matches!(reload(), Err(TlsError::NoCertificate(_))));
    std::fs::copy(pem("one.cert.pem"), path("cert")).unwrap();
    assert!(matches!(reload(), Err(TlsError::Unusable { .. })), "a certificate of another key");
    std::fs::remove_file(path("key")).unwrap();
    assert!(matches!(reload(), Err(TlsError::Unreadable { .. })));
    assert!(handshake(&edge, "two.cert.pem", "h2", "shop.example.nl").await.is_ok());
}

async fn told(edge: &Edge, header: &str) -> String {
    let mut wire = Wire::connect(edge.public).await;
    wire.send(format!("{header}{REQUEST}")).await;
    String::from_utf8_lossy(&wire.rest().await).into_owned()
}

#[tokio::test]
async fn a_proxy_says_whose_connection_it_is_and_only_a_trusted_one_may() {
    let proxied = || Entry { proxy_protocol: true, ..Entry::default() };
    let edge = telling(proxied(), &["127.0.0.0/8"]).await;
    let binary = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x7f\0\0\x01\0\x50\0\x50";
    let local = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for (header, end) in [
        // What a stranger behind the proxy forwards is not believed.
        (binary, Some("http shop.example.nl 1.2.3.4 1.2.3.4")),
        ("PROXY TCP4 1.2.3.4 127.0.0.1 80 80\r\n", Some("http shop.example.nl 1.2.3.4 1.2.3.4")),
        // What another trusted proxy forwards is.
        (
            "PROXY TCP4 127.0.0.9 127.0.0.1 80 80\r\n",
            Some("http shop.example.nl 127.0.0.9 198.51.100.7"),
        ),
        // A health check speaks for the proxy itself.
        (local, Some("http shop.example.nl 127.0.0.1 198.51.100.7")),
        // A visitor whose address it does not tell is not the proxy.
        ("PROXY UNKNOWN\r\n", Some("http shop.example.nl 0.0.0.0 0.0.0.0")),
        ("\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", Some("http shop.example.nl 0.0.0.0 0.0.0.0")),
        ("", None),
        ("PROXY nonsense\r\n", None),
    ] {
        let answer = told(&edge, header).await;
        match end {
            Some(end) => assert!(answer.ends_with(end), "{header:?}: {answer}"),
            None => assert_eq!(answer, "", "{header:?}"),
        }
    }
    let text = edge.metrics.render();
    assert!(text.contains(r#"awning_rejected_total{reason="proxy-protocol"} 2"#), "{text}");

    let edge = telling(proxied(), &["10.0.0.0/8"]).await;
    assert_eq!(told(&edge, binary).await, "", "the peer is no trusted proxy");
}

#[tokio::test]
async fn each_visitor_behind_a_proxy_holds_its_own_share() {
    let limits = Limits { connections_per_peer_max: 2, ..Limits::standard() };
    let proxied = Entry { proxy_protocol: true, ..Entry::default() };
    let edge = telling_within(limits, proxied, &["127.0.0.0/8"]).await;
    let kept = REQUEST.replace("Connection: close\r\n", "");
    let come = async |address: &str| {
        let mut wire = Wire::connect(edge.public).await;
        wire.send(format!("PROXY TCP4 {address} 127.0.0.1 80 80\r\n{kept}")).await;
        wire
    };
    let mut held = Vec::new();
    for address in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        let mut wire = come(address).await;
        assert_eq!(wire.answer("GET").await.status, 200, "{address}");
        held.push(wire);
    }
    assert_eq!(come("192.0.2.1").await.rest().await, b"", "its third connection");
    let text = edge.metrics.render();
    let counted = r#"awning_rejected_total{reason="connections-of-peer"} 1"#;
    assert!(text.contains(counted), "{text}");
    held.remove(0);
    while edge.metrics.render().contains("awning_connections 3") {
        tokio::task::yield_now().await;
    }
    assert_eq!(come("192.0.2.1").await.answer("GET").await.status, 200, "one has left");
}
