//! Large files that are cut short, and the flags that limit a transfer.

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{Action, World, finish};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Four parts of 5 MiB, the smallest that there are.
const FILM_BYTES: usize = 4 * 5 * 1024 * 1024;

/// A page with a film, and a configuration that sends it in parts.
fn cinema(world: &World) {
    world.write("site/index.html", "<video src=film.mp4></video>");
    world.write("site/film.mp4", &"awning! ".repeat(FILM_BYTES / 8));
    world.write("awning.toml", "[publish]\nmultipart_above = \"5MiB\"\npart_size = \"5MiB\"\n");
}

/// Parts that were sent since the proxy began its script.
fn parts(world: &World) -> usize {
    let seen = world.proxy.seen();
    seen.iter().filter(|call| call.starts_with("PUT") && call.contains("film")).count()
}

/// Lets so many parts through, and holds the next.
fn hold_after(world: &World, arrive: usize) {
    let mut parts = 0;
    world.proxy.follow(move |method, path| {
        parts += usize::from(method == "PUT" && path.contains("film"));
        if parts > arrive { Action::HoldBefore } else { Action::Pass }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_parts_only_the_missing_ones_are_sent_by_the_next_run() {
    for arrived in [1, 3] {
        let world = World::new().await;
        cinema(&world);
        hold_after(&world, arrived);
        let mut child = world.start(&["publish", "site", "--concurrency", "1"]);
        timeout(PATIENCE, world.proxy.held()).await.unwrap();
        child.kill().await.unwrap();
        assert_eq!(world.served("index.html").await, None);

        world.proxy.follow(|_, _| Action::Pass);
        world.run(&["publish", "site"]).await.exited(0);
        assert_eq!(parts(&world), 4 - arrived, "{:?}", world.proxy.seen());
        let served = world.served("film.mp4").await.unwrap();
        assert!(served == "awning! ".repeat(FILM_BYTES / 8), "the film is another");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_between_parts_nothing_is_activated_and_the_user_is_told_what_to_do() {
    let world = World::new().await;
    cinema(&world);
    hold_after(&world, 2);
    let child = world.start(&["publish", "site", "--concurrency", "1"]);
    timeout(PATIENCE, world.proxy.held()).await.unwrap();
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("run it again") && told.contains("not sent again"), "{told}");
    assert_eq!(world.served("index.html").await, None);

    world.proxy.follow(|_, _| Action::Pass);
    world.run(&["publish", "site"]).await.exited(0);
    assert_eq!(parts(&world), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_tells_what_was_stored_and_a_second_run_goes_on() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.write("site/b.css", "b {}");
    world.proxy.follow(|method, path| match method == "PUT" && path.contains("a/b.") {
        true => Action::HoldBefore,
        false => Action::Pass,
    });
    let late = world.run(&["publish", "site", "--deadline", "2s", "--json"]).await.exited(4);
    let failure: Value = serde_json::from_str(&late.stdout).unwrap();
    let told = failure["error"].as_str().unwrap();
    assert!(told.contains("1 of 2 objects were stored"), "{told}");
    assert!(told.contains("running it again goes on"), "{told}");
    assert_eq!(world.served("a.css").await, None);

    world.proxy.follow(|_, _| Action::Pass);
    world.run(&["publish", "site"]).await.exited(0);
    assert!(world.served("b.css").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_come_from_flags_environment_and_file() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    let flags = ["--concurrency", "2", "--bandwidth", "10MiB", "--deadline", "15m"];
    let publish = [&["publish", "site"][..], &flags].concat();
    world.run(&publish).await.exited(0);
    for (flag, wrong) in [
        ("--concurrency", "0"),
        ("--bandwidth", "0KiB"),
        ("--bandwidth", "10"),
        ("--deadline", "15"),
    ] {
        let refused = world.run(&["publish", "site", flag, wrong]).await.exited(2);
        assert!(refused.stderr.contains(flag), "{}", refused.stderr);
    }
    let mut command = world.command(&["publish", "site"]);
    command.env("AWNING_PUBLISH_DEADLINE", "soon").env("AWNING_STORE_CONDITIONAL_WRITES", "always");
    let refused = finish(command).await.exited(2);
    for name in ["publish.deadline", "store.conditional_writes"] {
        assert!(refused.stderr.contains(name), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_conditional_writes_is_tried_out_only_if_asked() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.run(&["publish", "site"]).await.exited(0);
    let probes = || world.proxy.seen().iter().filter(|call| call.contains("probe")).count();
    assert_eq!(probes(), 0);

    world.write("site/a.css", "a { color: red }");
    let mut command = world.command(&["publish", "site"]);
    command.env("AWNING_STORE_CONDITIONAL_WRITES", "probe");
    finish(command).await.exited(0);
    assert_eq!(probes(), 1, "the embedded bucket answers 501, as B2 does");
    assert!(world.served("a.css").await.unwrap().contains("red"));
}
