//! A collector beside publishes and rollbacks, interleaved call by call: the
//! guards of the table in `publish/prune`, each by what breaks without it.

use awning::publish::Switch;
use awning::publish::prune::{self, Policy, PruneError, Swept};
use awning::store::Operation;

use super::prune::{HOUR, Yard, least, publish_at, shop};
use super::switch::roll_back;
use super::*;
use crate::harness::probe::{Fault, Probe};

/// One deletion at a time, so that calls have an order.
fn narrow() -> Policy {
    Policy { concurrency: 1, ..least() }
}

/// A bucket with three releases, of which the first is condemned and due.
async fn due() -> (Yard, Release) {
    let yard = Yard::new();
    let first = yard.publish("a").await;
    for script in ["b", "c"] {
        yard.publish(script).await;
    }
    yard.pass(50);
    assert_eq!(yard.mark(&least()).await.lists.len(), 1);
    yard.pass(25);
    (yard, first)
}

async fn sweep(store: &dyn ObjectWrite, yard: &Yard) -> Result<Swept, PruneError> {
    prune::sweep(store, &layout(), &narrow(), yard.now()).await
}

async fn calls_of_a_sweep() -> Vec<String> {
    let (yard, _) = due().await;
    let probe = Probe::new(&yard.store, Fault::None);
    sweep(&probe, &yard).await.unwrap();
    probe.calls()
}

/// Sweeps up to call number `at`, does `other`, and sweeps on.
async fn within_a_sweep<T>(yard: &Yard, at: usize, other: impl Future<Output = T>) -> (T, String) {
    let probe = Probe::new(&yard.store, Fault::Wait(at));
    let meanwhile = async {
        probe.reached().await;
        let outcome = other.await;
        probe.let_go();
        outcome
    };
    let (swept, outcome) = tokio::join!(sweep(&probe, yard), meanwhile);
    let call = probe.calls()[at].clone();
    swept.unwrap_or_else(|error| panic!("{call}: {error}"));
    (outcome, call)
}

/// Everything that is due now and later, collected.
async fn collect_all(yard: &Yard) {
    for _ in 0..3 {
        yard.pass(60);
        yard.collect(&least()).await.unwrap();
    }
}

#[tokio::test]
async fn a_tree_published_again_within_a_sweep_stays_whole_at_any_call() {
    let calls = calls_of_a_sweep().await;
    assert!(calls.iter().filter(|call| call.starts_with("DELETE")).count() > 8, "{calls:#?}");
    for at in 0..calls.len() {
        let (yard, first) = due().await;
        let publish = yard.publish("a");
        let (again, call) = within_a_sweep(&yard, at, publish).await;
        assert_eq!(again.activation.release, first.activation.release);
        assert_eq!(whole_head(&yard.store).await, Some(again.activation.clone()), "{call}");
        collect_all(&yard).await;
        assert_eq!(whole_head(&yard.store).await, Some(again.activation), "{call}");
    }
}

#[tokio::test]
async fn a_sweep_within_a_publish_leaves_it_whole_at_any_call() {
    let (dir, options) = (shop("a"), Options { concurrency: 1, ..options() });
    let (yard, _) = due().await;
    let probe = Probe::new(&yard.store, Fault::None);
    publish_at(&dir, &probe, &options, "again", yard.now()).await.unwrap();
    for at in 0..probe.calls().len() {
        let (yard, _) = due().await;
        let probe = Probe::new(&yard.store, Fault::Wait(at));
        let publishing = publish_at(&dir, &probe, &options, "again", yard.now());
        let collecting = async {
            probe.reached().await;
            // The slowest publish there may be: almost the deadline passes here.
            yard.pass(11);
            collect_once(&yard).await;
            probe.let_go();
        };
        let (published, ()) = tokio::join!(publishing, collecting);
        let call = &probe.calls()[at];
        assert_eq!(whole_head(&yard.store).await, Some(published.unwrap().activation), "{call}");
        collect_all(&yard).await;
        whole_head(&yard.store).await.unwrap();
    }
}

