//! `awning gc` and previews, against the embedded bucket: its clock is moved,
//! the command's is not.

use std::time::{Duration, SystemTime};

use awning::clock::{Clock, ManualClock};
use serde_json::Value;

use crate::harness::{Action, Finished, World};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Keeps as little as it may.
const LEAST: [&str; 8] = [
    "gc",
    "--keep=1",
    "--keep-days=0",
    "--grace=24h",
    "--max-delete-percent=100",
    "--json",
    "-v",
    "--config=awning.toml",
];

async fn world() -> (World, ManualClock) {
    world_behind(Duration::ZERO).await
}

/// A world whose bucket's clock is behind that of the command.
#[expect(clippy::disallowed_methods, reason = "signatures are checked against the real time")]
async fn world_behind(lag: Duration) -> (World, ManualClock) {
    let clock = ManualClock::at(SystemTime::now() - lag);
    let world = World::at(Clock::Manual(clock.clone())).await;
    world.write("awning.toml", "");
    (world, clock)
}

async fn publish(world: &World, color: &str) -> String {
    world.write("site/index.html", "<link rel=stylesheet href=/app.css><p>etalage");
    world.write("site/app.css", &format!("body {{ color: {color} }}"));
    let published = json(&world.run(&["publish", "site", "--json"]).await.exited(0));
    published["release"].as_str().unwrap().to_owned()
}

