//! The log of a channel as people read it, and what stood before its head.

use awning::manifest::ReleaseId;
use awning::publish::History;

use super::*;
use crate::harness::probe::{Fault, Probe};

/// A record of the release that `name` stands for; `!` behind it locks.
fn record(seq: u64, name: &str, nonce: &str) -> Activation {
    Activation {
        activated: String::new(),
        by: None,
        channel: channel(),
        expires: None,
        locked: name.ends_with('!'),
        nonce: nonce.to_owned(),
        order: 0,
        release: release(name),
        seq,
    }
}

fn release(name: &str) -> ReleaseId {
    ReleaseId::new(Digest::of(name.trim_end_matches('!').as_bytes()))
}

async fn put(store: &MemoryStore, key: &str, bytes: Vec<u8>) {
    store.put(key, bytes.into(), &Default::default()).await.unwrap();
}

async fn append(store: &MemoryStore, record: &Activation) {
    let key = layout().record(channel(), record.seq, &record.nonce);
    put(store, &key, record.to_bytes().unwrap()).await;
}

async fn show(store: &MemoryStore, record: &Activation) {
    put(store, &layout().head(channel()), record.to_bytes().unwrap()).await;
}

/// A log of these releases, the last of which is the head.
async fn log(names: &[&str]) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    for (at, name) in names.iter().enumerate() {
        append(&store, &record(at as u64 + 1, name, "n")).await;
    }
    if let Some(last) = names.last() {
        show(&store, &record(names.len() as u64, last, "n")).await;
    }
    store
}

async fn history(store: &dyn ObjectWrite, limit: usize) -> History {
    publish::history(store, &layout(), &channel(), limit).await.unwrap()
}

#[tokio::test]
async fn what_stood_before_is_what_was_not_rolled_away_from() {
    let table: &[(&[&str], Option<&str>)] = &[
        (&[], None),
        (&["a"], None),
        (&["a", "a"], None),
        (&["a", "b"], Some("a")),
        (&["a", "b", "b"], Some("a")),
        (&["a", "b", "a"], Some("b")),
        (&["a", "b", "c", "b!"], Some("a")),
        (&["a", "b", "c", "b!", "b"], Some("a")),
        (&["a", "b", "c", "b!", "b", "d"], Some("b")),
        (&["a", "b", "a!"], None),
        (&["b", "z!"], Some("b")),
    ];
    for (names, expected) in table {
        let store = log(names).await;
        let before = history(&*store, 50).await.before();
        assert_eq!(before, expected.map(release), "{names:?}");
    }
}

#[tokio::test]
async fn what_lost_its_number_never_stood() {
    let store = log(&["a", "b"]).await;
    append(&store, &record(2, "lost", "m")).await;
    let history = history(&*store, 50).await;
    assert_eq!(history.before(), Some(release("a")));
    let won: Vec<bool> = history.records().iter().map(|r| history.has_won(r)).collect();
    assert_eq!(won, [true, false, true]);
}

#[tokio::test]
async fn what_visitors_do_not_see_yet_is_not_what_they_go_back_from() {
    let store = log(&["a", "b"]).await;
    append(&store, &record(3, "c", "dead")).await;
    let history = history(&*store, 50).await;
    assert_eq!(history.head().unwrap().release, release("c"));
    assert!(!history.is_settled());
    assert_eq!(history.shown().unwrap().release, release("b"));
    assert_eq!(history.before(), Some(release("a")));
}

#[tokio::test]
async fn the_newest_records_are_read_and_no_others() {
    let names: Vec<String> = (1..=2_500).map(|n| format!("r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let store = log(&names).await;
    let probe = Probe::new(&store, Fault::None);
    let read = history(&probe, 3).await;
    let numbers: Vec<u64> = read.records().iter().map(|record| record.seq).collect();
    assert_eq!(numbers, [2_500, 2_499, 2_498]);
    // The head, a page, three records: whatever the length of the log.
    assert_eq!(probe.calls().len(), 5, "{:?}", probe.calls());

    // Without a head the whole log is listed, and no more is read.
    store.delete(&layout().head(channel()), None).await.unwrap();
    let probe = Probe::new(&store, Fault::None);
    let read = history(&probe, 3).await;
    assert_eq!(read.head().unwrap().seq, 2_500);
    assert!(!read.is_settled());
    assert_eq!(probe.calls().len(), 1 + 3 + 3, "{:?}", probe.calls());
}

#[tokio::test]
async fn all_records_of_a_number_are_read_up_to_a_limit() {
    for (ties, too_long) in [(101, false), (102, true)] {
        let store = log(&["a", "b"]).await;
        for tie in 0..ties {
            append(&store, &record(3, "c", &format!("n{tie}"))).await;
        }
        let read = publish::history(&*store, &layout(), &channel(), 2).await;
        match read {
            Ok(history) => assert_eq!((history.records().len(), too_long), (ties, false)),
            Err(error) => assert!(too_long && matches!(error, PublishError::LogTooLong), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_record_is_told_unless_it_may_be_the_head() {
    for (seq, name) in [(1, "the oldest"), (3, "the newest")] {
        let store = log(&["a", "b", "c"]).await;
        put(&store, &layout().record(channel(), seq, "n"), b"{".to_vec()).await;
        let read = publish::history(&*store, &layout(), &channel(), 50).await;
        match (seq, read) {
            (1, Ok(history)) => {
                assert_eq!(history.records().len(), 2, "{name}");
                assert_eq!(history.remarks().len(), 1, "{name}");
            }
            (3, Err(PublishError::Record { .. })) => {}
            (_, read) => panic!("{name}: {read:?}"),
        }
    }
}

#[tokio::test]
async fn a_damaged_head_is_told_and_the_log_goes_on_alone() {
    let store = log(&["a", "b"]).await;
    put(&store, &layout().head(channel()), b"{".to_vec()).await;
    let read = history(&*store, 50).await;
    assert_eq!(read.remarks().len(), 1);
    assert_eq!(read.head().unwrap().release, release("b"));
    assert_eq!(read.before(), Some(release("a")));
}

#[tokio::test]
async fn a_head_that_the_listing_lacks_is_part_of_the_history() {
    let store = log(&["a", "b"]).await;
    show(&store, &record(3, "c", "n")).await;
    let read = history(&*store, 50).await;
    assert_eq!(read.head().unwrap().release, release("c"));
    assert!(read.is_settled());
    assert_eq!(read.before(), Some(release("b")));
}

#[tokio::test]
async fn releases_are_found_by_their_first_digits() {
    let store = Arc::new(MemoryStore::default());
    let (a, b) = (release("a"), release("b"));
    for release in [a, b] {
        put(&store, &layout().manifest(release), b"{}".to_vec()).await;
    }
    put(&store, &format!("{}README.json", layout().manifests("")), Vec::new()).await;
    let named = async |digits: String| publish::named(&*store, &layout(), &digits).await.unwrap();
    assert_eq!(named(a.short()).await, [a]);
    assert_eq!(named(b.to_string()).await, [b]);
    assert_eq!(named(String::new()).await.len(), 2);
    assert_eq!(named("f".repeat(20)).await, []);
}
