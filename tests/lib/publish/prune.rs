//! Collecting: what goes, what stays, and what stops it.

use std::time::{Duration, SystemTime};

use awning::clock::{Clock, ManualClock};
use awning::publish::prune::{self, Kind, Policy, PruneError};
use awning::store::Operation;

use super::*;
use crate::harness::probe::{Fault, Probe};

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const BEGIN: Duration = Duration::from_secs(1_795_564_800);

/// A bucket whose clock the test moves.
pub(super) struct Yard {
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: ManualClock,
}

impl Yard {
    pub(super) fn new() -> Self {
        let clock = ManualClock::at(UNIX_EPOCH + BEGIN);
        let store = Arc::new(MemoryStore::new(Clock::Manual(clock.clone())));
        Self { store, clock }
    }

    pub(super) fn now(&self) -> SystemTime {
        Clock::Manual(self.clock.clone()).now()
    }

    pub(super) fn pass(&self, hours: u32) {
        self.clock.advance(HOUR * hours);
    }

    /// Publishes a shop whose script has this text, and lets an hour pass.
    pub(super) async fn publish(&self, script: &str) -> Release {
        let dir = shop(script);
        let release = self.publish_dir(&dir, &options(), script).await.unwrap();
        self.pass(1);
        release
    }

    pub(super) async fn publish_dir(
        &self,
        dir: &TempDir,
        options: &Options,
        nonce: &str,
    ) -> Result<Release, Failure> {
        publish_at(dir, &*self.store, options, nonce, self.now()).await
    }

    pub(super) async fn mark(&self, policy: &Policy) -> prune::Marked {
        prune::mark(&*self.store, &layout(), policy, self.now()).await.unwrap()
    }

    pub(super) async fn sweep(&self, policy: &Policy) -> prune::Swept {
        prune::sweep(&*self.store, &layout(), policy, self.now()).await.unwrap()
    }

    pub(super) async fn collect(&self, policy: &Policy) -> Result<prune::Collected, PruneError> {
        prune::collect(&*self.store, &layout(), policy, self.now()).await
    }

    pub(super) async fn has(&self, release: &Release, path: &str) -> bool {
        let key = layout().object(&release.manifest.get(path).unwrap().key);
        self.store.head(&key).await.is_ok()
    }
}

/// The whole publish, at an instant.
pub(super) async fn publish_at(
    dir: &TempDir,
    store: &dyn ObjectWrite,
    options: &Options,
    nonce: &str,
    now: SystemTime,
) -> Result<Release, Failure> {
    let plan = planned(dir, store, options).await?;
    let uploaded = publish::upload(plan, store, &layout(), options, &mut |_| ()).await?;
    Ok(publish::activate(uploaded, store, &layout(), now, nonce.to_owned(), options).await?)
}

pub(super) fn shop(script: &str) -> TempDir {
    let dir = tree(SHOP);
    write(dir.path(), "js/app.js", script);
    dir
}

/// Keeps as little as it may.
pub(super) fn least() -> Policy {
    Policy {
        keep: 1,
        keep_for: Duration::ZERO,
        grace: prune::GRACE_MIN,
        delete_percent_max: 100,
        ..Policy::default()
    }
}

fn kinds(unneeded: &[prune::Unneeded]) -> Vec<(Kind, &str)> {
    unneeded.iter().map(|one| (one.kind, one.key.as_str())).collect()
}

#[tokio::test]
async fn what_no_kept_release_needs_goes_after_two_graces_and_nothing_else() {
    let yard = Yard::new();
    let releases = [yard.publish("a").await, yard.publish("b").await, yard.publish("c").await];
    yard.pass(50);
    let marked = yard.mark(&least()).await;
    let old = &releases[0];
    let key = |path: &str| layout().object(&old.manifest.get(path).unwrap().key);
    let condemned = kinds(&marked.condemned);
    for expected in [
        (Kind::Manifest, layout().manifest(old.activation.release)),
        (Kind::Object, key("js/app.js")),
        (Kind::Object, key("index.html")),
        (Kind::Record, layout().record(channel(), 1, "a")),
    ] {
        assert!(condemned.contains(&(expected.0, &expected.1)), "{expected:?}: {condemned:#?}");
    }
    // Two older heads, three intents, and nothing of the two newest releases.
    assert_eq!(condemned.len(), 4 + 2 + 3, "{condemned:#?}");
    assert!(yard.has(old, "js/app.js").await, "marking deletes nothing");

    yard.pass(23);
    let early = yard.sweep(&least()).await;
    assert_eq!((early.deleted.len(), early.waiting.len()), (0, 1), "{early:?}");
    yard.pass(2);
    let swept = yard.sweep(&least()).await;
    assert_eq!(swept.deleted, marked.condemned);
    assert_eq!((swept.lists.len(), swept.spared), (1, 0));
    assert!(!yard.has(old, "js/app.js").await && !yard.has(old, "index.html").await);
    assert!(yard.has(old, "css/app.css").await, "the newer releases have it too");
    for release in &releases[1..] {
        for (path, _) in SHOP {
            assert!(yard.has(release, path).await, "{path}");
        }
    }
    assert_eq!(whole_head(&yard.store).await.unwrap(), releases[2].activation);
    let lists = yard.store.list(&layout().lists(), None).await.unwrap();
    assert_eq!(lists.objects, []);
    let again = yard.collect(&least()).await.unwrap();
    assert_eq!((again.swept.deleted.len(), again.marked.condemned.len()), (0, 0), "{again:?}");
}

