//! Uploads that fail, and bodies that are not what they were.

use awning::publish::Event;
use awning::store::Operation;

use super::*;
use crate::harness::probe::{Fault, Probe};

/// A page and 60 images that it shows.
fn gallery(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut page = String::new();
    for number in 0..60 {
        write(dir.path(), &format!("img/{number:02}.png"), &format!("{text} {number}"));
        page.push_str(&format!("<img src=img/{number:02}.png>"));
    }
    write(dir.path(), "index.html", &page);
    dir
}

#[tokio::test]
async fn an_intent_that_is_taken_away_is_written_again_and_then_given_up() {
    let store = Arc::new(MemoryStore::default());
    let gone = Fault::Refuse(Operation::Head, ".awning/intents/", StoreErrorKind::NotFound);
    let probe = Probe::new(&store, gone);
    let error = publish_with(&gallery("new"), &probe, &plain(), "n1").await.unwrap_err();
    let given_up = matches!(&error, Failure::Publish(PublishError::Collecting { key }) if key.contains("/intents/"));
    assert!(given_up, "{error:?}");
    let writes = probe.calls().into_iter().filter(|call| call.starts_with("PUT "));
    assert!(writes.clone().all(|call| call.contains("/intents/")), "nothing else is stored");
    assert_eq!(writes.count(), 3);
}

#[tokio::test]
async fn one_refused_object_of_61_leaves_the_old_release_and_a_second_run_finishes() {
    let store = Arc::new(MemoryStore::default());
    let old = publish_with(&gallery("old"), &*store, &plain(), "n1").await.unwrap().activation;

    let new = gallery("new");
    let fault = Fault::Refuse(Operation::Put, "img/30.", StoreErrorKind::Denied);
    let probe = Probe::new(&store, fault);
    let error = publish_with(&new, &probe, &plain(), "n2").await.unwrap_err();
    let Failure::Publish(error) = error else { panic!("{error:?}") };
    let PublishError::Incomplete { stored, unsent, failed } = &error else { panic!("{error:?}") };
    assert_eq!(stored + unsent + failed.len(), 61);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].0.contains("img/30."), "{failed:?}");
    assert_eq!(failed[0].1.kind(), StoreErrorKind::Denied);
    assert!(*stored > 0);
    assert!(!error.is_denied(), "something was stored");
    assert_eq!(error.to_string(), format!("{} of 61 objects were not stored", unsent + 1));
    assert_eq!(whole_head(&store).await, Some(old));
    let own = |call: &&String| call.contains("PUT shop/.awning");
    assert!(probe.calls().iter().filter(own).all(|call| call.contains("/intents/")));

    let release = publish_with(&new, &*store, &plain(), "n3").await.unwrap();
    assert_eq!(whole_head(&store).await, Some(release.activation));
}

#[tokio::test]
async fn no_object_is_begun_after_the_first_failure() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::Refuse(Operation::Put, "a/", StoreErrorKind::Denied));
    let one_by_one = Options { concurrency: 1, ..plain() };
    let error = publish_with(&gallery("x"), &probe, &one_by_one, "n1").await.unwrap_err();
    let Failure::Publish(error) = error else { panic!("{error:?}") };
    let shape = matches!(error, PublishError::Incomplete { stored: 0, unsent: 60, .. });
    assert!(shape, "{error:?}");
    assert!(error.is_denied());
    assert_eq!(probe.calls().len(), 5, "head, intent and lists, and one object is tried");
}

