//! A rollback that dies at any call, or meets a publish: visitors see one
//! release or the other, whole, and the lock holds.

use super::switch::{bucket, changed, roll_back};
use super::*;
use crate::harness::probe::{Fault, Probe};

async fn calls_of_a_rollback() -> Vec<String> {
    let (store, ..) = bucket().await;
    let probe = Probe::new(&store, Fault::None);
    roll_back(&probe, "r").await.unwrap();
    probe.calls()
}

#[tokio::test]
async fn a_rollback_looks_before_it_writes() {
    let calls = calls_of_a_rollback().await;
    let verbs: Vec<&str> = calls.iter().map(|call| call.split(' ').next().unwrap()).collect();
    // Head, log, its records; what is condemned, manifest, objects; the log again, record, log; head, log.
    let expected =
        "GET LIST GET GET LIST GET HEAD HEAD HEAD HEAD LIST GET PUT LIST GET PUT LIST GET";
    assert_eq!(verbs.join(" "), expected, "{calls:#?}");
}

#[tokio::test]
async fn a_rollback_that_dies_at_any_call_is_finished_by_a_rerun() {
    for call in 0..calls_of_a_rollback().await.len() {
        for fault in [Fault::HangBefore(call), Fault::HangAfter(call)] {
            let (store, a, b) = bucket().await;
            let probe = Probe::new(&store, fault.clone());
            tokio::select! {
                outcome = roll_back(&probe, "dead") => panic!("{fault:?}: {outcome:?}"),
                () = probe.reached() => {}
            }
            let head = whole_head(&store).await.unwrap();
            let is_back = head.release == a.activation.release && head.locked;
            assert!(is_back || head == b.activation, "{fault:?}: {head:?}");

            let rerun = roll_back(&*store, "rerun").await.unwrap();
            let head = whole_head(&store).await.unwrap();
            assert_eq!(head, rerun.activation, "{fault:?}");
            assert_eq!((head.release, head.locked), (a.activation.release, true), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_seemed_to_fail_is_made_good_by_a_rerun() {
    for call in 0..calls_of_a_rollback().await.len() {
        let (store, a, _) = bucket().await;
        let probe = Probe::new(&store, Fault::FailAfter(call));
        let failed = roll_back(&probe, "failed").await;
        assert!(matches!(failed, Err(PublishError::Store(_))), "{call}: {failed:?}");
        whole_head(&store).await.unwrap();
        roll_back(&*store, "rerun").await.unwrap();
        let head = whole_head(&store).await.unwrap();
        assert_eq!((head.release, head.locked), (a.activation.release, true), "{call}");
    }
}

#[tokio::test]
async fn a_publish_that_meets_a_dead_rollback_honours_its_lock() {
    let calls = calls_of_a_rollback().await;
    let record = calls.iter().position(|call| call.starts_with("PUT ")).unwrap();
    let (store, ..) = bucket().await;
    let probe = Probe::new(&store, Fault::HangAfter(record));
    tokio::select! {
        outcome = roll_back(&probe, "dead") => panic!("{outcome:?}"),
        () = probe.reached() => {}
    }
    let outcome = publish_to(&changed("c"), &*store, "c").await;
    let Err(Failure::Publish(PublishError::Locked { by })) = outcome else { panic!("{outcome:?}") };
    assert_eq!(whole_head(&store).await, Some(*by), "the head is repaired");
}

/// Publishes with this order; the greater it is, the more it would win.
fn ordered(order: u64) -> Options {
    Options { order, concurrency: 1, ..options() }
}

#[tokio::test]
async fn a_publish_within_a_rollback_leaves_one_winner_at_any_interleaving() {
    for at in 0..calls_of_a_rollback().await.len() {
        let (store, a, b) = bucket().await;
        let probe = Probe::new(&store, Fault::Wait(at));
        let (dir, options) = (changed("c"), ordered(9));
        let publishing = async {
            probe.reached().await;
            let outcome = publish_with(&dir, &*store, &options, "c").await;
            whole_head(&store).await.unwrap();
            probe.let_go();
            outcome
        };
        let (back, publish) = tokio::join!(roll_back(&probe, "r"), publishing);
        let (call, head) = (&probe.calls()[at], whole_head(&store).await.unwrap());
        match back {
            // Visitors saw it before the rollback or not at all: the lock holds.
            Ok(back) => {
                assert_eq!(back.activation, head, "{call}");
                assert!(head.locked, "{call}");
                let from = [a.activation.release, b.activation.release];
                assert!(from.contains(&head.release), "{call}");
            }
            Err(PublishError::Superseded { by, .. }) => {
                assert_eq!(*by, head, "{call}");
                assert_eq!(publish.unwrap().activation, head, "{call}");
            }
            Err(error) => panic!("{call}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_rollback_within_a_publish_locks_at_any_interleaving() {
    let (dir, options) = (changed("c"), ordered(9));
    let (store, ..) = bucket().await;
    let probe = Probe::new(&store, Fault::None);
    publish_with(&dir, &probe, &options, "c").await.unwrap();
    for at in 0..probe.calls().len() {
        let (store, ..) = bucket().await;
        let probe = Probe::new(&store, Fault::Wait(at));
        let rolling = async {
            probe.reached().await;
            let back = roll_back(&*store, "r").await;
            whole_head(&store).await.unwrap();
            probe.let_go();
            back
        };
        let (publish, back) = tokio::join!(publish_with(&dir, &probe, &options, "c"), rolling);
        let (call, head) = (&probe.calls()[at], whole_head(&store).await.unwrap());
        assert_eq!(back.unwrap().activation, head, "{call}");
        assert!(head.locked, "{call}");
        match publish {
            // It was shown before it was rolled back.
            Ok(published) => assert!(head.newer(&published.activation).is_gt(), "{call}"),
            Err(Failure::Publish(PublishError::Locked { by })) => assert_eq!(*by, head, "{call}"),
            Err(Failure::Refused(Refused::Locked { head: by })) => assert_eq!(*by, head, "{call}"),
            Err(error) => panic!("{call}: {error}"),
        }
    }
}

#[tokio::test]
async fn two_rollbacks_at_once_agree() {
    for at in 0..calls_of_a_rollback().await.len() {
        let (store, a, _) = bucket().await;
        let probe = Probe::new(&store, Fault::Wait(at));
        let other = async {
            probe.reached().await;
            let outcome = roll_back(&*store, "r2").await;
            probe.let_go();
            outcome
        };
        let (one, other) = tokio::join!(roll_back(&probe, "r1"), other);
        let head = whole_head(&store).await.unwrap();
        assert_eq!((head.release, head.locked), (a.activation.release, true));
        for outcome in [one, other] {
            assert_eq!(outcome.unwrap().activation.release, head.release);
        }
    }
}