#[tokio::test]
async fn the_number_of_the_next_record_never_falls() {
    let yard = Yard::new();
    for script in ["a", "b", "c", "d"] {
        yard.publish(script).await;
    }
    for _ in 0..2 {
        yard.pass(60);
        yard.collect(&least()).await.unwrap();
    }
    assert_eq!(yard.publish("e").await.activation.seq, 5);
}

#[tokio::test]
async fn a_release_is_kept_by_its_place_or_by_its_time() {
    for (keep, days, kept) in [(1, 0, 2), (3, 0, 3), (1, 40, 5), (9, 0, 5)] {
        let yard = Yard::new();
        for script in ["a", "b", "c", "d", "e"] {
            yard.publish(script).await;
            yard.pass(5 * 24);
        }
        let policy = Policy { keep, keep_for: HOUR * 24 * days, ..least() };
        let collected = yard.collect(&policy).await.unwrap();
        assert_eq!(collected.kept.len(), kept, "{keep} {days}: {:?}", collected.kept);
    }
}

#[tokio::test]
async fn a_release_replaced_lately_is_kept_however_old_it_is() {
    let yard = Yard::new();
    let first = yard.publish("a").await;
    yard.pass(24 * 90);
    for script in ["b", "c", "d"] {
        yard.publish(script).await;
    }
    let collected = yard.collect(&least()).await.unwrap();
    let kept = collected.kept.iter().any(|kept| kept.release == first.activation.release);
    assert!(kept, "visitors saw it three hours ago");
}

#[tokio::test]
async fn a_staged_release_is_kept_for_two_graces() {
    let yard = Yard::new();
    yard.publish("a").await;
    let dir = shop("staged");
    let plan = planned(&dir, &*yard.store, &options()).await.unwrap();
    let staged = plan.release();
    let uploaded =
        publish::upload(plan, &*yard.store, &layout(), &options(), &mut |_| ()).await.unwrap();
    publish::stage(&uploaded, &*yard.store, &layout()).await.unwrap();
    for (hours, kept) in [(40, true), (20, false)] {
        yard.pass(hours);
        let collected = yard.collect(&least()).await.unwrap();
        assert_eq!(collected.kept.iter().any(|it| it.release == staged), kept, "{hours}");
    }
}

#[tokio::test]
async fn superseded_versions_go_and_a_hidden_object_is_told() {
    let yard = Yard::new();
    let release = yard.publish("a").await;
    let key = |path: &str| layout().object(&release.manifest.get(path).unwrap().key);
    let script = read(&*yard.store, &key("js/app.js")).await.unwrap();
    yard.store.put(&key("js/app.js"), script, &Default::default()).await.unwrap();
    yard.store.delete(&key("index.html"), None).await.unwrap();
    yard.pass(50);
    let collected = yard.collect(&least()).await.unwrap();
    let objects: Vec<_> = kinds(&collected.marked.condemned)
        .into_iter()
        .filter(|(_, key)| key.contains("/a/"))
        .map(|(kind, key)| (kind, key.to_owned()))
        .collect();
    assert_eq!(objects, [(Kind::Superseded, key("js/app.js"))]);
    assert!(collected.remarks[0].contains("is hidden"), "{:?}", collected.remarks);
    yard.pass(25);
    yard.collect(&least()).await.unwrap();
    assert!(yard.has(&release, "js/app.js").await);
}