async fn collect_once(yard: &Yard) {
    yard.collect(&least()).await.unwrap();
}

/// Rolls back to a release that only a full name finds.
async fn roll_back_to(
    store: &dyn ObjectWrite,
    yard: &Yard,
    release: &Release,
) -> Result<Activation, PublishError> {
    let (now, id) = (yard.now(), release.activation.release);
    let history = publish::history(store, &layout(), &channel(), 50).await?;
    let whole = publish::whole(store, &layout(), &channel(), id, 1, now).await?;
    let to = Switch::roll_back(&whole);
    let nonce = "back".to_owned();
    Ok(publish::switch(to, &history, store, &layout(), now, nonce).await?.activation)
}

#[tokio::test]
async fn a_rollback_within_a_sweep_is_whole_or_refused_at_any_call() {
    let (mut back, mut refused) = (0, 0);
    for at in 0..calls_of_a_sweep().await.len() {
        let (yard, first) = due().await;
        let rolling = roll_back_to(&*yard.store, &yard, &first);
        let (rolled, call) = within_a_sweep(&yard, at, rolling).await;
        let head = whole_head(&yard.store).await.unwrap_or_else(|| panic!("{call}"));
        match rolled {
            Ok(activation) => {
                assert_eq!(head, activation, "{call}");
                back += 1;
            }
            // A part of it was gone already.
            Err(PublishError::Broken { .. } | PublishError::NoRelease { .. }) => refused += 1,
            Err(error) => panic!("{call}: {error}"),
        }
        collect_all(&yard).await;
        assert_eq!(whole_head(&yard.store).await, Some(head), "{call}");
    }
    assert!(back > 5 && refused > 5, "{back} {refused}");
}

#[tokio::test]
async fn a_sweep_within_a_rollback_leaves_it_whole_at_any_call() {
    let (yard, first) = due().await;
    let probe = Probe::new(&yard.store, Fault::None);
    roll_back_to(&probe, &yard, &first).await.unwrap();
    for at in 0..probe.calls().len() {
        let (yard, first) = due().await;
        let probe = Probe::new(&yard.store, Fault::Wait(at));
        let meanwhile = async {
            probe.reached().await;
            collect_once(&yard).await;
            probe.let_go();
        };
        let (rolled, ()) = tokio::join!(roll_back_to(&probe, &yard, &first), meanwhile);
        let (call, head) = (&probe.calls()[at], whole_head(&yard.store).await.unwrap());
        match rolled {
            Ok(activation) => assert_eq!(head, activation, "{call}"),
            Err(PublishError::Broken { .. } | PublishError::NoRelease { .. }) => {}
            Err(error) => panic!("{call}: {error}"),
        }
        collect_all(&yard).await;
        assert_eq!(whole_head(&yard.store).await, Some(head), "{call}");
    }
}

#[tokio::test]
async fn a_rollback_stores_again_what_is_condemned_and_nothing_else() {
    let (yard, first) = due().await;
    let probe = Probe::new(&yard.store, Fault::None);
    roll_back_to(&probe, &yard, &first).await.unwrap();
    let calls = probe.calls();
    let puts = |path: &str| {
        let key = layout().object(&first.manifest.get(path).unwrap().key);
        calls.contains(&format!("PUT {key}"))
    };
    assert!(puts("js/app.js") && puts("index.html"), "{calls:#?}");
    assert!(!puts("css/app.css") && !puts("img/awning.svg"), "{calls:#?}");
    assert!(calls.contains(&format!("PUT {}", layout().manifest(first.activation.release))));
    assert!(calls.iter().all(|call| !call.contains("/intents/")), "versions are enough");
    // The lists still name the old versions, and those go.
    assert!(!sweep(&*yard.store, &yard).await.unwrap().deleted.is_empty());
    whole_head(&yard.store).await.unwrap();
}

