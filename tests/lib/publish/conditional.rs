//! Conditional writes: used where the store was found to have them, and never
//! sent unless someone asked.

use awning::publish::ConditionalWrites;
use awning::store::s3::Profile;
use awning::store::{ObjectHeaders, Operation, PutCondition};

use super::*;
use crate::bucket::Server;
use crate::harness::probe::{Fault, Probe};
use crate::store_contract::s3_store;

fn probing() -> Options {
    Options { conditional_writes: ConditionalWrites::Probe, ..options() }
}

fn conditional(probe: &Probe) -> Vec<String> {
    probe.calls().into_iter().filter(|call| call.contains(" if ")).collect()
}

fn changed() -> TempDir {
    let dir = tree(SHOP);
    write(dir.path(), "js/app.js", "console.log('closed')");
    dir
}

#[tokio::test]
async fn a_default_publish_sends_no_condition() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    publish_to(&tree(SHOP), &probe, "n1").await.unwrap();
    publish_to(&changed(), &probe, "n2").await.unwrap();
    assert_eq!(conditional(&probe), Vec::<String>::new());
    assert!(!keys(&store).await.iter().any(|key| key.contains("probe")));
}

#[tokio::test]
async fn record_and_head_are_written_on_condition_where_the_store_has_them() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    publish_with(&tree(SHOP), &probe, &probing(), "n1").await.unwrap();
    let head = layout().head(channel());
    let record = layout().record(channel(), 1, "n1");
    let tried = layout().probe("conditional-writes");
    let expected = [&tried, &tried, &record, &head].map(|key| format!("PUT {key} if Absent"));
    assert_eq!(conditional(&probe), expected);

    let probe = Probe::new(&store, Fault::None);
    let etag = store.head(&head).await.unwrap().etag.unwrap();
    let release = publish_with(&changed(), &probe, &probing(), "n2").await.unwrap();
    let record = layout().record(channel(), 2, "n2");
    let expected = [
        format!("PUT {tried} if Absent"),
        format!("PUT {record} if Absent"),
        format!("PUT {head} if {:?}", PutCondition::Unchanged(etag)),
    ];
    assert_eq!(conditional(&probe), expected);
    assert_eq!(whole_head(&store).await, Some(release.activation));
}

#[tokio::test]
async fn a_publish_without_a_change_does_not_try_anything_out() {
    let store = Arc::new(MemoryStore::default());
    publish_with(&tree(SHOP), &*store, &probing(), "n1").await.unwrap();
    let probe = Probe::new(&store, Fault::None);
    let release = publish_with(&tree(SHOP), &probe, &probing(), "n2").await.unwrap();
    assert!(release.unchanged);
    let calls = probe.calls();
    assert!(calls.len() == 2 && calls.iter().all(|call| call.starts_with("GET")), "{calls:?}");
}

#[tokio::test]
async fn a_head_that_someone_wrote_meanwhile_is_not_overwritten() {
    let store = Arc::new(MemoryStore::default());
    publish_to(&tree(SHOP), &*store, "n1").await.unwrap();
    let calls = Probe::new(&store, Fault::None);
    publish_with(&changed(), &calls, &probing(), "n2").await.unwrap();
    let head = layout().head(channel());
    let writes = |call: &String| call.starts_with(&format!("PUT {head} if"));
    let at = calls.calls().iter().position(writes).unwrap();

    // The same, but another publisher comes in between reading and writing the head.
    let store = Arc::new(MemoryStore::default());
    publish_to(&tree(SHOP), &*store, "n1").await.unwrap();
    let probe = Probe::new(&store, Fault::Wait(at));
    let (dir, options) = (changed(), probing());
    let other = async {
        probe.reached().await;
        let mut other = SHOP.to_vec();
        other.push(("other.txt", "other"));
        // Its base is the old head, and the log already has a record of that
        // number, so it settles the head for the first and comes second.
        let outcome = publish_to(&tree(&other), &*store, "n3").await;
        let superseded = matches!(&outcome, Err(Failure::Publish(PublishError::Superseded { .. })));
        assert!(superseded, "{outcome:?}");
        probe.let_go();
    };
    let one_by_one = Options { concurrency: 1, ..options };
    let (release, ()) = tokio::join!(publish_with(&dir, &probe, &one_by_one, "n2"), other);
    assert_eq!(whole_head(&store).await, Some(release.unwrap().activation));
    let refused = conditional(&probe).iter().filter(|call| call.contains("head.json")).count();
    assert_eq!(refused, 1, "the second look found the head as it should be");
}

#[tokio::test]
async fn a_record_whose_answer_was_lost_counts_as_written() {
    let record = layout().record(channel(), 1, "n1");
    let (dir, options) = (tree(SHOP), Options { concurrency: 1, ..probing() });
    let store = Arc::new(MemoryStore::default());
    let calls = Probe::new(&store, Fault::None);
    publish_with(&dir, &calls, &options, "n1").await.unwrap();
    let bytes = read(&*store, &record).await.unwrap();
    let writes = |call: &String| *call == format!("PUT {record} if Absent");
    let at = calls.calls().iter().position(writes).unwrap();

    for (bytes, written) in [(bytes, true), (Bytes::from("another's"), false)] {
        let store = Arc::new(MemoryStore::default());
        let probe = Probe::new(&store, Fault::Wait(at));
        let earlier = async {
            probe.reached().await;
            store.put(&record, bytes, &ObjectHeaders::default()).await.unwrap();
            probe.let_go();
        };
        let (outcome, ()) = tokio::join!(publish_with(&dir, &probe, &options, "n1"), earlier);
        assert_eq!(outcome.is_ok(), written, "{outcome:?}");
        assert_eq!(whole_head(&store).await.is_some(), written);
    }
}

#[tokio::test]
async fn a_probe_that_fails_otherwise_stops_the_activation() {
    let store = Arc::new(MemoryStore::default());
    let denied = Fault::Refuse(Operation::Put, ".awning/probe/", StoreErrorKind::Denied);
    let outcome = publish_with(&tree(SHOP), &Probe::new(&store, denied), &probing(), "n1").await;
    assert!(matches!(outcome, Err(Failure::Publish(PublishError::Store(_)))), "{outcome:?}");
    assert_eq!(whole_head(&store).await, None);
}

/// The embedded bucket answers 501, as B2 does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_has_none_is_published_to_all_the_same() {
    let server = Server::start().await;
    let store = s3_store(&server.endpoint(), "shop", Profile::Publisher);
    let release = publish_with(&tree(SHOP), &store, &probing(), "n1").await.unwrap();
    let base = publish::base(&store, &layout(), &channel()).await.unwrap();
    assert_eq!(base.head(), Some(&release.activation));
    assert_eq!(read(&store, &layout().probe("conditional-writes")).await, None);
}
