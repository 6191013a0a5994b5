//! What breaks live sites with the popular tools, and does not with this one:
//! a partial failure, an empty source, and an edit of the same size with an
//! older date.

use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use awning_front::{Script, When, cases};

use super::objects;
use crate::harness::World;

/// A page and sixty assets that it names, of one generation.
fn shop(world: &World, generation: &str) {
    let mut page = String::new();
    for number in 0..60 {
        page += &format!("<img src=/img/{number}.svg>");
        world.write(
            &format!("shop/img/{number}.svg"),
            &format!("<svg data-n='{number}' class='{generation}'/>"),
        );
    }
    world.write("shop/index.html", &page);
}

async fn published(generation: &str) -> (World, String) {
    let world = World::new().await;
    shop(&world, generation);
    world.run(&["publish", "shop"]).await.exited(0);
    let page = world.served("index.html").await.unwrap();
    (world, page)
}

/// One upload of 61 is refused, whichever it is. `served` proves every object
/// of the release that visitors see.
#[tokio::test(flavor = "multi_thread")]
async fn a_partial_failure_changes_nothing_that_visitors_see() {
    for refused in [1, 2, 30, 60, 61] {
        let (world, old) = published("old").await;
        shop(&world, "new");
        world.proxy.script(Script::new().on(objects().nth(refused), cases::denied()));
        let failed = world.run(&["publish", "shop"]).await;
        assert!(matches!(failed.code, Some(4 | 7)), "{refused}: {failed:?}");
        assert!(failed.stderr.contains("403 AccessDenied"), "{}", failed.stderr);
        assert_eq!(world.served("index.html").await.as_ref(), Some(&old), "{refused}");
        let counts = world.proxy.counts();
        assert_eq!(counts.of("DeleteObject") + counts.of("DeleteObjects"), 0);
        let switched = |key: &str| key.contains("/channels/");
        assert!(!counts.seen().iter().any(|call| call.method == "PUT" && switched(&call.key)));

        world.proxy.script(Script::new());
        world.run(&["publish", "shop"]).await.exited(0);
        assert_ne!(world.served("index.html").await.unwrap(), old);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_asks_the_store_for_nothing() {
    let (world, old) = published("old").await;
    std::fs::create_dir(world.path("empty")).unwrap();
    std::fs::create_dir_all(world.path("hollow/with/directories")).unwrap();
    world.proxy.script(Script::new().on(When::any(), cases::internal()));
    for source in ["empty", "hollow"] {
        let refused = world.run(&["publish", source]).await.exited(3);
        assert!(refused.stderr.contains("nothing to publish"), "{}", refused.stderr);
    }
    assert_eq!(world.proxy.counts().total(), 0);
    assert_eq!(world.served("index.html").await, Some(old));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_same_size_with_an_older_date_is_uploaded() {
    let (world, old) = published("old").await;
    let path = world.path("shop/img/7.svg");
    let before = std::fs::metadata(&path).unwrap();
    world.write("shop/img/7.svg", "<svg data-n='7' class='odd'/>");
    set_date(&path, UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(before.len(), after.len());
    assert!(after.modified().unwrap() < before.modified().unwrap());

    world.proxy.script(Script::new());
    world.run(&["publish", "shop"]).await.exited(0);
    // The picture, the page that names it, and the three codings of that.
    let puts = world.proxy.counts().seen().iter().filter(|c| c.key.starts_with("a/")).count();
    assert_eq!(puts, 2 + 3);
    assert!(world.served("img/7.svg").await.unwrap().contains("odd"));
    assert_ne!(world.served("index.html").await.unwrap(), old);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_dates_alone_upload_nothing() {
    let (world, _) = published("old").await;
    for number in 0..60 {
        let path = world.path(&format!("shop/img/{number}.svg"));
        set_date(&path, UNIX_EPOCH + Duration::from_secs(1_000_000_000 + number));
    }
    world.proxy.script(Script::new());
    let unchanged = world.run(&["publish", "shop"]).await.exited(0);
    assert!(unchanged.stdout.starts_with("unchanged "), "{}", unchanged.stdout);
    assert_eq!(world.proxy.counts().total(), 2);
}

fn set_date(path: &std::path::Path, date: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(date).unwrap();
}