#[tokio::test]
async fn bodies_wait_for_room_in_memory() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::Refuse(Operation::Put, "a/", StoreErrorKind::Denied));
    // There is room for a single body, so the 31 others have not begun.
    let narrow = Options { upload_bytes: 1, ..plain() };
    let error = publish_with(&gallery("x"), &probe, &narrow, "n1").await.unwrap_err();
    let shape = matches!(error, Failure::Publish(PublishError::Incomplete { unsent: 60, .. }));
    assert!(shape, "{error:?}");

    publish_with(&gallery("x"), &*store, &narrow, "n2").await.unwrap();
    whole_head(&store).await.unwrap();
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_hashed_is_not_sent() {
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 4] = [
        ("js/app.js", |file| fs::write(file, "console.log('oops')").unwrap()),
        ("css/app.css", |file| fs::write(file, "body{background:url(../img/awning.svh)}").unwrap()),
        ("img/awning.svg", |file| fs::write(file, "longer than it was before, by far").unwrap()),
        ("index.html", |file| fs::remove_file(file).unwrap()),
    ];
    for (path, change) in changes {
        let store = Arc::new(MemoryStore::default());
        let dir = tree(SHOP);
        let plan = planned(&dir, &*store, &options()).await.unwrap();
        let object = layout().object(&plan.manifest().get(path).unwrap().key);
        change(&dir.path().join(path));
        let outcome = publish::upload(plan, &*store, &layout(), &options(), &mut |_| ()).await;
        let changed = matches!(
            &outcome,
            Err(PublishError::Changed { path: changed, .. }) if changed.as_str() == path
        );
        assert!(changed, "{path}: {outcome:?}");
        assert_eq!(read(&*store, &object).await, None, "{path}");
        assert_eq!(whole_head(&store).await, None);
    }
}

#[tokio::test]
async fn a_store_that_keeps_other_bytes_is_found_out() {
    for key in ["img/awning", "releases/"] {
        let store = Arc::new(MemoryStore::default());
        let probe = Probe::new(&store, Fault::Damage(key));
        let outcome = publish_to(&tree(SHOP), &probe, "n1").await;
        let damaged = matches!(
            &outcome,
            Err(Failure::Publish(PublishError::Damaged { key: found })) if found.contains(key)
        );
        assert!(damaged, "{key}: {outcome:?}");
        assert_eq!(whole_head(&store).await, None);
    }
}

#[tokio::test]
async fn progress_is_told_in_totals() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let mut events = Vec::new();
    let build = publish::build(dir.path(), &options(), &mut |event| events.push(event)).unwrap();
    let source: u64 = SHOP.iter().map(|(_, text)| text.len() as u64).sum();
    assert_eq!(events.first(), Some(&Event::Scanned { files: 4, bytes: source }));
    assert_eq!(events.last(), Some(&Event::Hashed { files: 4, bytes: source }));

    let base = publish::base(&*store, &layout(), &channel()).await.unwrap();
    let plan = publish::plan(build, base, &options()).unwrap();
    let (objects, bytes) = plan.uploads();
    let mut events = Vec::new();
    let mut told = |event| events.push(event);
    publish::upload(plan, &*store, &layout(), &options(), &mut told).await.unwrap();
    assert_eq!(events.first(), Some(&Event::Uploading { objects, bytes }));
    assert_eq!(events.last(), Some(&Event::Uploaded { objects, bytes }));
    assert_eq!(events.len(), 5);
}

#[tokio::test]
async fn an_object_with_a_foreign_validator_is_read_back() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::OtherValidators);
    let release = publish_to(&tree(SHOP), &probe, "n1").await.unwrap();
    let read =
        |path: &str| format!("GET {}", layout().object(&release.manifest.get(path).unwrap().key));
    for (path, _) in SHOP {
        assert!(probe.calls().contains(&read(path)), "{path}");
    }
}

#[tokio::test]
async fn a_store_that_denies_or_fails_the_first_read_stops_the_publish() {
    for (kind, denied) in [(StoreErrorKind::Denied, true), (StoreErrorKind::Unavailable, false)] {
        let store = Arc::new(MemoryStore::default());
        let probe = Probe::new(&store, Fault::Refuse(Operation::Get, "head.json", kind));
        let outcome = publish_to(&tree(SHOP), &probe, "n1").await;
        let Err(Failure::Publish(error)) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(&error, PublishError::Store(error) if error.kind() == kind), "{error:?}");
        assert_eq!(error.is_denied(), denied);
        assert_eq!(probe.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_publish_can_run_as_a_task() {
    let store = Arc::new(MemoryStore::default());
    let publish = async move {
        let dir = tree(SHOP);
        publish_to(&dir, &*store, "n1").await.unwrap().sent.0
    };
    assert_eq!(tokio::spawn(publish).await.unwrap(), 4);
}