#[tokio::test]
async fn whatever_cannot_be_read_stops_a_collection_before_it_deletes() {
    let places: [(Operation, &str); 8] = [
        (Operation::List, "shop/a/"),
        (Operation::List, "shop/.awning/"),
        (Operation::List, "/gc/"),
        (Operation::Get, "head.json"),
        (Operation::Get, "/log/"),
        (Operation::Get, "/releases/"),
        (Operation::Get, "/intents/"),
        (Operation::Get, "/gc/"),
    ];
    for (operation, text) in places {
        for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Denied] {
            let yard = due().await;
            let probe = Probe::new(&yard.store, Fault::Refuse(operation, text, kind));
            let failed = prune::collect(&probe, &layout(), &least(), yard.now()).await;
            let failed = failed.map(drop).expect_err(text);
            let by_store = matches!(
                &failed,
                PruneError::Store(error) | PruneError::Unreadable(PublishError::Store(error))
                    if error.kind() == kind
            );
            assert!(by_store, "{text}: {failed:?}");
            assert!(no_deletion(&probe), "{text}: {:#?}", probe.calls());
        }
    }
}

/// A bucket with a list whose grace has passed, and an intent.
pub(super) async fn due() -> Yard {
    let yard = Yard::new();
    for script in ["a", "b", "c"] {
        yard.publish(script).await;
    }
    yard.pass(50);
    yard.collect(&least()).await.unwrap();
    yard.pass(24);
    yard.publish("d").await;
    yard
}

/// Nothing but the probe of the clock was deleted.
pub(super) fn no_deletion(probe: &Probe) -> bool {
    let calls = probe.calls();
    calls.iter().all(|call| !call.starts_with("DELETE") || call.contains("/probe/"))
}

#[tokio::test]
async fn whatever_makes_no_sense_stops_a_collection_before_it_deletes() {
    let yard = due().await;
    let places = ["head.json", "/log/00000000000000000004", "/releases/", "/intents/", "/gc/"];
    for text in places {
        let yard = due().await;
        let keys = yard.store.list("shop/.awning/", None).await.unwrap().objects;
        let newest = keys.iter().filter(|listed| listed.key.contains(text));
        let key = &newest.max_by_key(|listed| listed.last_modified).unwrap().key;
        yard.store.put(key, "not json".into(), &Default::default()).await.unwrap();
        let probe = Probe::new(&yard.store, Fault::None);
        let failed = prune::collect(&probe, &layout(), &least(), yard.now()).await;
        let failed = failed.map(drop).expect_err(text).to_string();
        assert!(failed.contains("cannot be read"), "{text}: {failed}");
        assert!(no_deletion(&probe), "{text}: {:#?}", probe.calls());
    }
    assert!(!yard.sweep(&least()).await.deleted.is_empty(), "it would have deleted");
}

