//! Large objects, which are sent in parts: whole or not at all, and taken up
//! where an earlier run was killed.

use std::io::Write as _;

use awning::publish::Event;
use awning::store::{ObjectHeaders, Operation, PART_BYTES_MIN};

use super::*;
use crate::harness::probe::{Fault, Probe};

/// Three parts and a bit.
const VIDEO_BYTES: usize = 3 * PART_BYTES_MIN as usize + 1234;

/// A page with a video that is sent in parts.
pub(super) fn cinema() -> TempDir {
    let dir = tree(&[("index.html", "<video src=film.mp4></video>")]);
    fs::write(dir.path().join("film.mp4"), film()).unwrap();
    dir
}

fn film() -> Vec<u8> {
    (0..VIDEO_BYTES).map(|at| (at % 241) as u8).collect()
}

fn in_parts() -> Options {
    Options { multipart_bytes: PART_BYTES_MIN, part_bytes: PART_BYTES_MIN, ..options() }
}

/// Parts one after another, so that it is certain which arrived.
pub(super) fn one_by_one() -> Options {
    Options { concurrency: 1, ..in_parts() }
}

pub(super) fn count(probe: &Probe, verb: &str) -> usize {
    let verb = format!("{verb} ");
    probe.calls().iter().filter(|call| call.starts_with(&verb) && call.contains("film")).count()
}

async fn unfinished(store: &MemoryStore) -> usize {
    store.list_uploads("", None).await.unwrap().uploads.len()
}

/// Publishes until the call that hangs is reached, and gives up there.
async fn die(dir: &TempDir, store: &Arc<MemoryStore>, fault: Fault) {
    let (probe, options) = (Probe::new(store, fault.clone()), one_by_one());
    tokio::select! {
        outcome = publish_with(dir, &probe, &options, "dead") => {
            panic!("{fault:?} was not reached: {outcome:?}")
        }
        () = probe.reached() => {}
    }
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_comes_back_whole() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    let release = publish_with(&cinema(), &probe, &in_parts(), "n1").await.unwrap();
    assert_eq!((count(&probe, "PART"), count(&probe, "COMPLETE")), (4, 1));
    assert_eq!(count(&probe, "PUT"), 0);
    assert_eq!(whole_head(&store).await, Some(release.activation));
    let key = layout().object(&release.manifest.get("film.mp4").unwrap().key);
    assert!(read(&*store, &key).await.unwrap() == film(), "the film is another");
    assert_eq!(unfinished(&store).await, 0);
}

#[tokio::test]
async fn an_object_at_the_threshold_goes_in_one_piece() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    let above = Options { multipart_bytes: VIDEO_BYTES as u64, ..in_parts() };
    publish_with(&cinema(), &probe, &above, "n1").await.unwrap();
    assert_eq!((count(&probe, "PUT"), count(&probe, "BEGIN")), (1, 0));
    let uploads = probe.calls().iter().filter(|call| call.starts_with("UPLOADS")).count();
    assert_eq!(uploads, 0, "unfinished uploads are only looked for where there may be some");
}

#[tokio::test]
async fn an_upload_that_was_cut_short_is_taken_up_by_the_next_run() {
    for arrived in 0..4 {
        let (store, dir) = (Arc::new(MemoryStore::default()), cinema());
        die(&dir, &store, Fault::HangParts(arrived)).await;
        assert_eq!(whole_head(&store).await, None);
        assert_eq!(unfinished(&store).await, 1);

        let probe = Probe::new(&store, Fault::None);
        let release = publish_with(&dir, &probe, &in_parts(), "n2").await.unwrap();
        assert_eq!(count(&probe, "PART"), 4 - arrived as usize, "{arrived} had arrived");
        assert_eq!(count(&probe, "BEGIN"), 0);
        assert_eq!(whole_head(&store).await, Some(release.activation));
        assert_eq!(unfinished(&store).await, 0);
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_otherwise_is_left_alone() {
    let (store, dir) = (Arc::new(MemoryStore::default()), cinema());
    die(&dir, &store, Fault::HangParts(2)).await;
    let probe = Probe::new(&store, Fault::None);
    let larger = Options { part_bytes: 2 * PART_BYTES_MIN, ..in_parts() };
    publish_with(&dir, &probe, &larger, "n2").await.unwrap();
    assert_eq!((count(&probe, "BEGIN"), count(&probe, "PART")), (1, 2));
    assert_eq!(unfinished(&store).await, 1, "the collector ends it");
}

#[tokio::test]
async fn an_upload_with_other_header_fields_is_not_trusted() {
    let (store, dir) = (Arc::new(MemoryStore::default()), cinema());
    let plan = planned(&dir, &*store, &in_parts()).await.unwrap();
    let entry = plan.manifest().get("film.mp4").unwrap();
    let key = layout().object(&entry.key);
    // As an earlier run would have begun it under another policy.
    let headers = ObjectHeaders {
        content_type: Some(entry.content_type.clone()),
        cache_control: Some("no-store".to_owned()),
        meta: [("blake3".to_owned(), entry.b3.to_string())].into(),
        ..ObjectHeaders::default()
    };
    store.begin_upload(&key, &headers).await.unwrap();

    publish_with(&dir, &*store, &in_parts(), "n1").await.unwrap();
    let stored = store.head(&key).await.unwrap().headers;
    assert_eq!(stored.cache_control.as_ref(), Some(&entry.cache));
}

#[tokio::test]
async fn a_file_that_changed_never_becomes_an_object() {
    let store = Arc::new(MemoryStore::default());
    let dir = cinema();
    let plan = planned(&dir, &*store, &in_parts()).await.unwrap();
    let key = layout().object(&plan.manifest().get("film.mp4").unwrap().key);
    let mut film = film();
    // In the last part: all others are sent before it is noticed.
    *film.last_mut().unwrap() ^= 1;
    fs::File::create(dir.path().join("film.mp4")).unwrap().write_all(&film).unwrap();

    let outcome = publish::upload(plan, &*store, &layout(), &in_parts(), &mut |_| ()).await;
    assert!(matches!(&outcome, Err(PublishError::Changed { .. })), "{outcome:?}");
    assert_eq!(read(&*store, &key).await, None);
    assert_eq!(unfinished(&store).await, 0, "its parts are of no use to anyone");
}

#[tokio::test]
async fn a_part_that_the_store_lost_is_sent_again() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::LosePart(2));
    let release = publish_with(&cinema(), &probe, &in_parts(), "n1").await.unwrap();
    assert_eq!((count(&probe, "PART"), count(&probe, "COMPLETE")), (4 + 1, 2));
    assert_eq!(count(&probe, "BEGIN"), 1);
    assert_eq!(whole_head(&store).await, Some(release.activation));
}

