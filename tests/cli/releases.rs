//! Listing, comparing, promoting and rolling back releases, as a person at a
//! terminal and a pipeline see it.

use serde_json::Value;

use crate::harness::{Action, Finished, World};

fn site(world: &World, color: &str) {
    world.write("site/index.html", "<link rel=stylesheet href=/app.css><p>etalage");
    world.write("site/app.css", &format!("body {{ color: {color} }}"));
}

async fn publish(world: &World, color: &str) -> String {
    site(world, color);
    let published = json(&world.run(&["publish", "site", "--json"]).await.exited(0));
    published["release"].as_str().unwrap().to_owned()
}

#[track_caller]
fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

/// What visitors see.
async fn color(world: &World) -> &'static str {
    let css = world.served("app.css").await.unwrap();
    ["red", "blue", "green"].into_iter().find(|color| css.contains(color)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_locks_the_channel_until_it_is_unlocked() {
    let world = World::new().await;
    let red = publish(&world, "red").await;
    publish(&world, "blue").await;
    let mut rollback = world.command(&["rollback"]);
    rollback.env("USER", "anna");
    let back = crate::harness::finish(rollback).await.exited(0);
    assert!(back.stdout.starts_with(&format!("rolled-back {}", &red[..12])), "{}", back.stdout);
    assert_eq!(color(&world).await, "red");

    // Twice is still one step back.
    let again = world.run(&["rollback"]).await.exited(0);
    assert!(again.stderr.contains("name a release"), "{}", again.stderr);
    assert_eq!(color(&world).await, "red");

    site(&world, "green");
    world.proxy.follow(|_, _| Action::Pass);
    let locked = world.run(&["publish", "site"]).await.exited(5);
    for told in ["awning rollback --unlock", "by the rollback of anna", &red[..12]] {
        assert!(locked.stderr.contains(told), "{told}: {}", locked.stderr);
    }
    assert!(world.proxy.seen().iter().all(|call| call.starts_with("GET")));
    site(&world, "red");
    let same = world.run(&["publish", "site"]).await.exited(0);
    assert!(same.stdout.starts_with("unchanged "), "{}", same.stdout);

    let unlocked = json(&world.run(&["rollback", "--unlock", "--json"]).await.exited(0));
    assert_eq!((&unlocked["outcome"], &unlocked["release"]), (&"unlocked".into(), &red.into()));
    publish(&world, "green").await;
    assert_eq!(color(&world).await, "green");
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_listed_newest_first() {
    let world = World::new().await;
    let none = world.run(&["releases", "--json"]).await.exited(0);
    assert_eq!(none.stdout, "[]\n");

    let red = publish(&world, "red").await;
    site(&world, "blue");
    world.run(&["publish", "site", "--order", "7"]).await.exited(0);
    world.run(&["rollback"]).await.exited(0);

    let listed = world.run(&["releases"]).await.exited(0);
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with(&red[..12]), "{lines:#?}");
    assert!(lines[0].contains("seq 3  head  locked"), "{lines:#?}");
    assert!(lines[1].contains("order 7  seq 2"), "{lines:#?}");
    assert!(lines[2].ends_with("order 0  seq 1"), "{lines:#?}");

    let listed = json(&world.run(&["releases", "--json", "--limit", "2"]).await.exited(0));
    let heads: Vec<&Value> = listed.as_array().unwrap().iter().map(|line| &line["head"]).collect();
    assert_eq!(heads, [true, false]);
    assert_eq!((&listed[0]["release"], &listed[0]["locked"]), (&red.into(), &true.into()));
    world.run(&["releases", "--limit", "0"]).await.exited(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_compared_by_the_beginnings_of_their_names() {
    let world = World::new().await;
    let red = publish(&world, "red").await;
    world.write("site/new.txt", "new");
    publish(&world, "blue").await;

    let text = world.run(&["diff", &red[..8], "head"]).await.exited(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    // The page names the sheet, so it has changed as well.
    let expected = [
        "added    new.txt  3 B",
        "changed  app.css  19 B -> 20 B",
        "changed  index.html  ",
        &format!("{} to ", &red[..12]),
    ];
    for (line, begin) in lines.iter().zip(expected) {
        assert!(line.starts_with(begin), "{text}");
    }
    assert!(text.ends_with(": 1 added, 0 removed, 2 changed, 0 same\n"), "{text}");

    let back = json(&world.run(&["diff", "head", &red, "--json"]).await.exited(0));
    assert_eq!(back["removed"][0]["path"], "new.txt", "{back}");
    assert_eq!((&back["changed"][0]["size"], &back["to"]), (&19.into(), &red.as_str().into()));

    for unknown in ["00000000", &"0".repeat(64)] {
        world.run(&["diff", unknown, "head"]).await.exited(3);
    }
    world.run(&["diff", "main", "head"]).await.exited(2);
    world.run(&["diff", "head", "head", "--channel", "empty"]).await.exited(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_release_is_promoted_and_once_is_enough() {
    let world = World::new().await;
    publish(&world, "red").await;
    site(&world, "blue");
    let staged = world.run(&["publish", "site", "--no-activate", "--json"]).await.exited(0);
    let staged = json(&staged)["release"].as_str().unwrap().to_owned();
    assert_eq!(color(&world).await, "red");

    let production = ["promote", &staged[..10], "--channel", "production"];
    let promoted = world.run(&production).await.exited(0);
    assert!(promoted.stdout.starts_with("promoted "), "{}", promoted.stdout);
    assert_eq!(color(&world).await, "blue");
    world.proxy.follow(|_, _| Action::Pass);
    let again = world.run(&production).await.exited(0);
    assert!(again.stdout.starts_with("unchanged "), "{}", again.stdout);
    assert!(world.proxy.seen().iter().all(|call| !call.starts_with("PUT")));

    // Clears the lock of a rollback.
    world.run(&["rollback"]).await.exited(0);
    assert_eq!(color(&world).await, "red");
    world.run(&["promote", &staged]).await.exited(0);
    publish(&world, "green").await;
    assert_eq!(color(&world).await, "green");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_missing_objects_is_refused_with_a_list() {
    let world = World::new().await;
    let red = publish(&world, "red").await;
    publish(&world, "blue").await;
    world.proxy.follow(|method, path| match method {
        "HEAD" if path.contains("/a/app.") => Action::Refuse(404, "NoSuchKey"),
        _ => Action::Pass,
    });
    for arguments in [&["rollback", "--json"][..], &["promote", &red, "--json"]] {
        let refused = world.run(arguments).await.exited(6);
        assert!(refused.stderr.contains("is missing"), "{}", refused.stderr);
        let refused = json(&refused);
        assert!(refused["failed"][0]["key"].as_str().unwrap().starts_with("a/app."), "{refused}");
    }
    assert!(world.proxy.seen().iter().all(|call| !call.starts_with("PUT")));
    assert_eq!(color(&world).await, "blue");

    world.put(&format!(".awning/releases/{red}.json"), "{}").await;
    world.run(&["promote", &red]).await.exited(6);
    world.run(&["promote", &"0".repeat(64)]).await.exited(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_exits_by_its_reason() {
    let world = World::new().await;
    world.run(&["rollback"]).await.exited(3);
    world.run(&["rollback", "--unlock"]).await.exited(3);
    let red = publish(&world, "red").await;
    let only = world.run(&["rollback"]).await.exited(3);
    assert!(only.stderr.contains("no other release"), "{}", only.stderr);

    publish(&world, "blue").await;
    for (status, code, exit) in [(403, "AccessDenied", 7), (503, "ServiceUnavailable", 4)] {
        for refused in ["HEAD", "PUT"] {
            world.proxy.follow(move |method, _| match method {
                _ if method == refused => Action::Refuse(status, code),
                _ => Action::Pass,
            });
            world.run(&["rollback"]).await.exited(exit);
            world.run(&["promote", &red]).await.exited(exit);
        }
    }
    assert_eq!(color(&world).await, "blue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_killed_at_any_call_is_finished_by_another() {
    for action in [Action::HoldBefore, Action::HoldAfter] {
        let mut killed = 0;
        loop {
            let world = World::new().await;
            publish(&world, "red").await;
            publish(&world, "blue").await;
            let (mut calls, at) = (0, killed);
            world.proxy.follow(move |_, _| {
                calls += 1;
                if calls == at + 1 { action } else { Action::Pass }
            });
            let mut child = world.start(&["rollback"]);
            tokio::select! {
                status = child.wait() => {
                    assert!(status.unwrap().success(), "call {at}");
                    break;
                }
                () = world.proxy.held() => child.kill().await.unwrap(),
            }
            killed += 1;
            assert!(["red", "blue"].contains(&color(&world).await), "{at}");
            world.proxy.follow(|_, _| Action::Pass);
            world.run(&["rollback"]).await.exited(0);
            assert_eq!(color(&world).await, "red", "{at}");
            world.run(&["publish", "site"]).await.exited(5);
        }
        // Head, log, records, manifest, objects, log, record, log, head, log.
        assert!(killed >= 12, "only {killed} calls were seen");
    }
}

/// It may change nothing, and those before it are older all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_build_of_the_same_refuses_the_builds_between() {
    let world = World::new().await;
    site(&world, "red");
    for order in ["1", "10"] {
        world.run(&["publish", "site", "--order", order]).await.exited(0);
    }
    let again = world.run(&["publish", "site", "--order", "10"]).await.exited(0);
    assert!(again.stdout.starts_with("unchanged"), "{}", again.stdout);
    site(&world, "blue");
    world.run(&["publish", "site", "--order", "9"]).await.exited(5);
    assert_eq!(color(&world).await, "red");
    world.run(&["publish", "site", "--order", "11"]).await.exited(0);
    world.run(&["rollback"]).await.exited(0);
    assert_eq!(color(&world).await, "red");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_is_refused_has_coded_nothing() {
    let world = World::new().await;
    world.write("site/page.txt", &"etalage ".repeat(100));
    world.run(&["publish", "site", "--order", "7"]).await.exited(0);
    world.write("site/page.txt", &"awning ".repeat(100));
    let older = ["publish", "site", "--order", "6", "--events", "events"];
    world.run(&older).await.exited(5);
    let events = std::fs::read_to_string(world.path("events")).unwrap();
    assert!(events.contains("\"hashed\"") && !events.contains("\"encoding\""), "{events}");
}