#[tokio::test]
async fn a_missing_manifest_of_a_head_stops_it_and_one_of_an_old_release_does_not() {
    for (at, stops) in [(3, true), (1, false)] {
        let yard = Yard::new();
        let mut releases = Vec::new();
        for script in ["a", "b", "c", "d"] {
            releases.push(yard.publish(script).await);
        }
        let key = layout().manifest(releases[at].activation.release);
        let version = yard.store.head(&key).await.unwrap().version;
        yard.store.delete(&key, version.as_deref()).await.unwrap();
        let outcome = yard.collect(&least()).await;
        assert_eq!(outcome.is_err(), stops, "{outcome:?}");
        match outcome {
            Ok(collected) => assert!(collected.remarks[0].contains("is missing")),
            Err(error) => assert!(matches!(error, PruneError::NoManifest { .. }), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn more_than_a_share_of_the_objects_is_refused() {
    let yard = Yard::new();
    for script in ["a", "b", "c"] {
        yard.publish(script).await;
    }
    yard.pass(50);
    // Two of eight objects: the oldest script and its page.
    let share = |percent| Policy { delete_percent_max: percent, ..least() };
    let refused = yard.collect(&share(24)).await.map(drop);
    let shape =
        matches!(refused, Err(PruneError::TooMany { unneeded: 2, objects: 8, percent_max: 24 }));
    assert!(shape, "{refused:?}");
    assert_eq!(yard.store.list(&layout().lists(), None).await.unwrap().objects, []);
    yard.collect(&share(25)).await.unwrap();
    yard.pass(25);
    let refused = yard.collect(&share(24)).await.map(drop);
    assert!(matches!(refused, Err(PruneError::TooMany { .. })), "{refused:?}");
    assert_eq!(yard.collect(&share(25)).await.unwrap().swept.deleted.len(), 9);
}

#[tokio::test]
async fn a_grace_in_which_a_publish_may_be_under_way_is_refused() {
    let yard = Yard::new();
    let short = Policy { grace: prune::GRACE_MIN - Duration::from_secs(1), ..least() };
    assert!(matches!(yard.collect(&short).await, Err(PruneError::Grace { .. })));
    assert!(publish::DEADLINE < prune::GRACE_MIN);
}

#[tokio::test]
async fn the_clock_of_this_machine_decides_nothing() {
    let yard = due().await;
    for days in [0, 400] {
        let now = yard.now() + HOUR * 24 * days;
        let fresh = Yard { store: yard.store.clone(), clock: yard.clock.clone() };
        let collected = prune::collect(&*fresh.store, &layout(), &Policy::default(), now).await;
        assert_eq!(collected.unwrap().swept.deleted.len(), 0, "{days}");
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_would_go_and_writes_nothing() {
    let yard = due().await;
    let probe = Probe::new(&yard.store, Fault::None);
    let dry = Policy { dry_run: true, ..least() };
    let told = prune::collect(&probe, &layout(), &dry, yard.now()).await.unwrap();
    let writes = |call: &String| call.starts_with("PUT") || call.starts_with("DELETE");
    assert!(!probe.calls().iter().any(writes), "{:#?}", probe.calls());
    assert!(told.dry_run && !told.swept.deleted.is_empty());
    assert_eq!(told.swept.deleted, yard.collect(&least()).await.unwrap().swept.deleted);
}

#[tokio::test]
async fn keys_that_are_not_awnings_stay_and_old_probes_go() {
    let yard = Yard::new();
    yard.publish("a").await;
    let probe = layout().probe("conditional-writes");
    yard.store.put(&probe, "x".into(), &Default::default()).await.unwrap();
    let foreign = ["shop/notes.txt", "shop/.awning/README", "b/a/x.css", "shop/.awning/new/x.json"];
    for key in foreign {
        yard.store.put(key, "x".into(), &Default::default()).await.unwrap();
    }
    for _ in 0..3 {
        yard.pass(60);
        yard.collect(&least()).await.unwrap();
    }
    for key in foreign {
        assert!(yard.store.head(key).await.is_ok(), "{key}");
    }
    assert!(yard.store.head(&probe).await.is_err());
}

#[tokio::test]
async fn more_than_fits_into_a_list_goes_to_another() {
    let yard = Yard::new();
    yard.publish("a").await;
    for number in 0..=100_000 {
        let key = format!("shop/a/stray/{number:06}");
        yard.store.put(&key, "x".into(), &Default::default()).await.unwrap();
    }
    yard.pass(50);
    assert_eq!(yard.mark(&least()).await.lists.len(), 2);
    yard.pass(25);
    let swept = yard.sweep(&least()).await;
    // The intent of the publish as well.
    assert_eq!((swept.lists.len(), swept.deleted.len()), (2, 100_002));
    whole_head(&yard.store).await.unwrap();
}

#[tokio::test]
async fn a_sweep_that_dies_at_any_call_is_finished_by_the_next() {
    let yard = due().await;
    let probe = Probe::new(&yard.store, Fault::None);
    let narrow = Policy { concurrency: 1, ..least() };
    prune::sweep(&probe, &layout(), &narrow, yard.now()).await.unwrap();
    let (calls, swept) = (probe.calls().len(), keys(&yard.store).await);
    for call in 0..calls {
        for fault in [Fault::HangBefore(call), Fault::HangAfter(call)] {
            let yard = due().await;
            let probe = Probe::new(&yard.store, fault.clone());
            let (narrow, layout) = (Policy { concurrency: 1, ..least() }, layout());
            tokio::select! {
                swept = prune::sweep(&probe, &layout, &narrow, yard.now()) => {
                    panic!("{fault:?}: {swept:?}")
                }
                () = probe.reached() => {}
            }
            whole_head(&yard.store).await.unwrap();
            yard.sweep(&least()).await;
            let lists = yard.store.list(&layout.lists(), None).await.unwrap().objects;
            assert_eq!(lists, [], "{fault:?}");
            let mut left = keys(&yard.store).await;
            // A probe of the clock that outlived its writer is collected in its turn.
            left.retain(|key| !key.starts_with(".awning/probe/"));
            assert_eq!(left, swept, "{fault:?}");
        }
    }
}
