//! Two publishers at once: one wins, the other is told, the head is whole.

use super::*;
use crate::harness::probe::{Fault, Probe};

fn shop_with(file: &str) -> TempDir {
    tree(&[SHOP, &[(file, file)]].concat())
}

fn ordered(order: u64) -> Options {
    Options { order, concurrency: 1, ..options() }
}

async fn bucket() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    publish_to(&tree(SHOP), &*store, "old").await.unwrap();
    store
}

struct Outcome {
    calls: Vec<String>,
    slow: Result<Release, Failure>,
    fast: Result<Release, Failure>,
    head: Activation,
}

/// Publishes `a` up to its call number `at`, then all of `b`, then the rest of `a`.
async fn race(at: usize, (a, order_a): (&str, u64), (b, order_b): (&str, u64)) -> Outcome {
    let store = bucket().await;
    let probe = Probe::new(&store, Fault::Wait(at));
    let (dir_a, dir_b) = (shop_with("a.txt"), shop_with("b.txt"));
    let (options_a, options_b) = (ordered(order_a), ordered(order_b));
    let slow = publish_with(&dir_a, &probe, &options_a, a);
    let fast = async {
        probe.reached().await;
        let outcome = publish_with(&dir_b, &*store, &options_b, b).await;
        // Whatever comes later: what was acknowledged is whole.
        whole_head(&store).await.unwrap();
        probe.let_go();
        outcome
    };
    let (slow, fast) = tokio::join!(slow, fast);
    let head = whole_head(&store).await.unwrap();
    let again = publish_to(&shop_with("c.txt"), &*store, "last").await;
    let calls = probe.calls();
    let again = again.unwrap_or_else(|error| panic!("{}: {error}", calls[at]));
    assert_eq!(whole_head(&store).await, Some(again.activation));
    Outcome { calls, slow, fast, head }
}

async fn calls_of_a_publish() -> usize {
    let store = bucket().await;
    let probe = Probe::new(&store, Fault::None);
    publish_with(&shop_with("a.txt"), &probe, &ordered(0), "a").await.unwrap();
    probe.calls().len()
}

fn is_superseded(outcome: &Result<Release, Failure>, by: &Activation) -> bool {
    matches!(
        outcome,
        Err(Failure::Publish(PublishError::Superseded { by: winner, .. })) if **winner == *by
    )
}

#[tokio::test]
async fn two_publishers_interleaved_at_any_call_leave_one_winner_and_tell_the_other() {
    let calls = calls_of_a_publish().await;
    assert!(calls > 8);
    for at in 0..calls {
        for (a, b) in [("a", "b"), ("b", "a")] {
            let outcome = race(at, (a, 0), (b, 0)).await;
            let call = &outcome.calls[at];
            let won = |release: &Result<Release, Failure>| {
                release.as_ref().is_ok_and(|release| release.activation == outcome.head)
            };
            let (slow, fast) = (won(&outcome.slow), won(&outcome.fast));
            assert!(slow != fast, "{call}: {:?} and {:?}", outcome.slow, outcome.fast);
            match if fast { outcome.slow } else { outcome.fast } {
                // It was the head already when the other built on it, or outranked it.
                Ok(loser) => assert!(outcome.head.newer(&loser.activation).is_gt(), "{call}"),
                loser => assert!(is_superseded(&loser, &outcome.head), "{call}: {loser:?}"),
            }
        }
    }
}

#[tokio::test]
async fn the_greater_order_wins_at_any_interleaving() {
    for at in 0..calls_of_a_publish().await {
        for (slow, fast) in [(1, 2), (2, 1)] {
            let outcome = race(at, ("a", slow), ("b", fast)).await;
            assert_eq!(outcome.head.order, 2, "{}", outcome.calls[at]);
        }
    }
}

#[tokio::test]
async fn two_publishers_of_one_tree_both_succeed() {
    for at in 0..calls_of_a_publish().await {
        let store = bucket().await;
        let probe = Probe::new(&store, Fault::Wait(at));
        let (dir, options) = (shop_with("a.txt"), ordered(0));
        let slow = publish_with(&dir, &probe, &options, "a");
        let fast = async {
            probe.reached().await;
            let outcome = publish_with(&dir, &*store, &options, "b").await;
            probe.let_go();
            outcome
        };
        let (slow, fast) = tokio::join!(slow, fast);
        assert_eq!(slow.unwrap().activation.release, fast.unwrap().activation.release);
        whole_head(&store).await.unwrap();
    }
}

