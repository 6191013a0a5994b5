//! Manifests that `awning publish` writes to files.

use std::fs;

use crate::harness::{Action, World};

fn site(world: &World, color: &str) {
    world.write("site/css/app.css", &format!("p {{ color: {color} }}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_written_as_the_command_prints_them() {
    let world = World::new().await;
    site(&world, "red");
    let publish =
        ["publish", "site", "--manifest", "flat=flat.json", "--manifest", "awning=own.json"];
    for _published_then_unchanged in 0..2 {
        world.run(&publish).await.exited(0);
        for (format, file) in [("flat", "flat.json"), ("awning", "own.json")] {
            let printed = world.run(&["manifest", "--format", format]).await.exited(0).stdout;
            let written = fs::read(world.path(file)).unwrap();
            let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
            assert_eq!(read(&written), read(printed.as_bytes()), "{format}");
            fs::remove_file(world.path(file)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_failed_leaves_the_manifest_of_the_one_before() {
    let world = World::new().await;
    site(&world, "red");
    world.run(&["publish", "site", "--manifest", "flat=flat.json"]).await.exited(0);
    let before = fs::read(world.path("flat.json")).unwrap();

    site(&world, "blue");
    world.proxy.follow(|method, path| {
        let refused = method == "PUT" && path.contains("/log/");
        if refused { Action::Refuse(403, "AccessDenied") } else { Action::Pass }
    });
    world.run(&["publish", "site", "--manifest", "flat=flat.json"]).await.exited(7);
    assert_eq!(fs::read(world.path("flat.json")).unwrap(), before);
    let names = fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_cannot_be_written_stops_the_publish_in_time() {
    let world = World::new().await;
    site(&world, "red");
    let failed = world.run(&["publish", "site", "--manifest", "flat=gone/flat.json"]).await;
    assert!(failed.stderr.contains("gone/flat.json"), "{}", failed.stderr);
    failed.exited(2);
    assert!(!world.proxy.seen().iter().any(|call| call.starts_with("PUT")));

    for (manifest, complaint) in [
        ("flat=site/flat.json", "lies in the directory that is published"),
        ("yaml=flat.json", "`yaml` is no format"),
        ("flat", "FORMAT=FILE"),
    ] {
        let refused = world.run(&["publish", "site", "--manifest", manifest]).await;
        assert!(refused.stderr.contains(complaint), "{}", refused.stderr);
        refused.exited(2);
    }
    let events = world.run(&["publish", "site", "--events", "site/events.json"]).await;
    assert!(events.stderr.contains("lies in the directory that is published"), "{}", events.stderr);
    events.exited(2);
    assert!(!world.path("site/events.json").exists());
}
