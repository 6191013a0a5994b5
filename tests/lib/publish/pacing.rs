//! Stores that are slow, ask to slow down or fail for a while; limits on time
//! and bandwidth.

use std::num::NonZeroU64;
use std::time::Duration;

use awning::store::Operation;
use tokio::time::Instant;

use super::*;
use crate::harness::probe::{Fault, Probe};

/// What is counted here are assets, not their variants.
fn options() -> Options {
    Options { compress: false, ..super::options() }
}

/// A page and so many images that it shows.
fn gallery(images: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut page = String::new();
    for number in 0..images {
        write(dir.path(), &format!("img/{number:04}.png"), &format!("image {number}"));
        page.push_str(&format!("<img src=img/{number:04}.png>"));
    }
    write(dir.path(), "index.html", &page);
    dir
}

fn puts(probe: &Probe) -> usize {
    probe.calls().iter().filter(|call| call.starts_with("PUT shop/a/")).count()
}

/// Uploads alone: what is under test does not concern the rest of a publish.
async fn upload_to(
    dir: &TempDir,
    store: &dyn ObjectWrite,
    options: &Options,
) -> Result<(usize, u64), PublishError> {
    let plan = planned(dir, store, options).await.unwrap();
    let uploaded = publish::upload(plan, store, &layout(), options, &mut |_| ()).await?;
    Ok(uploaded.sent())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_files_get_through_a_storm_of_requests_to_slow_down() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::Storm(60, StoreErrorKind::Throttled));
    let sent = upload_to(&gallery(999), &probe, &options()).await.unwrap();
    assert_eq!(sent.0, 1000);
    let puts = puts(&probe);
    assert!((2000..3000).contains(&puts), "{puts} calls for 1,000 objects");
    publish_to(&gallery(999), &*store, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_given_up_after_four_rounds() {
    let store = Arc::new(MemoryStore::default());
    let down = Fault::Refuse(Operation::Put, "a/", StoreErrorKind::Unavailable);
    let probe = Probe::new(&store, down);
    let one = Options { concurrency: 1, ..options() };
    let error = upload_to(&gallery(9), &probe, &one).await.unwrap_err();
    let shape = matches!(&error, PublishError::Incomplete { stored: 0, unsent: 9, .. });
    assert!(shape, "{error:?}");
    assert_eq!(puts(&probe), 4);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_only_asks_to_slow_down_is_waited_for_until_the_deadline() {
    let store = Arc::new(MemoryStore::default());
    let slow = Fault::Refuse(Operation::Put, "img/3", StoreErrorKind::Throttled);
    let dir = tree(&[("img/3.png", "3"), ("img/4.png", "4")]);
    let hours = Duration::from_secs(3 * 3600);
    let until = Options { deadline: Some(Instant::now() + hours), ..options() };
    let error = upload_to(&dir, &Probe::new(&store, slow.clone()), &until).await.unwrap_err();
    assert!(matches!(error, PublishError::Late { stored: 1, unsent: 1 }), "{error:?}");
    assert!(until.is_late());
    let text = error.to_string();
    assert!(text.contains("1 of 2 objects") && text.contains("again goes on"), "{text}");

    // Without one, it is given up half an hour after anything was stored.
    let began = Instant::now();
    let error = upload_to(&dir, &Probe::new(&store, slow), &options()).await.unwrap_err();
    assert!(matches!(error, PublishError::Incomplete { stored: 1, .. }), "{error:?}");
    let minutes = began.elapsed().as_secs() / 60;
    assert!((30..32).contains(&minutes), "{minutes} minutes");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_gives_up_what_is_under_way_and_activates_nothing() {
    let store = Arc::new(MemoryStore::default());
    // Call 0 reads the head, 1 to 3 claim what is kept, and 4 puts an object.
    for (hangs, sent) in [(1, 0), (3, 0), (4, 9)] {
        let probe = Probe::new(&store, Fault::HangBefore(hangs));
        let soon = Instant::now() + Duration::from_secs(60);
        let options = Options { deadline: Some(soon), ..options() };
        let outcome = publish_with(&gallery(9), &probe, &options, "n1").await;
        let Err(Failure::Publish(PublishError::Late { stored, unsent })) = outcome else {
            panic!("{hangs}: {outcome:?}");
        };
        assert_eq!((stored, unsent), (sent, 10 - sent), "{hangs}");
        assert_eq!(whole_head(&store).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_activation_is_not_begun_after_the_deadline() {
    let store = Arc::new(MemoryStore::default());
    let soon = Duration::from_secs(60);
    let options = Options { deadline: Some(Instant::now() + soon), ..options() };
    let dir = gallery(2);
    let plan = planned(&dir, &*store, &options).await.unwrap();
    let uploaded = publish::upload(plan, &*store, &layout(), &options, &mut |_| ()).await.unwrap();
    tokio::time::advance(soon).await;
    let nonce = "n1".to_owned();
    let outcome =
        publish::activate(uploaded, &*store, &layout(), UNIX_EPOCH, nonce, &options).await;
    assert!(matches!(outcome, Err(PublishError::Late { stored: 3, unsent: 0 })), "{outcome:?}");
    let switched = |key: &String| key.starts_with(".awning/channels/");
    assert!(!keys(&store).await.iter().any(switched));
}

#[tokio::test(start_paused = true)]
async fn no_more_bytes_are_sent_in_a_second_than_allowed() {
    let store = Arc::new(MemoryStore::default());
    let dir = tempfile::tempdir().unwrap();
    for number in 0..10 {
        fs::write(dir.path().join(format!("{number}.bin")), vec![number; 100_000]).unwrap();
    }
    let per_second = NonZeroU64::new(100_000);
    let began = Instant::now();
    upload_to(&dir, &*store, &Options { bandwidth: per_second, ..options() }).await.unwrap();
    // The first second's worth is saved up, and the last body has not to be paid for.
    let seconds = began.elapsed().as_secs_f64();
    assert!((8.0..10.0).contains(&seconds), "{seconds} seconds for ten seconds' worth");
}

#[tokio::test(start_paused = true)]
async fn a_failure_does_not_wait_for_those_that_would_try_again() {
    let store = Arc::new(MemoryStore::default());
    // One object is asked to slow down for ever; another is denied.
    let slow = Probe::new(&store, Fault::Refuse(Operation::Put, "slow", StoreErrorKind::Throttled));
    let began = Instant::now();
    let dir = tree(&[("slow.txt", "slow"), ("fine.txt", "fine")]);
    let plan = planned(&dir, &slow, &options()).await.unwrap();
    fs::write(dir.path().join("fine.txt"), "eniF").unwrap();
    let outcome = publish::upload(plan, &slow, &layout(), &options(), &mut |_| ()).await;
    assert!(matches!(outcome, Err(PublishError::Changed { .. })), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