#[tokio::test]
async fn a_rollback_finds_out_what_is_condemned_and_damaged() {
    let (yard, first) = due().await;
    let key = layout().object(&first.manifest.get("js/app.js").unwrap().key);
    yard.store.put(&key, "oops".into(), &Default::default()).await.unwrap();
    let refused = roll_back_to(&*yard.store, &yard, &first).await;
    let damaged = matches!(&refused, Err(PublishError::Damaged { key: found }) if *found == key);
    assert!(damaged, "{refused:?}");
}

#[tokio::test]
async fn a_rollback_after_its_deadline_is_refused() {
    let (yard, first) = due().await;
    let id = first.activation.release;
    let history = publish::history(&*yard.store, &layout(), &channel(), 50).await.unwrap();
    let whole = publish::whole(&*yard.store, &layout(), &channel(), id, 1, yard.now()).await;
    yard.pass(13);
    let to = Switch::roll_back(&whole.unwrap());
    let (now, nonce) = (yard.now(), "late".to_owned());
    let late = publish::switch(to, &history, &*yard.store, &layout(), now, nonce).await;
    assert!(matches!(late, Err(PublishError::TooLate)), "{late:?}");
}

#[tokio::test]
async fn a_publish_after_its_deadline_activates_nothing_by_the_clock_of_the_store() {
    for (hours, late) in [(11, false), (13, true)] {
        let yard = Yard::new();
        let old = yard.publish("a").await.activation;
        let (dir, options) = (shop("b"), options());
        let plan = planned(&dir, &*yard.store, &options).await.unwrap();
        let uploaded =
            publish::upload(plan, &*yard.store, &layout(), &options, &mut |_| ()).await.unwrap();
        yard.pass(hours);
        // This machine believes that no time has passed.
        let (now, nonce) = (UNIX_EPOCH, "late".to_owned());
        let outcome =
            publish::activate(uploaded, &*yard.store, &layout(), now, nonce, &options).await;
        let head = whole_head(&yard.store).await.unwrap();
        assert_eq!(matches!(outcome, Err(PublishError::TooLate)), late, "{outcome:?}");
        assert_eq!(head == old, late);
    }
}

