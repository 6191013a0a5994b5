//! `awning serve` while its configuration changes.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::harness::World;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const OLD_TOKEN: &str = "0123456789abcdef-old";
const NEW_TOKEN: &str = "0123456789abcdef-new";

/// A shield that serves, and what it says.
struct Serving {
    child: Child,
    err: Lines<BufReader<ChildStderr>>,
    shield: String,
    admin: String,
}

impl Serving {
    async fn start(world: &World) -> Self {
        Self::run(world, world.command(&["serve", "--json"])).await
    }

    async fn run(world: &World, mut command: Command) -> Self {
        command.env("AWNING_ADMIN_TOKEN_FILE", world.path("secrets/token"));
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        let urls: Value = serde_json::from_str(&line(&mut out).await).unwrap();
        let address = |name: &str| urls[name].as_str().unwrap()["http://".len()..].to_owned();
        let (shield, admin) = (address("shield"), address("admin"));
        Self { child, err, shield, admin }
    }

    /// Waits until it says something like this, and gives the line.
    async fn says(&mut self, text: &str) -> String {
        loop {
            let line = line(&mut self.err).await;
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn status(&self, host: &str) -> String {
        let request = format!("GET /a.css HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        ask(&self.shield, &request).await.0
    }

    async fn operate(&self, method: &str, path: &str, token: &str) -> (String, Value) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        let (status, body) = ask(&self.admin, &request).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }
}

async fn line(of: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> String {
    timeout(PATIENCE, of.next_line()).await.unwrap().unwrap().unwrap()
}

async fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].to_owned(), body.to_owned())
}

fn toml(host: &str, listen: &str) -> String {
    let shield = format!("[shield]\nlisten = \"{listen}\"\nadmin_listen = \"127.0.0.1:0\"\n\n");
    shield + &site(host)
}

fn site(host: &str) -> String {
    format!("[[site]]\nhosts = [\"{host}\"]\nserve = \"assets\"\n")
}

