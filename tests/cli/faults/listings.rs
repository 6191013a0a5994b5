//! Listings that are odd and yet allowed (case 30).

use awning_front::{Script, When, cases};

use super::{BEFORE, Row, run_all};

const PREFIX: &str = ".awning/channels/production/log/";

/// A listing of the log. The first of all is that of what is condemned.
fn list(number: u64) -> When {
    When::operation("ListObjectsV2").nth(1 + number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_nothing_but_a_promise_of_more_is_passed_over() {
    for number in 1..=3 {
        let world = super::red().await;
        let red = record(&world);
        super::site(&world, "blue");
        let script = Script::new()
            .on(list(number), cases::page(PREFIX, &[], Some("t")))
            .on(list(number + 1), cases::page(PREFIX, &[&red], None));
        world.proxy.script(script);
        world.run(&["publish", "site"]).await.exited(0);
        assert_eq!(
            (world.proxy.fired(), world.proxy.counts().of("ListObjectsV2")),
            (vec![1, 1], 5)
        );
        assert!(world.served("app.css").await.unwrap().contains("blue"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pages_without_end_are_given_up_before_the_switch() {
    let endless = || cases::page(PREFIX, &[], Some("t"));
    let lists = || When::operation("ListObjectsV2");
    // The object, the manifest, and the manifest read back; then 16 pages.
    let log = BEFORE + 3 + 16;
    run_all([
        Row::fails(30, "endless", lists().from(2), endless(), log).says("empty page"),
        Row::fails(30, "endless at once", lists(), endless(), BEFORE - 1 + 16).says("empty page"),
    ])
    .await;
}

/// Keys of log records appear while they are listed, and again on the next page.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_twice_or_between_two_pages_is_one_record() {
    let world = super::red().await;
    let red = record(&world);
    super::site(&world, "blue");
    // Both pages of the first list tell of the one record, and of a key that is none.
    let stranger = format!("{PREFIX}not-a-record.json");
    let twice = cases::page(PREFIX, &[&red], Some("t"));
    let again = cases::page(PREFIX, &[&red, &stranger], None);
    world.proxy.script(Script::new().on(list(1), twice).on(list(2), again));
    world.run(&["publish", "site"]).await.exited(0);
    assert_eq!(world.proxy.fired(), [1, 1]);
    let blue = record(&world);
    assert_ne!(red, blue);
    assert!(world.served("app.css").await.unwrap().contains("blue"));

    // The newest record is not on the first page yet, and then comes first and last.
    super::site(&world, "green");
    let old = cases::page(PREFIX, &[&red], Some("t"));
    let both = cases::page(PREFIX, &[&red, &blue, &blue], None);
    world.proxy.script(Script::new().on(list(1), old).on(list(2), both));
    world.run(&["publish", "site"]).await.exited(0);
    assert_eq!(world.proxy.fired(), [1, 1]);
    assert!(world.served("app.css").await.unwrap().contains("green"));
}

/// A listing that lags behind the own write: the own record counts all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_lags_behind_loses_no_switch() {
    let world = super::red().await;
    let red = record(&world);
    super::site(&world, "blue");
    let nothing = cases::page(PREFIX, &[], None);
    world.proxy.script(Script::new().on(When::operation("ListObjectsV2"), nothing));
    world.run(&["publish", "site"]).await.exited(0);
    assert!(world.served("app.css").await.unwrap().contains("blue"));
    assert_ne!(record(&world), red);
}

/// The key of the record that was written last.
fn record(world: &crate::harness::World) -> String {
    let counts = world.proxy.counts();
    let written = counts
        .seen()
        .iter()
        .rev()
        .find(|call| call.operation == "PutObject" && call.key.starts_with(PREFIX));
    written.unwrap().key.clone()
}
