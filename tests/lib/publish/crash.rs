//! A publisher that dies at any call of the store: visitors see the old or
//! the new release, whole, and a second run finishes.

use super::*;
use crate::harness::probe::{Fault, Probe};

/// One object at a time, so that every call has the same number in each run.
fn one_by_one() -> Options {
    Options { concurrency: 1, ..options() }
}

fn changed() -> TempDir {
    let dir = tree(SHOP);
    write(dir.path(), "img/awning.svg", "<svg xmlns='http://www.w3.org/2000/svg' id='b'/>");
    // Long enough to be stored in three codings besides.
    write(dir.path(), "js/long.js", &"console.log('open')\n".repeat(30));
    dir
}

/// A bucket with a release, unless the first publish is what dies.
async fn bucket(with_release: bool) -> (Arc<MemoryStore>, Option<Activation>) {
    let store = Arc::new(MemoryStore::default());
    let mut old = None;
    if with_release {
        old = Some(publish_to(&tree(SHOP), &*store, "old").await.unwrap().activation);
    }
    (store, old)
}

async fn die(store: &Arc<MemoryStore>, fault: Fault) {
    let probe = Probe::new(store, fault.clone());
    let (dir, options) = (changed(), one_by_one());
    tokio::select! {
        outcome = publish_with(&dir, &probe, &options, "dead") => {
            panic!("{fault:?} was not reached: {outcome:?}")
        }
        () = probe.reached() => {}
    }
}

#[tokio::test]
async fn a_crash_at_any_call_leaves_a_whole_release_and_a_rerun_finishes() {
    for with_release in [false, true] {
        let (store, _) = bucket(with_release).await;
        let probe = Probe::new(&store, Fault::None);
        let new = publish_with(&changed(), &probe, &one_by_one(), "n").await.unwrap();
        let new = new.activation.release;
        let calls = probe.calls().len();
        assert!(calls > 8, "{:?}", probe.calls());

        for call in 0..calls {
            for fault in [Fault::HangBefore(call), Fault::HangAfter(call)] {
                let (store, old) = bucket(with_release).await;
                die(&store, fault.clone()).await;
                let head = whole_head(&store).await;
                let is_new = head.as_ref().is_some_and(|head| head.release == new);
                assert!(is_new || head == old, "{fault:?}: {head:?}");

                let rerun = publish_to(&changed(), &*store, "rerun").await;
                let rerun = rerun.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
                let head = whole_head(&store).await.unwrap();
                assert_eq!(head, rerun.activation, "{fault:?}");
                assert_eq!(head.release, new, "{fault:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_took_effect_but_seemed_to_fail_is_made_good_by_a_rerun() {
    let (store, _) = bucket(true).await;
    let probe = Probe::new(&store, Fault::None);
    let new = publish_with(&changed(), &probe, &one_by_one(), "n").await.unwrap();
    for call in 0..probe.calls().len() {
        let (store, old) = bucket(true).await;
        let probe = Probe::new(&store, Fault::FailAfter(call));
        let outcome = publish_with(&changed(), &probe, &one_by_one(), "n").await;
        let named = probe.calls()[call].clone();
        // An object is sent again at once; everything else is left to a rerun.
        let again = named.starts_with("PUT shop/a/");
        let failed = matches!(outcome, Err(Failure::Publish(_)));
        assert_eq!(failed, !again, "{named}: {outcome:?}");
        let head = whole_head(&store).await;
        assert!(head == old || head.as_ref() == Some(&new.activation), "{named}: {head:?}");

        let rerun = publish_to(&changed(), &*store, "rerun").await.unwrap();
        assert_eq!(whole_head(&store).await.unwrap(), rerun.activation, "{named}");
        assert_eq!(rerun.activation.release, new.activation.release, "{named}");
    }
}

#[tokio::test]
async fn a_publisher_that_died_behind_its_record_is_honoured_by_the_next() {
    let (store, _) = bucket(true).await;
    let probe = Probe::new(&store, Fault::None);
    publish_with(&changed(), &probe, &one_by_one(), "n").await.unwrap();
    let record = layout().record(channel(), 2, "n");
    let call = probe.calls().iter().position(|call| *call == format!("PUT {record}")).unwrap();

    let (store, old) = bucket(true).await;
    die(&store, Fault::HangAfter(call)).await;
    assert_eq!(whole_head(&store).await, old, "the head is not written yet");

    // Another tree: its publisher based it on the old head, so it comes second.
    let other = changed();
    write(other.path(), "other.txt", "other");
    let outcome = publish_to(&other, &*store, "n3").await;
    let Err(Failure::Publish(PublishError::Superseded { by, .. })) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(by.nonce, "dead");
    assert_eq!(whole_head(&store).await.as_ref(), Some(&*by), "the head is repaired");
    let release = publish_to(&other, &*store, "n4").await.unwrap();
    assert_eq!(release.activation.seq, 3);
    assert_eq!(whole_head(&store).await, Some(release.activation));
}