/// Puts a file in the place of another, as editors and orchestrators do.
fn replace(world: &World, name: &str, text: &str) {
    world.write("replacement", text);
    std::fs::rename(world.path("replacement"), world.path(name)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_taken_and_a_bad_one_is_not() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", &toml("a.example", "127.0.0.1:0"));
    world.write("secrets/token", OLD_TOKEN);
    world.run(&["publish", "site"]).await.exited(0);
    let mut serving = Serving::start(&world).await;
    serving.says("another release is served").await;
    assert_eq!(serving.status("a.example").await, "200");

    let bad = toml("b.example", "127.0.0.1").replace("serve", "sreve");
    world.write("awning.toml", &bad);
    serving.signal("-HUP").await;
    serving.says("the configuration was not taken").await;
    let (_, status) = serving.operate("GET", "/v1/status", OLD_TOKEN).await;
    let problems = status["config"]["problems"].as_str().unwrap();
    for expected in [
        "awning.toml:2: `shield.listen`: `127.0.0.1` is no address",
        "awning.toml:5: a site needs `hosts` and `serve`",
        "awning.toml:7: unknown key `site[0].sreve`: did you mean `serve`?",
    ] {
        assert!(problems.contains(expected), "missing: {expected}\n{problems}");
    }
    assert_eq!(serving.status("a.example").await, "200");

    replace(&world, "awning.toml", &toml("b.example", "127.0.0.1:1"));
    serving.says("the configuration was read again").await;
    serving.says("needs a restart").await;
    assert_eq!(serving.status("b.example").await, "200");
    assert_eq!(serving.status("a.example").await, "421");
    let (_, status) = serving.operate("GET", "/v1/status", OLD_TOKEN).await;
    assert_eq!(status["config"]["needs_restart"], Value::from(vec!["shield.listen"]));
    assert_eq!(status["config"]["problems"], Value::Null);

    replace(&world, "secrets/token", NEW_TOKEN);
    serving.says("the configuration was read again").await;
    assert_eq!(serving.operate("POST", "/v1/refresh", OLD_TOKEN).await.0, "403");
    assert_eq!(serving.operate("POST", "/v1/refresh", NEW_TOKEN).await.0, "200");

    serving.signal("-TERM").await;
    assert!(timeout(PATIENCE, serving.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn other_credentials_for_the_bucket_need_no_restart() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", &toml("a.example", "127.0.0.1:0"));
    world.write("secrets/token", OLD_TOKEN);
    world.write("secrets/key", "expired-long-ago");
    world.run(&["publish", "site"]).await.exited(0);
    let mut command = world.command(&["serve", "--json"]);
    command.env_remove("B2_APPLICATION_KEY");
    command.env("B2_APPLICATION_KEY_FILE", world.path("secrets/key"));
    let mut serving = Serving::run(&world, command).await;
    serving.says("the channel's release is kept").await;
    assert_eq!(serving.status("a.example").await, "503");

    replace(&world, "secrets/key", "awning-secret\n");
    serving.says("the bucket is read with other credentials").await;
    serving.says("another release is served").await;
    assert_eq!(serving.status("a.example").await, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_channel_is_waited_for_while_the_old_sites_are_served() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", &toml("a.example", "127.0.0.1:0"));
    world.write("secrets/token", OLD_TOKEN);
    world.run(&["publish", "site"]).await.exited(0);
    let mut serving = Serving::start(&world).await;
    serving.says("another release is served").await;

    let next = site("next.example");
    let both = format!("{}{next}channel = \"next\"\n", toml("a.example", "127.0.0.1:0"));
    replace(&world, "awning.toml", &both);
    serving.says("the configuration was not taken").await;
    serving.says("channel `next` is new and cannot be served yet").await;
    assert_eq!(serving.status("a.example").await, "200");
    assert_eq!(serving.status("next.example").await, "421");

    world.run(&["publish", "site", "--channel", "next"]).await.exited(0);
    serving.says("the configuration was read again").await;
    assert_eq!(serving.status("next.example").await, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_not_taken_with_a_configuration_that_is_not() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("awning.toml", &toml("a.example", "127.0.0.1:0"));
    world.write("secrets/token", OLD_TOKEN);
    world.write("secrets/key", "awning-secret");
    world.run(&["publish", "site"]).await.exited(0);
    let mut command = world.command(&["serve", "--json"]);
    command.env_remove("B2_APPLICATION_KEY");
    command.env("B2_APPLICATION_KEY_FILE", world.path("secrets/key"));
    let mut serving = Serving::run(&world, command).await;
    serving.says("another release is served").await;

    let next = site("next.example");
    let both = format!("{}{next}channel = \"next\"\n", toml("a.example", "127.0.0.1:0"));
    replace(&world, "awning.toml", &both);
    serving.says("channel `next` is new and cannot be served yet").await;
    replace(&world, "secrets/key", "expired-long-ago");
    serving.says("the configuration was not taken").await;
    assert_eq!(serving.status("a.example").await, "200", "read with the key of before");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_behind_symbolic_links_is_seen_when_they_are_switched() {
    use std::os::unix::fs::symlink;

    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("secrets/token", OLD_TOKEN);
    world.write("one/awning.toml", &toml("a.example", "127.0.0.1:0"));
    world.write("two/awning.toml", &toml("b.example", "127.0.0.1:0"));
    symlink("one", world.path("current")).unwrap();
    symlink("current/awning.toml", world.path("awning.toml")).unwrap();
    world.run(&["publish", "site"]).await.exited(0);
    let mut serving = Serving::start(&world).await;
    serving.says("another release is served").await;

    symlink("two", world.path("next")).unwrap();
    std::fs::rename(world.path("next"), world.path("current")).unwrap();
    serving.says("the configuration was read again").await;
    assert_eq!(serving.status("b.example").await, "200");
    // And what is there now is watched from here on.
    world.write("two/awning.toml", &toml("c.example", "127.0.0.1:0"));
    serving.says("the configuration was read again").await;
    assert_eq!(serving.status("c.example").await, "200");
}
