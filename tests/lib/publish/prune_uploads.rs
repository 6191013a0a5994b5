//! Collecting uploads in parts that were begun and never completed.

use awning::publish::prune::{self, Policy, PruneError};
use awning::store::{ObjectHeaders, Operation, PART_BYTES_MIN, UPLOADS_PAGE_MAX};

use super::parts::{cinema, count, one_by_one};
use super::prune::{Yard, due, least, no_deletion, publish_at};
use super::*;
use crate::harness::probe::{Fault, Probe};

/// Most uploads that a run looks at.
const LISTED_MAX: usize = 10 * UPLOADS_PAGE_MAX;

impl Yard {
    async fn begin(&self, key: &str) -> String {
        let upload = self.store.begin_upload(key, &ObjectHeaders::default()).await.unwrap();
        self.store.put_part(key, &upload, 1, "bytes".into()).await.unwrap();
        upload
    }

    async fn uploads(&self) -> Vec<String> {
        let page = self.store.list_uploads("", None).await.unwrap();
        page.uploads.into_iter().map(|one| one.key).collect()
    }
}

fn keys(collected: &prune::Collected) -> Vec<&str> {
    collected.uploads.aborted.iter().map(|one| one.key.as_str()).collect()
}

#[tokio::test]
async fn an_old_upload_is_aborted_and_a_young_or_foreign_one_stays() {
    let yard = Yard::new();
    yard.publish("a").await;
    let foreign = ["b/a/x.mp4", "shop/.awning/x", "shop/notes", "shopping/a/x.mp4"];
    for key in foreign.into_iter().chain(["shop/a/old.mp4", "shop/a/old.mp4"]) {
        yard.begin(key).await;
    }
    yard.pass(24);
    yard.begin("shop/a/young.mp4").await;
    let at_the_grace = yard.collect(&least()).await.unwrap();
    assert_eq!((keys(&at_the_grace), at_the_grace.uploads.kept), (vec![], 3));

    yard.pass(1);
    let dry = Policy { dry_run: true, ..least() };
    let told = yard.collect(&dry).await.unwrap();
    assert_eq!(yard.uploads().await.len(), 4 + 3, "a dry run ends nothing");
    let collected = yard.collect(&least()).await.unwrap();
    assert_eq!(collected.uploads, told.uploads);
    assert_eq!(keys(&collected), ["shop/a/old.mp4"; 2]);
    assert!(collected.uploads.aborted.iter().all(|one| one.size == 5), "{collected:?}");
    assert_eq!((collected.uploads.kept, collected.remarks.len()), (1, 0), "{collected:?}");
    let left = [foreign[0], foreign[1], "shop/a/young.mp4", foreign[2], foreign[3]];
    assert_eq!(yard.uploads().await, left);
}

/// A publish that takes up what another left after two parts, 50 hours ago,
/// and what it calls the store for.
async fn taken_up(fault: Fault) -> (Yard, TempDir, Probe) {
    let (yard, dir) = (Yard::new(), cinema());
    let dead = Probe::new(&yard.store, Fault::HangParts(2));
    let (options, now) = (one_by_one(), yard.now());
    tokio::select! {
        outcome = publish_at(&dir, &dead, &options, "dead", now) => panic!("{outcome:?}"),
        () = dead.reached() => {}
    }
    yard.pass(50);
    let probe = Probe::new(&yard.store, fault);
    (yard, dir, probe)
}

/// The number of the call that sends the first part that was missing.
async fn first_part() -> usize {
    let (yard, dir, probe) = taken_up(Fault::None).await;
    publish_at(&dir, &probe, &one_by_one(), "n", yard.now()).await.unwrap();
    let calls = probe.calls();
    calls.iter().position(|call| call.starts_with("PART ")).unwrap()
}

#[tokio::test]
async fn an_old_upload_that_a_publisher_goes_on_with_is_kept() {
    let (yard, dir, probe) = taken_up(Fault::Wait(first_part().await)).await;
    let options = one_by_one();
    let collect = async {
        probe.reached().await;
        let collected = yard.collect(&least()).await;
        probe.let_go();
        collected.unwrap()
    };
    let publish = publish_at(&dir, &probe, &options, "n", yard.now());
    let (release, collected) = tokio::join!(publish, collect);
    assert_eq!((keys(&collected), collected.uploads.kept), (vec![], 1));
    assert_eq!((count(&probe, "BEGIN"), count(&probe, "PART")), (0, 2));
    assert_eq!(whole_head(&yard.store).await, Some(release.unwrap().activation));
}

