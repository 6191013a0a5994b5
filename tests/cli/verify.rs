//! `awning verify`: what is damaged is told, and stored again from its tree.

use serde_json::Value;

use crate::harness::{Action, World};

async fn shop(world: &World) -> String {
    world.write("site/index.html", "<link rel=stylesheet href=/app.css><img src=/a.svg>");
    world.write("site/app.css", "body { color: red }");
    world.write("site/a.svg", "<svg/>");
    let published = world.run(&["publish", "site", "--json"]).await.exited(0);
    let published: Value = serde_json::from_str(&published.stdout).unwrap();
    published["release"].as_str().unwrap().to_owned()
}

/// The key of the object whose name begins so.
async fn key(world: &World, begin: &str) -> String {
    world.keys(begin).await.first().unwrap().clone()
}

fn count(world: &World, method: &str) -> usize {
    world.proxy.seen().iter().filter(|call| call.starts_with(method)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_release_costs_a_look_up_or_a_read_for_each_object() {
    let world = World::new().await;
    let release = shop(&world).await;
    world.proxy.follow(|_, _| Action::Pass);
    let verified = world.run(&["verify", &release]).await.exited(0);
    let expected = format!("whole {}: 3 objects (", &release[..12]);
    assert!(verified.stdout.starts_with(&expected), "{}", verified.stdout);
    assert_eq!((count(&world, "HEAD"), count(&world, "GET")), (3, 1));

    world.proxy.follow(|_, _| Action::Pass);
    let full = world.run(&["verify", "--full", &release, "--json"]).await.exited(0);
    let full: Value = serde_json::from_str(&full.stdout).unwrap();
    assert_eq!((&full["outcome"], &full["full"]), (&"whole".into(), &true.into()));
    assert_eq!((count(&world, "HEAD"), count(&world, "GET")), (0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_told_at_once_and_repaired_from_the_tree() {
    let world = World::new().await;
    let release = shop(&world).await;
    let (page, sheet) = (key(&world, "a/index.").await, key(&world, "a/app.").await);
    world.lose("a/a.").await;
    world.put(&page, "half").await;
    // As long as it was, and without its header fields.
    world.put(&sheet, "body { color: bad }").await;
    let broken = world.run(&["verify", "--json"]).await.exited(6);
    let told: Value = serde_json::from_str(&broken.stdout).unwrap();
    let errors: Vec<&str> =
        told["failed"].as_array().unwrap().iter().map(|it| it["error"].as_str().unwrap()).collect();
    let wrong = ["is missing", "has content-type", "has 4 bytes instead of"];
    for (error, wrong) in errors.iter().zip(wrong) {
        assert!(error.contains(wrong), "{wrong}: {errors:#?}");
    }
    assert_eq!(errors.len(), 3);
    let full = world.run(&["verify", "--full"]).await.exited(6);
    assert!(full.stderr.contains("has other bytes: BLAKE3"), "{}", full.stderr);

    world.proxy.follow(|_, _| Action::Pass);
    let repaired = world.run(&["verify", "--full", "--repair", "site"]).await.exited(0);
    let expected = format!("repaired {}: 3 objects (", &release[..12]);
    assert!(repaired.stdout.starts_with(&expected), "{}", repaired.stdout);
    assert!(repaired.stdout.contains("3 stored again"), "{}", repaired.stdout);
    assert_eq!(count(&world, "PUT"), 3);
    let whole = world.run(&["verify", "--full"]).await.exited(0);
    assert!(whole.stdout.starts_with("whole "), "{}", whole.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_repaired_and_a_manifest_of_a_release_that_has_some() {
    let world = World::new().await;
    world.write("site/app.css", &"body { color: red }\n".repeat(50));
    let published = world.run(&["publish", "site", "--json"]).await.exited(0).stdout;
    let published: Value = serde_json::from_str(&published).unwrap();
    let release = published["release"].as_str().unwrap();
    world.lose(".css.br").await;
    world.run(&["verify"]).await.exited(6);
    world.proxy.follow(|_, _| Action::Pass);
    world.run(&["verify", "--repair", "site"]).await.exited(0);
    assert_eq!(count(&world, "PUT"), 1);
    world.lose(".awning/releases/").await;
    world.run(&["verify", release, "--repair", "site"]).await.exited(0);
    world.run(&["verify", "--full"]).await.exited(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_tree_does_not_make_are_not_sent() {
    let world = World::new().await;
    let release = shop(&world).await;
    world.lose("a/a.").await;
    world.lose("a/app.").await;
    world.write("site/app.css", "body { color: blue }");
    world.proxy.follow(|_, _| Action::Pass);
    let partly = world.run(&["verify", &release, "--repair", "site"]).await.exited(6);
    assert!(partly.stderr.contains("does not make 1 object(s)"), "{}", partly.stderr);
    assert_eq!(count(&world, "PUT"), 1, "the picture is the same");
    world.write("site/app.css", "body { color: red }");
    world.run(&["verify", &release, "--repair", "site"]).await.exited(0);
    assert!(world.served("app.css").await.unwrap().contains("red"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_repaired_by_the_tree_that_makes_its_release() {
    let world = World::new().await;
    let release = shop(&world).await;
    world.put(&format!(".awning/releases/{release}.json"), "{}").await;
    world.run(&["verify", &release]).await.exited(6);
    world.run(&["verify", &release, "--repair", "site"]).await.exited(0);
    world.lose("/releases/").await;
    world.run(&["verify", &release]).await.exited(3);
    world.write("other/index.html", "<p>other");
    world.run(&["verify", &release, "--repair", "other"]).await.exited(3);
    let repaired = world.run(&["verify", &release, "--repair", "site"]).await.exited(0);
    assert!(repaired.stdout.starts_with("repaired "), "{}", repaired.stdout);
    world.run(&["verify"]).await.exited(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_verified_exits_by_its_reason() {
    let world = World::new().await;
    world.run(&["verify"]).await.exited(3);
    shop(&world).await;
    world.run(&["verify", &"0".repeat(64)]).await.exited(3);
    world.run(&["verify", "main"]).await.exited(2);
    for (status, code, exit) in [(403, "AccessDenied", 7), (503, "ServiceUnavailable", 4)] {
        world.proxy.follow(move |method, _| match method {
            "HEAD" => Action::Refuse(status, code),
            _ => Action::Pass,
        });
        world.run(&["verify"]).await.exited(exit);
    }
}
