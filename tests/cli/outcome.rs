//! How commands end when something is wrong: exit codes, and JSON for programs.

use std::fs::OpenOptions;

use serde_json::Value;
use tokio::net::TcpListener;

use crate::harness::{Action, Finished, World, bare_command, finish};

/// The one document that a failed command printed.
#[track_caller]
fn failure(finished: &Finished) -> Value {
    let failure: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(failure["outcome"], "failed", "{failure}");
    assert_eq!(failure["exit_code"].as_i64(), finished.code.map(i64::from), "{failure}");
    failure
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_a_document_whatever_goes_wrong() {
    let world = World::new().await;
    std::fs::create_dir(world.path("empty")).unwrap();
    let refused = world.run(&["publish", "empty", "--json"]).await.exited(3);
    let refused = failure(&refused);
    assert_eq!(refused["problems"][0]["message"], "there is nothing to publish", "{refused}");

    world.write("site/a.css", "a {}");
    world.proxy.follow(|method, path| match method {
        "PUT" if path.contains("/a/") => Action::Refuse(503, "ServiceUnavailable"),
        _ => Action::Pass,
    });
    let failed = world.run(&["publish", "site", "--json"]).await.exited(4);
    let failed = failure(&failed);
    assert!(failed["failed"][0]["key"].as_str().unwrap().contains("a/a."), "{failed}");

    failure(&world.run(&["publish", "--json"]).await.exited(2));
    failure(&finish(bare_command(&["publish", ".", "--json"])).await.exited(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_a_mistake_of_the_caller() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bucket = ["bucket", "--data", "other", "--listen", &address];
    let up = ["up", "site", "--data", "other", "--listen", &address];
    for arguments in [&bucket[..], &up] {
        let refused = world.run(arguments).await.exited(2);
        assert!(refused.stderr.contains(&address), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_not_there_is_no_reason_to_try_again() {
    let world = World::new().await;
    let id = "0".repeat(64);
    let missing = world.run(&["manifest", &id]).await.exited(3);
    assert!(missing.stderr.contains(&id), "{}", missing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_other_bytes_is_told_as_damage() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    let published = world.run(&["publish", "site", "--json"]).await.exited(0);
    let published: Value = serde_json::from_str(&published.stdout).unwrap();
    let release = published["release"].as_str().unwrap().to_owned();
    world.put(&format!(".awning/releases/{release}.json"), "{}").await;
    world.run(&["manifest"]).await.exited(6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_a_mistake_of_the_caller() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.proxy.follow(|_, _| Action::Refuse(404, "NoSuchBucket"));
    let refused = world.run(&["publish", "site"]).await.exited(2);
    assert!(refused.stderr.contains("there is no such bucket"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("service error"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_no_header_field_can_hold_are_refused() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    let mut command = world.command(&["publish", "site"]);
    command.env("B2_APPLICATION_KEY_ID", "two\nlines");
    let refused = finish(command).await.exited(2);
    assert!(refused.stderr.contains("line break"), "{}", refused.stderr);

    let mut command = world.command(&["up", "site", "--listen", "127.0.0.1:0"]);
    command.args(["--admin-listen", "127.0.0.1:0"]).env("AWNING_BUCKET_KEY_ID", "two\nlines");
    finish(command).await.exited(2);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn data_that_could_not_be_written_is_an_error() {
    let world = World::new().await;
    world.write("site/a.css", "a {}");
    world.run(&["publish", "site"]).await.exited(0);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = world.command(&["manifest"]);
    let status = command.stdout(full).stderr(std::process::Stdio::null()).status();
    assert_eq!(status.await.unwrap().code(), Some(1));
}