#[tokio::test]
async fn an_upload_of_a_dead_publisher_is_aborted_once_its_intent_has_expired() {
    let (yard, dir, probe) = taken_up(Fault::None).await;
    let collected = yard.collect(&least()).await.unwrap();
    assert_eq!(collected.uploads.aborted.len(), 1);
    assert_eq!(collected.uploads.aborted[0].size, 2 * PART_BYTES_MIN);
    let release = publish_at(&dir, &probe, &one_by_one(), "n", yard.now()).await.unwrap();
    assert_eq!(count(&probe, "BEGIN"), 1);
    assert_eq!(whole_head(&yard.store).await, Some(release.activation));
}

#[tokio::test]
async fn a_store_that_lists_or_dates_no_uploads_is_told_and_the_rest_is_collected() {
    let unsupported = Fault::Refuse(Operation::ListUploads, "shop/a/", StoreErrorKind::Unsupported);
    for (fault, remark, kept) in [
        (unsupported, "the store does not list unfinished uploads", 0),
        (Fault::UndatedUploads, "the store does not say when 1 uploads were begun", 1),
    ] {
        let yard = due().await;
        yard.begin("shop/a/old.mp4").await;
        yard.pass(25);
        let probe = Probe::new(&yard.store, fault);
        let collected = prune::collect(&probe, &layout(), &least(), yard.now()).await.unwrap();
        assert!(!collected.swept.deleted.is_empty());
        assert!(collected.remarks.iter().any(|it| it.starts_with(remark)), "{collected:?}");
        assert_eq!((keys(&collected), collected.uploads.kept), (vec![], kept));
        assert_eq!(yard.uploads().await, ["shop/a/old.mp4"]);
    }
}

#[tokio::test]
async fn uploads_that_cannot_be_listed_stop_a_collection_before_it_deletes() {
    for (operation, text) in
        [(Operation::ListUploads, "shop/a/"), (Operation::ListParts, "shop/a/old.mp4")]
    {
        for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Denied] {
            let yard = due().await;
            yard.begin("shop/a/old.mp4").await;
            yard.pass(25);
            let probe = Probe::new(&yard.store, Fault::Refuse(operation, text, kind));
            let failed = prune::collect(&probe, &layout(), &least(), yard.now()).await;
            let failed = failed.map(drop).expect_err(text);
            let by_store = matches!(&failed, PruneError::Store(error) if error.kind() == kind);
            assert!(by_store, "{text}: {failed:?}");
            assert!(no_deletion(&probe), "{text}: {:#?}", probe.calls());
            assert_eq!(count_of(&probe, "ABORT "), 0);
        }
    }
}

fn count_of(probe: &Probe, verb: &str) -> usize {
    probe.calls().iter().filter(|call| call.starts_with(verb)).count()
}

#[tokio::test]
async fn an_upload_that_ends_by_itself_is_not_counted() {
    let yard = Yard::new();
    yard.begin("shop/a/old.mp4").await;
    yard.pass(25);
    let gone = Fault::Refuse(Operation::ListParts, "old.mp4", StoreErrorKind::NotFound);
    let probe = Probe::new(&yard.store, gone);
    let collected = prune::collect(&probe, &layout(), &least(), yard.now()).await.unwrap();
    assert_eq!((keys(&collected), collected.uploads.kept), (vec![], 0));
    assert_eq!(count_of(&probe, "ABORT "), 0);
}

#[tokio::test]
async fn a_collection_that_is_refused_aborts_nothing() {
    let yard = due().await;
    yard.begin("shop/a/old.mp4").await;
    yard.pass(25);
    let strict = Policy { delete_percent_max: 1, ..least() };
    let refused = yard.collect(&strict).await.map(drop);
    assert!(matches!(refused, Err(PruneError::TooMany { .. })), "{refused:?}");
    assert_eq!(yard.uploads().await, ["shop/a/old.mp4"]);
}

#[tokio::test]
async fn a_run_aborts_so_many_uploads_and_the_next_one_goes_on() {
    let yard = Yard::new();
    for number in 0..=LISTED_MAX {
        yard.begin(&format!("shop/a/{number:06}.mp4")).await;
    }
    yard.pass(25);
    for (aborted, remarks) in [(LISTED_MAX, 1), (1, 0), (0, 0)] {
        let collected = yard.collect(&least()).await.unwrap();
        assert_eq!(collected.uploads.aborted.len(), aborted);
        assert_eq!(collected.remarks.len(), remarks, "{:?}", collected.remarks);
    }
    assert_eq!(yard.uploads().await, [""; 0]);
}
