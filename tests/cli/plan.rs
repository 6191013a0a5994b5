//! `awning plan` and `awning apply`: what was planned is done, or nothing is.

use serde_json::Value;

use crate::harness::{Finished, World};

fn site(world: &World, color: &str) {
    world.write("site/index.html", "<link rel=stylesheet href=/app.css><p>etalage");
    world.write("site/app.css", &format!("body {{ color: {color} }}"));
}

async fn planned(world: &World, color: &str) -> Value {
    site(world, color);
    world.run(&["plan", "site", "-o", "plan.json"]).await.exited(0);
    serde_json::from_slice(&std::fs::read(world.path("plan.json")).unwrap()).unwrap()
}

#[track_caller]
fn tells(refused: &Finished, texts: &[&str]) {
    for text in texts {
        assert!(refused.stderr.contains(text), "`{text}` is not in: {}", refused.stderr);
    }
}

fn writes(world: &World) -> u64 {
    world.bucket.calls().of("PutObject")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planned_is_done_at_the_planned_cost() {
    let world = World::new().await;
    // A file that keeps its name, which is looked up before it is sent.
    world.write("site/main-BsQK3x9d.js", "1");
    world.write("site/manifest.json", r#"{"main.js": "main-BsQK3x9d.js"}"#);
    for (color, kept) in [("red", 0), ("blue", 2), ("blue", 4)] {
        let plan = planned(&world, color).await;
        assert_eq!(plan["schema"], "awning.plan/v1");
        assert_eq!(plan["source"], world.path("site").to_str().unwrap());
        assert_eq!(plan["unchanged"], kept == 4, "{plan}");
        let steps = plan["steps"].as_array().unwrap();
        let keeps = steps.iter().filter(|step| step["step"] == "keep").count();
        assert_eq!((steps.len(), keeps), (4, kept), "{plan}");

        let before = world.bucket.calls();
        let applied = world.run(&["apply", "plan.json", "--json"]).await.exited(0);
        let applied: Value = serde_json::from_str(&applied.stdout).unwrap();
        assert_eq!(applied["release"], plan["release"]);
        let after = world.bucket.calls();
        for (class, operations) in [
            ("a", &["PutObject"][..]),
            ("b", &["GetObject", "HeadObject"]),
            ("c", &["ListObjectsV2", "ListObjects"]),
        ] {
            let made: u64 = operations.iter().map(|name| after.of(name) - before.of(name)).sum();
            assert_eq!(plan["calls"][class], made, "{color} {class}: {after:?}");
        }
        assert!(world.served("app.css").await.unwrap().contains(color));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_printed_or_shown_and_says_when_nothing_changes() {
    let world = World::new().await;
    site(&world, "red");
    let printed = world.run(&["plan", "site", "-o", "-", "--order", "7"]).await.exited(0);
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    let json = world.run(&["plan", "site", "--json", "--order", "7"]).await.exited(0);
    assert_eq!(printed, serde_json::from_str::<Value>(&json.stdout).unwrap());
    assert_eq!((&printed["options"]["order"], &printed["base"]), (&7.into(), &Value::Null));

    world.run(&["publish", "site"]).await.exited(0);
    let shown = world.run(&["plan", "site", "-o", "plan.json"]).await.exited(0);
    assert!(shown.stdout.contains("nothing to do"), "{}", shown.stdout);
    assert!(shown.stdout.contains("0 A, 2 B, 0 C"), "{}", shown.stdout);
    world.run(&["apply", "plan.json"]).await.exited(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_not_what_was_planned_is_refused_with_what_changed() {
    let world = World::new().await;
    world.write("site/old.txt", "old");
    planned(&world, "red").await;
    site(&world, "blue");
    world.write("site/new.txt", "new");
    std::fs::remove_file(world.path("site/old.txt")).unwrap();
    let refused = world.run(&["apply", "plan.json"]).await.exited(3);
    tells(
        &refused,
        &["app.css (changed)", "index.html (changed)", "new.txt (new)", "old.txt (gone)"],
    );

    for n in 0..30 {
        world.write(&format!("site/n/{n}.txt"), "new");
    }
    let refused = world.run(&["apply", "plan.json"]).await.exited(3);
    tells(&refused, &["and 14 more"]);
    assert_eq!(refused.stderr.matches("(new)").count(), 18, "{}", refused.stderr);
    assert_eq!(writes(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_moved_is_refused_and_a_plan_that_is_done_is_not() {
    let world = World::new().await;
    planned(&world, "red").await;
    world.write("other/index.html", "<p>other");
    world.run(&["publish", "other"]).await.exited(0);
    let before = writes(&world);
    let refused = world.run(&["apply", "plan.json"]).await.exited(5);
    tells(&refused, &["`production` moved", "plan again"]);
    assert_eq!(writes(&world), before);

    world.run(&["plan", "site", "-o", "plan.json", "--channel", "preview-1"]).await.exited(0);
    world.run(&["apply", "plan.json"]).await.exited(0);
    let again = world.run(&["apply", "plan.json"]).await.exited(0);
    assert!(again.stdout.starts_with("unchanged "), "{}", again.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_is_refused() {
    let world = World::new().await;
    planned(&world, "red").await;
    let mut command = world.command(&["apply", "plan.json"]);
    command.env("AWNING_PUBLISH_PUBLIC_URL", "https://cdn.example.nl");
    let refused = crate::harness::finish(command).await.exited(3);
    tells(&refused, &["`publish.public_url` was \"/_a\", is \"https://cdn.example.nl\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plan_and_a_place_that_holds_none_are_told() {
    let world = World::new().await;
    planned(&world, "red").await;
    let whole = std::fs::read_to_string(world.path("plan.json")).unwrap();
    for (name, text) in [
        ("cut.json", &whole[..whole.len() / 2]),
        ("other.json", "{\"schema\": \"terraform\"}"),
        ("later.json", &whole.replace("awning.plan/v1", "awning.plan/v2")),
    ] {
        world.write(name, text);
        let refused = world.run(&["apply", name]).await.exited(2);
        tells(&refused, &[name, "awning plan DIR -o FILE"]);
    }
    world.run(&["apply", "missing.json"]).await.exited(2);
    let inside = world.run(&["plan", "site", "-o", "site/plan.json"]).await.exited(2);
    tells(&inside, &["lies in the directory that is planned"]);
    assert!(!world.path("site/plan.json").exists());
    world.run(&["plan", "site", "-o", "missing/plan.json"]).await.exited(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_preview_ends_so_long_after_it_is_applied() {
    let world = World::new().await;
    site(&world, "red");
    let plan = ["plan", "site", "--channel=preview-42", "--expires=7d", "-o", "plan.json"];
    let told = world.run(&plan).await.exited(0).stdout;
    assert!(told.contains("\nends 168 h after it is applied\n"), "{told}");
    let file = std::fs::read(world.path("plan.json")).unwrap();
    let planned: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(planned["options"]["expires_seconds"], 7 * 24 * 3600);

    for outcome in ["published ", "unchanged "] {
        let applied = world.run(&["apply", "plan.json"]).await.exited(0).stdout;
        assert!(applied.starts_with(outcome), "{applied}");
        // But for the time that it takes to publish.
        let lasts = lasts(&world).await;
        assert!(lasts.abs_diff(7 * 24 * 3600) < 60, "{lasts}");
    }
    let (world, standing) = (&world, ["plan", "site", "--expires=7d"]);
    tells(&world.run(&standing).await.exited(2), &["--expires", "--channel"]);
    // What stands by the time of applying must not end either.
    world.write("awning.toml", "[publish]\nchannel = \"preview-42\"\n");
    let refused = world.run(&["apply", "plan.json", "--config=awning.toml"]).await.exited(2);
    tells(&refused, &["--expires", "preview-42"]);
}

/// Seconds from the newest switch of the preview to its end.
async fn lasts(world: &World) -> u64 {
    let listed = world.run(&["releases", "--channel=preview-42", "--json"]).await.exited(0);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let time = |name: &str| httpdate::parse_http_date(listed[0][name].as_str().unwrap()).unwrap();
    time("expires").duration_since(time("activated")).unwrap().as_secs()
}
