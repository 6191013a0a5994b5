//! Refusals that no second attempt can help: caps, keys, clocks (cases 7, 9,
//! 14 to 18, 32).

use awning_front::{Script, When, cases};

use super::{BEFORE, CALM, Row, objects, red, run_all, shown};
use crate::harness::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_is_tried_once_and_the_hint_says_why() {
    let rows = [
        (14, "master key", cases::master_key(), "you used the master key"),
        (14, "master key", cases::master_key(), "create an application key"),
        (15, "wrong cluster", cases::wrong_cluster("003f"), "another region than the endpoint"),
        (15, "wrong cluster", cases::wrong_cluster("003f"), "The key '003f' is not valid"),
        (16, "bad secret", cases::bad_secret(), "the key is not the one of this key id"),
        (18, "old bucket", cases::not_s3_enabled(), "create a new one"),
        (32, "clock", cases::skewed(), "the clock of this machine is wrong"),
    ];
    let rows = rows.map(|(case, name, fault, says)| {
        Row::fails(case, name, When::any(), fault, 1).exits(7).says(says)
    });
    run_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_is_told_which_capability_it_lacks() {
    let denied = |name, when, says, calls| {
        Row::fails(17, name, when, cases::denied(), calls).exits(7).says(says)
    };
    let rows = [
        denied("read", When::operation("GetObject"), "lacks the capability readFiles", 1),
        denied("write", When::operation("PutObject"), "lacks the capability writeFiles", 4),
        denied("list", When::operation("ListObjectsV2"), "lacks the capability listFiles", BEFORE),
    ];
    run_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_stops_everything_and_is_told_in_the_words_of_the_store() {
    let storage = "Cannot upload files, storage cap exceeded. See the Caps & Alerts page to \
                   increase your cap.";
    let lists = "Transaction cap exceeded, see the Caps & Alerts page to increase your cap";
    let reads = "download bandwidth or transaction (Class B) cap exceeded. See the Caps & Alerts";
    let list = || When::operation("ListObjectsV2");
    let rows = [
        Row::fails(7, "storage", objects(), cases::storage_cap(), BEFORE + 1).says(storage),
        Row::fails(7, "storage", objects(), cases::storage_cap(), BEFORE + 1)
            .says("until 00:00 UTC"),
        Row::fails(8, "reads", When::operation("GetObject"), cases::download_cap(), 1).says(reads),
        Row::fails(9, "lists", list(), cases::transaction_cap(), BEFORE).says(lists),
    ];
    run_all(rows.map(|row| row.exits(7))).await;
}

/// Even when objects were stored before it was reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_cap_in_the_middle_of_many_uploads_is_no_reason_to_try_again() {
    let world = red().await;
    for number in 0..100 {
        world.write(&format!("site/{number}.txt"), &number.to_string());
    }
    world.proxy.script(Script::new().on(objects().from(10), cases::storage_cap()));
    world.run(&["publish", "site"]).await.exited(7);
    let counts = world.proxy.counts();
    // What was under way when the first was refused is waited for; nothing is begun.
    let sent = counts.seen().iter().filter(|call| call.key.starts_with("a/")).count();
    assert!((10..=9 + 32).contains(&sent), "{}", shown(&counts));
    assert_eq!(world.served("99.txt").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_needs_no_listing_that_a_cap_could_stop() {
    let world = red().await;
    world
        .proxy
        .script(Script::new().on(When::operation("ListObjectsV2"), cases::transaction_cap()));
    let unchanged = world.run(&["publish", "site"]).await.exited(0);
    assert!(unchanged.stdout.starts_with("unchanged "), "{}", unchanged.stdout);
    assert_eq!(world.proxy.counts().total(), 2);
}

/// After the head has been written, a publish is done but for its last look.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_fails_behind_the_switch_leaves_a_whole_release() {
    for list in 3..=4 {
        let world = red().await;
        super::site(&world, "blue");
        let when = When::operation("ListObjectsV2").nth(list);
        world.proxy.script(Script::new().on(when, cases::transaction_cap()));
        world.run(&["publish", "site"]).await.exited(7);
        shows_a_color(&world).await;
        world.proxy.script(Script::new());
        world.run(&["publish", "site"]).await.exited(0);
        assert!(world.served("app.css").await.unwrap().contains("blue"));
    }
}

async fn shows_a_color(world: &World) {
    let css = world.served("app.css").await.unwrap();
    assert!(css.contains("red") || css.contains("blue"), "{css}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_no_failure() {
    let world = World::new().await;
    super::site(&world, "red");
    // A new channel: its head is missing, as it would be if it were hidden.
    let when = When::operation("GetObject").key("**/head.json");
    world.proxy.script(Script::new().on(when, cases::no_such_key()));
    world.run(&["publish", "site"]).await.exited(0);
    let counts = world.proxy.counts();
    assert_eq!(world.proxy.fired(), [2]);
    // Two objects more, no manifest to begin with, and no record to read before its own.
    assert_eq!(counts.total(), CALM + 2 - 2, "{}", shown(&counts));
    assert!(world.served("app.css").await.unwrap().contains("red"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_told_to_programs_too() {
    let world = red().await;
    super::site(&world, "blue");
    world.proxy.script(Script::new().on(objects(), cases::storage_cap()));
    let failed = world.run(&["publish", "site", "--json"]).await.exited(7);
    let failed: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(failed["exit_code"], 7, "{failed}");
    assert!(failed["failed"][0]["error"].as_str().unwrap().contains("Caps & Alerts"), "{failed}");
}