#[track_caller]
fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_release_is_condemned_then_deleted_and_visitors_see_nothing_of_it() {
    let (world, clock) = world().await;
    let red = publish(&world, "red").await;
    for color in ["blue", "green"] {
        clock.advance(HOUR);
        publish(&world, color).await;
    }
    clock.advance(HOUR * 50);
    let fresh = json(&world.run(&["gc", "--json"]).await.exited(0));
    let kinds =
        |part: &Value| -> Vec<String> { part.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(kinds(&fresh["condemned"]), [""; 0], "{fresh}");

    let first = json(&world.run(&LEAST).await.exited(0));
    assert_eq!(first["deleted"], serde_json::json!({}), "{first}");
    assert_eq!(
        kinds(&first["condemned"]),
        ["intent", "manifest", "object", "record", "superseded"]
    );
    assert_eq!(first["by_version"], true);
    assert_eq!(world.keys("a/").await.len(), 6);

    clock.advance(HOUR * 25);
    let dry = [&LEAST[..], &["--dry-run"]].concat();
    let (before, told) = (world.keys("").await, json(&world.run(&dry).await.exited(0)));
    assert_eq!(told["outcome"], "planned");
    assert_eq!(world.keys("").await, before);

    let second = json(&world.run(&LEAST).await.exited(0));
    assert_eq!(second["deleted"], first["condemned"], "{second}");
    assert_eq!(world.keys("a/").await.len(), 4);
    assert_eq!(world.keys(".awning/gc/").await, [""; 0]);
    assert!(world.served("app.css").await.unwrap().contains("green"));
    world.run(&["promote", &red]).await.exited(3);
    world.run(&["rollback"]).await.exited(0);
    assert!(world.served("app.css").await.unwrap().contains("blue"));
    publish_after_unlock(&world, "red").await;
}

/// What was collected is sent again.
async fn publish_after_unlock(world: &World, color: &str) {
    world.run(&["rollback", "--unlock"]).await.exited(0);
    publish(world, color).await;
    assert!(world.served("app.css").await.unwrap().contains(color));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_what_a_collection_does_and_how_it_is_refused() {
    let (world, clock) = world().await;
    for color in ["red", "blue", "green"] {
        publish(&world, color).await;
        clock.advance(HOUR);
    }
    clock.advance(HOUR * 50);
    let small = ["gc", "--keep=1", "--keep-days=0", "--grace=24h", "--max-delete-percent=5"];
    let refused = world.run(&small).await.exited(3);
    for told in ["2 of 6 objects", "--max-delete-percent", "nothing was deleted"] {
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    assert_eq!(world.keys(".awning/gc/").await, [""; 0]);

    let dry = [&small[..4], &["--max-delete-percent=50", "--dry-run"]].concat();
    let told = world.run(&dry).await.exited(0).stdout;
    // The machine's own clock counts in a dry run, and it has not moved.
    assert!(told.starts_with("would delete 0 versions (0 B)\n"), "{told}");
    let real = [&small[..4], &["--max-delete-percent=50"]].concat();
    let told = world.run(&real).await.exited(0).stdout;
    assert!(told.contains("\ncondemned 9 versions ("), "{told}");
    assert!(told.ends_with("kept 2 releases; 6 objects were in the bucket\n"), "{told}");
    let told = world.run(&real).await.exited(0).stdout;
    assert!(told.contains("waiting 9 that were condemned less than 24 h ago"), "{told}");

    for wrong in [&["gc", "--grace=23h"][..], &["gc", "--grace=3"], &["gc", "--keep=x"]] {
        world.run(wrong).await.exited(2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_cannot_read_exits_by_its_reason_and_deletes_nothing() {
    let (world, clock) = world().await;
    for color in ["red", "blue", "green"] {
        publish(&world, color).await;
        clock.advance(HOUR);
    }
    clock.advance(HOUR * 50);
    world.run(&LEAST).await.exited(0);
    clock.advance(HOUR * 25);
    let before = world.keys("").await;
    for (status, code, exit) in [(403, "AccessDenied", 7), (503, "ServiceUnavailable", 4)] {
        // The last is the path of a listing.
        for refused in ["/releases/", "/log/", "head.json", "/etalage/"] {
            world.proxy.follow(move |method, path| match method {
                "GET" if refused == "/etalage/" => {
                    let list = path.trim_end_matches('/') == "/etalage";
                    if list { Action::Refuse(status, code) } else { Action::Pass }
                }
                "GET" if path.contains(refused) => Action::Refuse(status, code),
                _ => Action::Pass,
            });
            world.run(&LEAST).await.exited(exit);
        }
    }
    world.proxy.follow(|_, _| Action::Pass);
    assert_eq!(world.keys("").await, before);

    let head = ".awning/channels/production/head.json";
    world.put(head, "{}").await;
    let failed = world.run(&LEAST).await.exited(6);
    assert!(failed.stderr.contains(head), "{}", failed.stderr);
    assert_eq!(world.keys("").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_when_it_ends_and_is_collected_behind_it() {
    let (world, clock) = world().await;
    publish(&world, "red").await;
    world.write("site/app.css", "body { color: preview }");
    let preview = ["publish", "site", "--channel=preview-42"];
    world.run(&[&preview[..], &["--expires=7d"]].concat()).await.exited(0);

    let listed = world.run(&["releases", "--channel=preview-42"]).await.exited(0).stdout;
    assert!(listed.contains("  head  ends ") && listed.ends_with(" GMT\n"), "{listed}");
    let again = world.run(&[&preview[..], &["--expires=7d"]].concat()).await.exited(0);
    assert!(again.stdout.starts_with("unchanged "), "{}", again.stdout);
    let stays = world.run(&preview).await.exited(0);
    assert!(stays.stdout.starts_with("published "), "{}", stays.stdout);
    let listed = json(&world.run(&["releases", "--channel=preview-42", "--json"]).await.exited(0));
    assert_eq!(listed[0]["expires"], Value::Null, "{listed}");
    world.run(&[&preview[..], &["--expires=7d"]].concat()).await.exited(0);

    for (hours, objects) in [(7 * 24, 4), (25, 4), (25, 2)] {
        clock.advance(HOUR * hours);
        world.run(&LEAST).await.exited(0);
        assert_eq!(world.keys("a/").await.len(), objects, "{hours}");
    }
    assert_eq!(world.keys(".awning/channels/preview-42/").await, [""; 0]);
    assert!(world.served("app.css").await.unwrap().contains("red"));

    for wrong in ["--expires=1h", "--expires=soon"] {
        world.run(&[&preview[..], &[wrong]].concat()).await.exited(2);
    }
    let standing = world.run(&["publish", "site", "--expires=7d"]).await.exited(2);
    assert!(standing.stderr.contains("--channel"), "{}", standing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_completed_is_aborted_after_the_grace() {
    let (world, clock) = world_behind(HOUR * 30).await;
    publish(&world, "red").await;
    let began = Clock::Manual(clock.clone()).now();
    world.begin("a/film.mp4", "a part").await;
    let begun = world.uploads().await[0].begun.unwrap();
    // Listings tell seconds.
    let early = began.duration_since(begun).unwrap_or_default();
    assert!(begun <= began && early < Duration::from_secs(1), "{begun:?} {began:?}");
    world.begin("notes/film.mp4", "of someone else").await;

    // In a dry run the machine's own clock counts.
    let dry = world.run(&["gc", "--grace=24h", "--dry-run"]).await.exited(0).stdout;
    let line = dry.lines().find(|line| line.starts_with("abort  ")).unwrap();
    assert!(line.starts_with("abort    upload  6 B  a/film.mp4  "), "{dry}");
    assert!(dry.contains("\nwould abort 1 unfinished uploads (6 B)\n"), "{dry}");
    let young = world.run(&["gc", "--grace=24h"]).await.exited(0).stdout;
    assert!(young.contains("\nleft 1 unfinished uploads that may still be completed\n"), "{young}");
    assert!(!young.contains("abort"), "{young}");
    assert_eq!(world.uploads().await.len(), 2);

    clock.advance(HOUR * 25);
    world.begin("a/young.mp4", "a part").await;
    let told = json(&world.run(&LEAST).await.exited(0));
    assert_eq!(told["aborted"], serde_json::json!({ "uploads": 1, "bytes": 6 }), "{told}");
    let aborted = &told["uploads"]["aborted"];
    assert_eq!((&aborted[0]["key"], &aborted[0]["size"]), (&"a/film.mp4".into(), &6.into()));
    assert_eq!((aborted.as_array().unwrap().len(), &told["uploads"]["kept"]), (1, &1.into()));
    let left: Vec<_> = world.uploads().await.into_iter().map(|one| one.key).collect();
    assert_eq!(left, ["a/young.mp4", "notes/film.mp4"]);

    clock.advance(HOUR * 25);
    let told = world.run(&["gc", "--grace=24h"]).await.exited(0).stdout;
    assert!(told.contains("\naborted 1 unfinished uploads (6 B)\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lists_no_uploads_is_warned_of_and_collected_all_the_same() {
    let (world, clock) = world().await;
    publish(&world, "red").await;
    world.begin("a/film.mp4", "a part").await;
    clock.advance(HOUR * 25);
    let listing = awning_front::Script::by(|call| match call.operation == "ListMultipartUploads" {
        true => awning_front::Fault::error(501, "NotImplemented", "no such call"),
        false => awning_front::Fault::Pass,
    });
    world.proxy.script(listing);
    let told = world.run(&LEAST).await.exited(0);
    assert!(told.stderr.contains("the store does not list unfinished uploads"), "{}", told.stderr);
    assert_eq!(json(&told)["aborted"]["uploads"], 0);
    assert_eq!(world.uploads().await.len(), 1);
}
