//! `awning serve` takes its own place, and nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::harness::{Action, World};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
const REQUEST: &[u8] = b"GET /a.css HTTP/1.1\r\nHost: a\r\n\r\n";
const TOML: &str = "[shield]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\n\
                    [[site]]\nhosts = [\"*\"]\nserve = \"assets\"\n";

/// A shield that serves, in one process after another.
struct Serving {
    first: Child,
    err: Lines<BufReader<ChildStderr>>,
    process: String,
    shield: String,
}

impl Serving {
    async fn start(world: &World) -> Self {
        let mut first = world.command(&["serve", "--json"]).spawn().unwrap();
        let mut out = BufReader::new(first.stdout.take().unwrap()).lines();
        let err = BufReader::new(first.stderr.take().unwrap()).lines();
        let urls = timeout(PATIENCE, out.next_line()).await.unwrap().unwrap().unwrap();
        let urls: Value = serde_json::from_str(&urls).unwrap();
        let shield = urls["shield"].as_str().unwrap()["http://".len()..].to_owned();
        let process = first.id().unwrap().to_string();
        let mut serving = Self { first, err, process, shield };
        serving.says("another release is served").await;
        serving
    }

    /// Waits until it says something like this, and gives the line.
    async fn says(&mut self, text: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.err.next_line()).await.unwrap().unwrap().unwrap();
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.process]).status().await;
        assert!(status.unwrap().success());
    }

    async fn restart(&mut self) {
        self.signal("-USR2").await;
        let line = self.says("another process has taken over").await;
        let digits = |c: char| !c.is_ascii_digit();
        self.process = line.rsplit("process").next().unwrap().trim_matches(digits).to_owned();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = std::process::Command::new("kill").args(["-KILL", &self.process]).status();
    }
}

/// One request and its response; whether the connection goes on.
async fn exchange(stream: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    stream.get_mut().write_all(REQUEST).await?;
    let (mut length, mut goes_on, mut line) = (0, true, String::new());
    stream.read_line(&mut line).await?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other(format!("answered {line:?}")));
    }
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await?;
        let lower = line.to_ascii_lowercase();
        goes_on &= !lower.starts_with("connection: close");
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(goes_on)
}

/// Asks again and again on kept connections, until `stop`.
async fn ask(address: String, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) {
    while !stop.load(Ordering::Relaxed) {
        let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
        loop {
            let goes_on = exchange(&mut stream).await.unwrap();
            answered.fetch_add(1, Ordering::Relaxed);
            if !goes_on || stop.load(Ordering::Relaxed) {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_under_load_fail_no_request() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", TOML);
    world.run(&["publish", "site"]).await.exited(0);
    let mut serving = Serving::start(&world).await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let visitors: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(ask(serving.shield.clone(), Arc::clone(&stop), Arc::clone(&answered)))
        })
        .collect();
    for _ in 0..3 {
        let before = answered.load(Ordering::Relaxed);
        while answered.load(Ordering::Relaxed) < before + 200 {
            tokio::task::yield_now().await;
        }
        serving.restart().await;
    }
    assert!(timeout(PATIENCE, serving.first.wait()).await.unwrap().unwrap().success());
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 600);
    serving.signal("-TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_fails_changes_nothing() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", TOML);
    world.run(&["publish", "site"]).await.exited(0);
    let mut serving = Serving::start(&world).await;
    world.write("awning.toml", "[shield]\nlisten = 7\n");
    serving.signal("-USR2").await;
    let line = serving.says("the restart failed, and this process goes on").await;
    assert!(line.contains("ended early: exit status: 2"), "{line}");
    let mut stream = BufReader::new(TcpStream::connect(&serving.shield).await.unwrap());
    assert!(exchange(&mut stream).await.unwrap());

    world.write("awning.toml", TOML);
    serving.restart().await;
    let mut stream = BufReader::new(TcpStream::connect(&serving.shield).await.unwrap());
    assert!(exchange(&mut stream).await.unwrap());
    serving.signal("-TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_takes_a_changed_address() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", TOML);
    world.run(&["publish", "site"]).await.exited(0);
    let mut serving = Serving::start(&world).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    world.write("awning.toml", &TOML.replacen("127.0.0.1:0", &address, 1));
    serving.signal("-USR2").await;
    let line = serving.says("the restart failed, and this process goes on").await;
    assert!(line.contains("ended early: exit status: 2"), "the address is in use: {line}");

    drop(free);
    serving.restart().await;
    let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
    assert!(exchange(&mut stream).await.unwrap());
    assert!(timeout(PATIENCE, serving.first.wait()).await.unwrap().unwrap().success());
    assert!(TcpStream::connect(&serving.shield).await.is_err(), "nobody listens there any more");
    serving.signal("-TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_needs_no_bucket_and_has_the_disk_while_the_old_process_ends() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", &TOML.replace("[shield]\n", "[shield]\ndisk = \"cache\"\n"));
    world.run(&["publish", "site"]).await.exited(0);
    let mut serving = Serving::start(&world).await;
    let mut held = BufReader::new(TcpStream::connect(&serving.shield).await.unwrap());
    assert!(exchange(&mut held).await.unwrap());

    world.proxy.follow(|_, _| Action::HoldBefore);
    serving.restart().await;
    let mut stream = BufReader::new(TcpStream::connect(&serving.shield).await.unwrap());
    assert!(exchange(&mut stream).await.unwrap(), "from disk, although it is not its own yet");
    serving.says("the disk cache is written to from now on").await;
    assert!(serving.first.try_wait().unwrap().is_none(), "the old process has a connection");
    assert!(!exchange(&mut held).await.unwrap(), "which ends with its next response");
    assert!(timeout(PATIENCE, serving.first.wait()).await.unwrap().unwrap().success());

    world.proxy.follow(|_, _| Action::Pass);
    assert!(exchange(&mut stream).await.unwrap());
    serving.signal("-TERM").await;
}