#[tokio::test]
async fn a_publish_sends_again_what_it_would_keep_and_a_list_names() {
    let yard = Yard::new();
    let base = yard.publish("a").await;
    let key = layout().object(&base.manifest.get("img/awning.svg").unwrap().key);
    let list = format!(r#"{{"pairs":[{{"key":"{key}","stored":0,"version":"v00000001"}}]}}"#);
    yard.store.put(&layout().list("x"), list.into(), &Default::default()).await.unwrap();
    let probe = Probe::new(&yard.store, Fault::None);
    let dir = shop("b");
    let next = publish_at(&dir, &probe, &options(), "b", yard.now()).await.unwrap();
    assert!(probe.calls().contains(&format!("PUT {key}")), "{:#?}", probe.calls());
    assert_eq!(next.sent.0, 3, "the script, the page, and what was condemned");

    // The channel's head needs no look at the lists: its release is a root.
    let probe = Probe::new(&yard.store, Fault::None);
    assert!(publish_at(&dir, &probe, &options(), "c", yard.now()).await.unwrap().unchanged);
    assert_eq!(probe.calls().len(), 2, "{:#?}", probe.calls());
}

#[tokio::test]
async fn a_list_that_cannot_be_read_stops_a_publish_and_a_rollback() {
    let (yard, first) = due().await;
    yard.store.put(&layout().list("x"), "{".into(), &Default::default()).await.unwrap();
    let published = yard.publish_dir(&shop("b"), &options(), "n").await.map(drop);
    let shape = matches!(&published, Err(Failure::Publish(PublishError::Condemned { .. })));
    assert!(shape, "{published:?}");
    let rolled = roll_back_to(&*yard.store, &yard, &first).await;
    assert!(matches!(rolled, Err(PublishError::Condemned { .. })), "{rolled:?}");
}

/// A publish of a new script that dies behind its call number `at`.
async fn dies(yard: &Yard, at: usize) {
    let (dir, options) = (shop("new"), Options { concurrency: 1, ..options() });
    let probe = Probe::new(&yard.store, Fault::HangAfter(at));
    tokio::select! {
        outcome = publish_at(&dir, &probe, &options, "dead", yard.now()) => panic!("{outcome:?}"),
        () = probe.reached() => {}
    }
}

#[tokio::test]
async fn an_intent_keeps_what_it_names_until_it_expires() {
    let yard = Yard::new();
    yard.publish("a").await;
    // Two reads, the intent, its date, the lists, and both objects; no manifest.
    dies(&yard, 6).await;
    yard.pass(50);
    // Begins again, and says so before it sends them again.
    dies(&yard, 2).await;
    let objects = |marked: prune::Marked| {
        marked.condemned.iter().filter(|one| one.kind == prune::Kind::Object).count()
    };
    yard.pass(23);
    assert_eq!(objects(yard.mark(&least()).await), 0);
    yard.pass(2);
    assert_eq!(objects(yard.mark(&least()).await), 2);
}

#[tokio::test]
async fn two_collectors_at_once_delete_what_one_would() {
    let (yard, _) = due().await;
    sweep(&*yard.store, &yard).await.unwrap();
    let alone = keys(&yard.store).await;
    for at in 0..calls_of_a_sweep().await.len() {
        let (yard, _) = due().await;
        let other = sweep(&*yard.store, &yard);
        let (other, call) = within_a_sweep(&yard, at, other).await;
        other.unwrap_or_else(|error| panic!("{call}: {error}"));
        assert_eq!(keys(&yard.store).await, alone, "{call}");
        whole_head(&yard.store).await.unwrap();
    }
}

#[tokio::test]
async fn the_release_before_the_head_can_be_rolled_back_to_whatever_is_collected() {
    let (yard, _) = due().await;
    collect_all(&yard).await;
    yard.pass(24 * 300);
    collect_all(&yard).await;
    roll_back(&*yard.store, "back").await.unwrap();
    whole_head(&yard.store).await.unwrap();
}

/// A bucket without versions, whose first release is condemned and due.
async fn due_without_versions() -> (Yard, Release) {
    let yard = Yard::new();
    let probe = Probe::without_versions(&yard.store, Fault::None);
    let mut first = None;
    for script in ["a", "b", "c"] {
        let dir = shop(script);
        let release = publish_at(&dir, &probe, &options(), script, yard.now()).await.unwrap();
        first.get_or_insert(release);
        yard.pass(1);
    }
    yard.pass(50);
    prune::mark(&probe, &layout(), &narrow(), yard.now()).await.unwrap();
    yard.pass(25);
    (yard, first.unwrap())
}

#[tokio::test]
async fn a_store_without_versions_is_collected_by_key() {
    let (yard, first) = due_without_versions().await;
    let probe = Probe::without_versions(&yard.store, Fault::None);
    let collected = prune::collect(&probe, &layout(), &narrow(), yard.now()).await.unwrap();
    assert!(!collected.by_version && !collected.swept.deleted.is_empty());
    assert!(!yard.has(&first, "js/app.js").await);
    let left = yard.store.list("shop/.awning/gc/", None).await.unwrap().objects;
    assert_eq!(left, [], "neither the list nor its sign is left");
    whole_head(&yard.store).await.unwrap();
}

#[tokio::test]
async fn without_versions_a_publish_and_a_sweep_see_each_other_at_any_call() {
    let (mut published, mut refused) = (0, 0);
    let (yard, _) = due_without_versions().await;
    let probe = Probe::without_versions(&yard.store, Fault::None);
    sweep(&probe, &yard).await.unwrap();
    for at in 0..probe.calls().len() {
        let (yard, _) = due_without_versions().await;
        let probe = Probe::without_versions(&yard.store, Fault::Wait(at));
        let publish = async {
            probe.reached().await;
            let store = Probe::without_versions(&yard.store, Fault::None);
            let outcome = publish_at(&shop("a"), &store, &options(), "again", yard.now()).await;
            probe.let_go();
            outcome
        };
        let (swept, again) = tokio::join!(sweep(&probe, &yard), publish);
        let call = &probe.calls()[at];
        swept.unwrap_or_else(|error| panic!("{call}: {error}"));
        match again {
            Ok(_) => published += 1,
            Err(Failure::Publish(PublishError::Collecting { .. })) => refused += 1,
            Err(error) => panic!("{call}: {error}"),
        }
        whole_head(&yard.store).await.unwrap_or_else(|| panic!("{call}"));
    }
    assert!(published > 3 && refused > 3, "{published} {refused}");
}

#[tokio::test]
async fn without_versions_a_rollback_gives_up_while_its_objects_are_deleted() {
    let (yard, first) = due_without_versions().await;
    let store = Probe::without_versions(&yard.store, Fault::None);
    let lists = yard.store.list(&layout().lists(), None).await.unwrap().objects;
    let sign = lists[0].key.replace(".json", ".sweeping");
    yard.store.put(&sign, "x".into(), &Default::default()).await.unwrap();
    let refused = roll_back_to(&store, &yard, &first).await;
    assert!(matches!(refused, Err(PublishError::Collecting { .. })), "{refused:?}");
    // Its collector died: nobody waits for it longer than an hour.
    yard.pass(1);
    roll_back_to(&store, &yard, &first).await.unwrap();
    let spared = sweep(&store, &yard).await.unwrap();
    assert!(spared.spared > 0);
    whole_head(&yard.store).await.unwrap();
    assert!(yard.now() > UNIX_EPOCH + HOUR);
}

#[tokio::test]
async fn a_failed_deletion_is_told_and_the_list_stays() {
    let (yard, _) = due().await;
    let refused = Fault::Refuse(Operation::Delete, "/a/", StoreErrorKind::Denied);
    let probe = Probe::new(&yard.store, refused);
    let failed = sweep(&probe, &yard).await;
    let denied =
        matches!(&failed, Err(PruneError::Store(error)) if error.kind() == StoreErrorKind::Denied);
    assert!(denied, "{failed:?}");
    assert_eq!(yard.store.list(&layout().lists(), None).await.unwrap().objects.len(), 1);
}

/// A bucket with three releases, of which the first will be condemned.
async fn ready() -> (Yard, Release) {
    let yard = Yard::new();
    let first = yard.publish("a").await;
    for script in ["b", "c"] {
        yard.publish(script).await;
    }
    yard.pass(50);
    (yard, first)
}

#[tokio::test]
async fn a_rollback_or_a_publish_within_a_mark_is_seen_by_the_sweep_at_any_call() {
    let (yard, _) = ready().await;
    let probe = Probe::new(&yard.store, Fault::None);
    prune::mark(&probe, &layout(), &narrow(), yard.now()).await.unwrap();
    for at in 0..probe.calls().len() {
        for rolls_back in [true, false] {
            let (yard, first) = ready().await;
            let probe = Probe::new(&yard.store, Fault::Wait(at));
            let (layout, policy) = (layout(), narrow());
            let marking = prune::mark(&probe, &layout, &policy, yard.now());
            let meanwhile = async {
                probe.reached().await;
                let activation = match rolls_back {
                    // The list is not there yet, so nothing is stored again.
                    true => roll_back_to(&*yard.store, &yard, &first).await.unwrap(),
                    false => yard.publish("a").await.activation,
                };
                probe.let_go();
                activation
            };
            let (marked, activation) = tokio::join!(marking, meanwhile);
            let call = &probe.calls()[at];
            marked.unwrap_or_else(|error| panic!("{call}: {error}"));
            yard.pass(25);
            yard.collect(&least()).await.unwrap();
            assert_eq!(whole_head(&yard.store).await, Some(activation), "{call}");
        }
    }
}
