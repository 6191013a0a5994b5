//! How visitors reach `awning serve`: sockets of systemd, TLS, and proxies
//! that say whose connection it is.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::harness::World;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const SITE: &str = "[[site]]\nhosts = [\"*\"]\nserve = \"assets\"\n";
const SECURE: &str = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
                      tls = { cert = \"tls/cert\", key = \"tls/key\" }\n";

/// A shield that serves, and what it says.
struct Serving {
    child: Child,
    err: Lines<BufReader<ChildStderr>>,
    urls: Value,
}

impl Serving {
    async fn run(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        let urls = timeout(PATIENCE, out.next_line()).await.unwrap().unwrap().unwrap();
        Self { child, err, urls: serde_json::from_str(&urls).unwrap() }
    }

    fn url(&self, name: &str) -> &str {
        self.urls[name].as_str().unwrap()
    }

    async fn says(&mut self, text: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.err.next_line()).await.unwrap().unwrap().unwrap();
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }

    /// Whether it shakes hands as who holds this certificate.
    async fn holds(&self, certificate: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pem(certificate)).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = self.url("shield").strip_prefix("https://").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("shop.example.nl").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
    }
}

fn pem(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/lib/tls")).join(name)
}

fn put(world: &World, from: &str, to: &str) {
    world.write(to, &std::fs::read_to_string(pem(from)).unwrap());
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Who starts the process names it in LISTEN_PID, which only a shell can.
fn with_sockets<const N: usize>(
    world: &World,
    arguments: &str,
    sockets: [std::net::TcpListener; N],
) -> Command {
    let plain = world.command(&[]);
    let mut command = std::process::Command::new("/bin/sh");
    let start = format!("LISTEN_PID=$$ LISTEN_FDS={N} exec \"$0\" {arguments}");
    command.args(["-c", &start, env!("CARGO_BIN_EXE_awning")]).env_clear();
    for (name, value) in plain.as_std().get_envs() {
        command.env(name, value.unwrap());
    }
    command
        .current_dir(plain.as_std().get_current_dir().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mappings = sockets.into_iter().zip(3..);
    let mappings =
        mappings.map(|(socket, child_fd)| FdMapping { parent_fd: socket.into(), child_fd });
    command.fd_mappings(mappings.collect()).unwrap();
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sockets_than_are_used_are_a_mistake() {
    let world = World::new().await;
    world.write("awning.toml", SITE);
    let sockets = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let ended = with_sockets(&world, "serve", sockets).output();
    let ended = timeout(PATIENCE, ended).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("3 sockets were handed to this process, and it uses 2"), "{told}");
    assert_eq!(ended.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_systemd_are_used_the_one_for_visitors_first() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", SITE);
    world.run(&["publish", "site"]).await.exited(0);
    let sockets = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [&sockets[0], &sockets[1]].map(|socket| socket.local_addr().unwrap());
    let supervisor = UnixDatagram::bind(world.path("notify")).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();

    let mut command = with_sockets(&world, "serve --json", sockets);
    command.env("NOTIFY_SOCKET", world.path("notify"));
    let mut serving = Serving::run(command).await;

    let [public, admin] = addresses.map(|address| address.to_string());
    assert_eq!(serving.url("shield"), format!("http://{public}"));
    assert_eq!(serving.url("admin"), format!("http://{admin}"));
    let told = tokio::task::spawn_blocking(move || {
        let mut message = [0; 64];
        let length = supervisor.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    });
    let id = serving.child.id().unwrap();
    assert_eq!(told.await.unwrap(), format!("READY=1\nMAINPID={id}"));
    serving.says("another release is served").await;
    assert!(get(&public, "/a.css").await.ends_with("a {}"));
    assert!(get(&admin, "/livez").await.starts_with("HTTP/1.1 200"));
    serving.signal("-TERM").await;
    assert!(timeout(PATIENCE, serving.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    let world = World::new().await;
    world.write("awning.toml", &format!("[shield]\n{SECURE}{SITE}"));
    put(&world, "one.cert.pem", "tls/cert");
    put(&world, "one.key.pem", "tls/key");
    let mut serving = Serving::run(world.command(&["serve", "--json"])).await;
    assert!(serving.holds("one.cert.pem").await && !serving.holds("two.cert.pem").await);

    put(&world, "two.cert.pem", "tls/cert");
    put(&world, "two.key.pem", "tls/key");
    serving.signal("-HUP").await;
    // A change of the first file alone may have been seen, and refused.
    while !serving.holds("two.cert.pem").await {
        serving.says("the configuration was read again").await;
    }
    assert!(!serving.holds("one.cert.pem").await);

    world.write("tls/key", "nonsense");
    let line = serving.says("`shield.tls`: cannot read the private key").await;
    assert!(line.contains("in `tls/key`: it must be a PEM file"), "{line}");
    assert!(serving.holds("two.cert.pem").await, "the last good one stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_elsewhere_is_taken_with_all_of_its_configuration_or_not_at_all() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", &format!("[shield]\n{SECURE}{SITE}"));
    put(&world, "one.cert.pem", "tls/cert");
    put(&world, "one.key.pem", "tls/key");
    put(&world, "two.cert.pem", "newer/cert");
    put(&world, "two.key.pem", "newer/key");
    let mut serving = Serving::run(world.command(&["serve", "--json"])).await;

    let elsewhere = SECURE.replace("tls/", "newer/");
    let next = SITE.replace('*', "next") + "channel = \"next\"\n";
    world.write("awning.toml", &format!("[shield]\n{elsewhere}{SITE}{next}"));
    serving.says("channel `next` is new and cannot be served yet").await;
    assert!(serving.holds("one.cert.pem").await, "the rest of it cannot be taken");
    world.run(&["publish", "site", "--channel", "next"]).await.exited(0);
    serving.says("the configuration was read again").await;
    assert!(serving.holds("two.cert.pem").await);

    // And there it is watched from here on.
    put(&world, "one.cert.pem", "newer/cert");
    put(&world, "one.key.pem", "newer/key");
    while !serving.holds("one.cert.pem").await {
        serving.says("the configuration was read again").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_about_the_entry_says_what_to_do() {
    let world = World::new().await;
    put(&world, "one.cert.pem", "tls/cert");
    put(&world, "one.key.pem", "tls/key");
    put(&world, "two.key.pem", "tls/other");
    world.write("tls/nonsense", "nonsense");
    let tls =
        |cert: &str, key: &str| format!("tls = {{ cert = \"tls/{cert}\", key = \"tls/{key}\" }}\n");
    for (settings, expected) in [
        (tls("none", "key"), "cannot read the certificate in `tls/none`: it must be a PEM file"),
        (tls("nonsense", "key"), "no certificate in `tls/nonsense`: it must hold the chain"),
        (tls("cert", "none"), "cannot read the private key in `tls/none`: it must be a PEM file"),
        (tls("cert", "cert"), "cannot read the private key in `tls/cert`: it must be a PEM file"),
        (tls("cert", "other"), "the key in `tls/other` cannot be used with the certificate in"),
        ("tls = { cert = \"tls/cert\" }\n".into(), "needs both `cert` and `key`: the paths of PEM"),
        ("tls = { crt = \"tls/cert\" }\n".into(), "unknown key `shield.tls.crt`"),
        (
            "proxy_protocol = true\n".into(),
            "`shield.proxy_protocol` lets nobody in but `shield.trusted_proxies`: name the proxy",
        ),
        ("proxy_protocol = 2\n".into(), "`shield.proxy_protocol`"),
    ] {
        let listen = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n";
        world.write("awning.toml", &format!("[shield]\n{listen}{settings}{SITE}"));
        let refused = world.run(&["serve"]).await.exited(2);
        assert!(refused.stderr.contains(expected), "missing: {expected}\n{}", refused.stderr);
    }
}