#[tokio::test]
async fn a_head_older_than_the_log_is_never_built_on() {
    let store = bucket().await;
    let old = read(&*store, &layout().head(channel())).await.unwrap();
    for (file, nonce) in [("a.txt", "n2"), ("b.txt", "n3")] {
        publish_to(&shop_with(file), &*store, nonce).await.unwrap();
    }
    store.put(&layout().head(channel()), old, &Default::default()).await.unwrap();

    let outcome = publish_to(&shop_with("c.txt"), &*store, "n4").await;
    let head = whole_head(&store).await.unwrap();
    assert_eq!((head.seq, head.nonce.as_str()), (3, "n3"));
    assert!(is_superseded(&outcome, &head), "{outcome:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_switch_and_other_keys_do_not() {
    let store = bucket().await;
    let log = layout().log(channel());
    let put = |name: &str| {
        let (key, store) = (format!("{log}{name}"), Arc::clone(&store));
        async move { store.put(&key, Bytes::from("{}"), &Default::default()).await.unwrap() }
    };
    put("99-old-form.json").await;
    put("README").await;
    publish_to(&shop_with("a.txt"), &*store, "n2").await.unwrap();

    put("00000000000000000009-x.json").await;
    let outcome = publish_to(&shop_with("b.txt"), &*store, "n3").await;
    let stopped = matches!(
        &outcome,
        Err(Failure::Publish(PublishError::Record { key, .. })) if key.ends_with("9-x.json")
    );
    assert!(stopped, "{outcome:?}");
    assert_eq!(whole_head(&store).await.unwrap().nonce, "n2");
}

/// It slept between two calls for so long that the record it was about to read
/// is not among those that are kept any more.
#[tokio::test]
async fn a_publisher_that_finds_a_record_collected_lists_the_log_again() {
    let calls = {
        let probe = Probe::new(&bucket().await, Fault::None);
        publish_with(&shop_with("a.txt"), &probe, &ordered(0), "a").await.unwrap();
        probe.calls()
    };
    let log = layout().log(channel());
    let read = calls.iter().position(|call| call.starts_with(&format!("GET {log}"))).unwrap();

    let store = bucket().await;
    let probe = Probe::new(&store, Fault::Wait(read));
    let (dir, options) = (shop_with("a.txt"), ordered(0));
    let slow = publish_with(&dir, &probe, &options, "a");
    let others = async {
        probe.reached().await;
        for (file, nonce) in [("b.txt", "b"), ("c.txt", "c"), ("d.txt", "d")] {
            publish_to(&shop_with(file), &*store, nonce).await.unwrap();
        }
        let collected = layout().record(channel(), 1, "old");
        store.delete(&collected, None).await.unwrap();
        probe.let_go();
    };
    let (outcome, ()) = tokio::join!(slow, others);
    let head = whole_head(&store).await.unwrap();
    assert_eq!(head.nonce, "d");
    assert!(is_superseded(&outcome, &head), "{outcome:?}");
}

/// The key and bytes of a record whose number is `seq` and nonce `nonce`.
fn record(seq: u64, nonce: &str) -> (String, Bytes) {
    let record = Activation {
        activated: String::new(),
        by: None,
        channel: channel(),
        expires: None,
        locked: false,
        nonce: nonce.to_owned(),
        order: 0,
        release: awning::manifest::ReleaseId::new(Digest::of(b"other")),
        seq,
    };
    (layout().record(channel(), seq, nonce), record.to_bytes().unwrap().into())
}

#[tokio::test]
async fn a_head_that_never_settles_is_given_up() {
    let store = bucket().await;
    let probe =
        Probe::new(&store, Fault::Follow("head.json", |call| record(100 + call as u64, "other")));
    let outcome = publish_to(&shop_with("a.txt"), &probe, "n2").await;
    assert!(matches!(outcome, Err(Failure::Publish(PublishError::Unsettled))), "{outcome:?}");
    let heads = probe
        .calls()
        .iter()
        .filter(|call| call.starts_with("PUT") && call.ends_with("head.json"))
        .count();
    assert_eq!(heads, 8);
}

#[tokio::test]
async fn more_records_of_one_number_than_are_read_stop_the_switch() {
    let store = bucket().await;
    for number in 0..=100 {
        let (key, bytes) = record(2, &format!("n{number}"));
        store.put(&key, bytes, &Default::default()).await.unwrap();
    }
    let outcome = publish_to(&shop_with("a.txt"), &*store, "n2").await;
    assert!(matches!(outcome, Err(Failure::Publish(PublishError::LogTooLong))), "{outcome:?}");
}

#[tokio::test]
async fn a_log_is_read_over_several_pages_up_to_a_limit() {
    for (records, too_long) in [(2_500, false), (100_001, true)] {
        let store = Arc::new(MemoryStore::default());
        for seq in 1..=records {
            let (key, bytes) = record(seq, "n");
            store.put(&key, bytes, &Default::default()).await.unwrap();
        }
        let outcome = publish_to(&tree(SHOP), &*store, "n").await;
        let found = match &outcome {
            Err(Failure::Publish(PublishError::LogTooLong)) => None,
            Err(Failure::Publish(PublishError::Superseded { by, .. })) => Some(by.seq),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, (!too_long).then_some(records));
    }
}
