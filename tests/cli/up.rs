//! `awning up`: the whole product in one process.

use std::fs::File;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::{World, finish};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

const ANYWHERE: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

fn up(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(&["up"]);
    command.args(arguments).args(ANYWHERE);
    command
}

async fn line(of: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> String {
    timeout(PATIENCE, of.next_line()).await.unwrap().unwrap().unwrap()
}

/// The line that tells of a publish, past those that tell other things.
async fn published(of: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> String {
    loop {
        let line = line(of).await;
        if line.starts_with("published ") {
            return line;
        }
    }
}

async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_published_again() {
    let world = World::new().await;
    world.write("site/a.css", "a { color: red }");
    let mut child = up(&world, &["site", "--watch", "--json"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = published(&mut err).await;
    let urls: Value = serde_json::from_str(&line(&mut out).await).unwrap();
    assert!(urls["shield"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{urls}");

    world.write("site/a.css", "a { color: blue }");
    assert_ne!(published(&mut err).await, first);

    signal(&child, "-TERM").await;
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_is_never_put_where_it_would_be_published() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    for data in ["site", "site/bucket/deep", "site/../site/x"] {
        let refused = finish(up(&world, &["site", "--data", data])).await.exited(2);
        assert!(refused.stderr.contains("would be published"), "{}", refused.stderr);
    }
    assert!(!world.path("site/bucket").exists());

    let mut child = up(&world, &["site", "--data", "site/.awning"]).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(published(&mut err).await.contains("1 assets"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_is_heard_while_a_tree_is_hashed() {
    let world = World::new().await;
    std::fs::create_dir(world.path("site")).unwrap();
    for n in 0..60 {
        // Empty space that takes minutes to hash, and none on the disk.
        File::create(world.path(&format!("site/{n}.bin"))).unwrap().set_len(1 << 30).unwrap();
    }
    let mut child = up(&world, &["site"]).spawn().unwrap();
    // The bucket is opened after signals are heard, and before the tree is read.
    while !world.path(".awning/bucket/lock").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended early");
        tokio::task::yield_now().await;
    }
    signal(&child, "-INT").await;
    let status = timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
}