#[tokio::test(start_paused = true)]
async fn a_completion_whose_answer_was_lost_is_found_out() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    publish_with(&cinema(), &probe, &one_by_one(), "n1").await.unwrap();
    let at = probe.calls().iter().position(|call| call.starts_with("COMPLETE")).unwrap();

    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::FailAfter(at));
    let release = publish_with(&cinema(), &probe, &one_by_one(), "n1").await.unwrap();
    assert_eq!(count(&probe, "COMPLETE"), 2, "the second is told that there is no such upload");
    assert_eq!((count(&probe, "HEAD"), count(&probe, "PART")), (1, 4));
    assert_eq!(whole_head(&store).await, Some(release.activation));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_someone_ended_is_begun_anew() {
    let (store, dir) = (Arc::new(MemoryStore::default()), cinema());
    let probe = Probe::new(&store, Fault::None);
    publish_with(&dir, &probe, &one_by_one(), "n1").await.unwrap();
    let parts = |(at, call): (usize, String)| call.starts_with("PART ").then_some(at);
    let second = probe.calls().into_iter().enumerate().filter_map(parts).nth(1).unwrap();

    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::Wait(second));
    let options = one_by_one();
    let ends = async {
        probe.reached().await;
        let found = store.list_uploads("", None).await.unwrap().uploads.remove(0);
        store.abort_upload(&found.key, &found.upload).await.unwrap();
        probe.let_go();
    };
    let (release, ()) = tokio::join!(publish_with(&dir, &probe, &options, "n2"), ends);
    assert_eq!(count(&probe, "BEGIN"), 2);
    assert_eq!(whole_head(&store).await, Some(release.unwrap().activation));
}

#[tokio::test]
async fn a_part_that_is_denied_stops_the_publish_and_the_next_run_goes_on() {
    let (store, dir) = (Arc::new(MemoryStore::default()), cinema());
    let fault = Fault::Refuse(Operation::PutPart, "film", StoreErrorKind::Denied);
    let error = publish_with(&dir, &Probe::new(&store, fault), &in_parts(), "n1").await;
    let shape = matches!(&error, Err(Failure::Publish(PublishError::Incomplete { .. })));
    assert!(shape, "{error:?}");
    assert_eq!(whole_head(&store).await, None);
    publish_with(&dir, &*store, &in_parts(), "n2").await.unwrap();
    assert_eq!(unfinished(&store).await, 0);
}

#[tokio::test]
async fn parts_wait_for_room_in_memory_and_their_progress_is_told() {
    let store = Arc::new(MemoryStore::default());
    // Room for a single part.
    let narrow = Options { upload_bytes: PART_BYTES_MIN as usize, ..in_parts() };
    let dir = cinema();
    let plan = planned(&dir, &*store, &narrow).await.unwrap();
    let (objects, bytes) = plan.uploads();
    let mut told = Vec::new();
    let mut events = |event| told.push(event);
    publish::upload(plan, &*store, &layout(), &narrow, &mut events).await.unwrap();
    assert_eq!(told.last(), Some(&Event::Uploaded { objects, bytes }));
    let counts: Vec<u64> = told
        .iter()
        .filter_map(|event| match event {
            Event::Uploaded { bytes, .. } => Some(*bytes),
            _ => None,
        })
        .collect();
    assert!(counts.is_sorted() && counts.len() > 3, "{counts:?}");
}
