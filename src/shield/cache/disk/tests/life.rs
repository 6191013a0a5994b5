//! What is kept, for how long, and for whom.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

use super::super::format::CHUNK_BYTES;
use super::super::sweep::{Slice, Sweeper};
use super::super::{Disk, DiskConfig, QUEUE_MAX};
use super::{KEY, MIB, NOW, Place, bytes, record, tier_in};
use crate::shield::cache::Epochs;

#[tokio::test]
async fn what_was_put_is_found_again_and_after_a_restart() {
    let mut place = Place::new();
    let lengths = [0, 1, 16 * 1024, 65_536, 65_537, 300_000];
    let key = |length: usize| format!("object {length}").into_bytes();
    for length in lengths {
        place.put(&key(length), &bytes(length));
    }
    for _ in 0..2 {
        for length in lengths {
            let entry = place.find(&key(length)).await.unwrap();
            assert_eq!((entry.meta.as_slice(), entry.body.len()), (&b"meta"[..], length as u64));
            assert!(entry.into_bytes().await.unwrap() == bytes(length), "{length}");
        }
        assert!(place.find(b"object of nobody").await.is_none());
        place = place.again();
    }
    assert_eq!(place.bad(), 0);
}

#[tokio::test]
async fn a_body_is_read_to_its_end_although_its_entry_is_replaced() {
    let place = Place::new();
    let body = bytes(200_000);
    place.put(KEY, &body);
    let entry = place.find(KEY).await.unwrap();
    place.put(KEY, &bytes(100));
    assert!(entry.into_bytes().await.unwrap() == body);
    assert_eq!(place.body(KEY).await.unwrap(), bytes(100));
}

#[tokio::test]
async fn an_entry_of_another_epoch_is_not_used_not_even_after_a_restart() {
    let mut place = Place::new();
    place.put(KEY, b"old");
    let before = place.tier.epochs.current();
    let purge = place.tier.epochs.begin().unwrap();
    assert!(purge > before);
    place = place.again();
    assert_eq!(place.tier.epochs.current(), purge, "the purge outlived the process");
    assert!(place.find(KEY).await.is_none());

    // A fill that the purge overtook comes late.
    place.tier.write(&record(KEY, b"old", before, NOW)).unwrap();
    assert!(place.find(KEY).await.is_none());
    place.put(KEY, b"new");
    assert_eq!(place.body(KEY).await.unwrap(), b"new");
    fs::remove_file(place.directory.path().join("epoch")).unwrap();
    place = place.again();
    assert!(place.find(KEY).await.is_none(), "without a ledger nothing is believed");
}

#[tokio::test]
async fn a_second_process_only_reads_until_the_directory_is_free_and_sees_all_purges() {
    let first = Place::new();
    first.put(KEY, b"body");
    let metrics = Arc::default();
    let second = tier_in(&first.directory, MIB, &metrics);
    let mut sweeper = Sweeper::new(Arc::clone(&second));
    assert_eq!(sweeper.slice(), Slice::NotOurs);
    let epochs = Arc::clone(&second.epochs);
    let find = async || second.find(KEY, NOW, |epoch| epochs.usable_from_disk(epoch)).await;
    assert_eq!(find().await.unwrap().into_bytes().await.unwrap(), b"body");
    assert!(second.write(&record(KEY, b"body", epochs.current(), NOW)).is_err());

    let purge = first.tier.epochs.begin().unwrap();
    assert!(find().await.is_none(), "the owner's purge counts at once");
    assert!(first.path(KEY).exists(), "and nothing is removed that is not ours");
    first.put(KEY, b"after the purge");
    first.tier.close();
    assert_eq!(sweeper.slice(), Slice::More);
    assert_eq!(epochs.current(), purge);
    assert_eq!(find().await.unwrap().into_bytes().await.unwrap(), b"after the purge");
}

#[tokio::test]
async fn a_tier_that_is_left_is_the_next_process_s_and_is_still_read() {
    let first = Place::new();
    first.put(KEY, b"body");
    let writing = first.tier.begin(b"large", 100_000).unwrap();
    let second = tier_in(&first.directory, MIB, &Arc::default());
    let mut sweeper = Sweeper::new(Arc::clone(&second));
    assert_eq!(sweeper.slice(), Slice::NotOurs);
    first.tier.leave();
    assert_eq!(Sweeper::new(Arc::clone(&first.tier)).slice(), Slice::Done, "nothing is swept");
    assert!(!first.tier.try_own().unwrap(), "it is not taken back");
    assert_eq!(sweeper.slice(), Slice::More);
    let epochs = Arc::clone(&second.epochs);
    assert!(second.find(KEY, NOW, |epoch| epochs.usable_from_disk(epoch)).await.is_some());

    assert_eq!(first.body(KEY).await.unwrap(), b"body");
    let epoch = epochs.current();
    assert!(first.tier.write(&record(b"new", b"body", epoch, NOW)).is_err());
    let writing = writing.write(Bytes::from(bytes(100_000))).await.unwrap();
    let named = writing.commit(b"meta".to_vec(), epoch, NOW).await;
    assert!(!named, "what was under way is the next process's to remove");

    let purge = epochs.begin().unwrap();
    assert!(first.find(KEY).await.is_none(), "the next one's purge counts here");
    assert!(first.path(KEY).exists(), "and its entry is not removed");
    second.write(&record(KEY, b"newer", purge, NOW)).unwrap();
    assert_eq!(first.body(KEY).await.unwrap(), b"newer");

    let last = first.tier.epochs.begin().unwrap();
    let slices = (0..2000).map(|_| sweeper.slice()).take_while(|slice| *slice != Slice::Done);
    assert!(slices.count() < 2000);
    assert_eq!(epochs.current(), last, "a purge that the first one still took is heeded");
}

#[tokio::test]
async fn a_process_that_leaves_writes_what_waits_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let config = DiskConfig { directory: directory.path().to_owned(), bytes_max: 16 * MIB };
    let epochs = Arc::<Epochs>::default();
    let metrics = Arc::default();
    let disk = Disk::open(&config, Arc::clone(&epochs), &metrics).unwrap();
    let put = |key: &[u8]| disk.put_behind(record(key, b"body", epochs.current(), NOW));
    put(b"before");
    disk.leave(Duration::from_secs(60)).await;
    put(b"behind");
    let next = Disk::open(&config, Arc::default(), &Arc::default()).unwrap();
    assert!(next.find(b"before", NOW, |_| true).await.is_some(), "it has the tier at once");
    drop(disk);
    assert!(next.find(b"behind", NOW, |_| true).await.is_none());
    assert!(metrics.render().contains("reason=\"bypassed\"} 1"), "{}", metrics.render());
}

#[tokio::test]
async fn other_versions_are_ignored_and_removed_and_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        fs::create_dir_all(directory.path().join(name)).unwrap();
        fs::write(directory.path().join(name).join("file"), b"of somebody").unwrap();
    };
    let foreign = ["v0/ab", "v2/ab", "vault", "v", "photos"];
    foreign.into_iter().for_each(make);
    let mut place = Place::beside(directory, 16 * MIB);
    assert!(place.tier.try_own().unwrap());
    place.sweep();
    let has = |place: &Place, name: &str| place.directory.path().join(name).exists();
    assert!(foreign.iter().all(|name| has(&place, name)), "the directory was no cache before");
    place = place.again();
    place.sweep();
    assert!(!has(&place, "v0") && !has(&place, "v2"));
    assert!(["vault/file", "v/file", "photos/file"].iter().all(|name| has(&place, name)));
}

#[tokio::test]
async fn the_least_recently_used_makes_room_for_the_new() {
    let place = Place::of_bytes(MIB);
    let key = |number: u64| format!("object {number}").into_bytes();
    let mut refused = 0;
    for number in 0..600 {
        let at = UNIX_EPOCH + Duration::from_secs(number);
        let record = record(&key(number), &bytes(3000), place.tier.epochs.current(), at);
        refused += u64::from(place.tier.write(&record).is_err());
        place.sweep();
        assert!(place.tier.space.bytes() <= MIB);
    }
    assert!(refused < 10, "{refused} were refused although there was time to make room");
    assert!(place.find(&key(599)).await.is_some() && place.find(&key(500)).await.is_some());
    assert!(place.find(&key(0)).await.is_none() && place.find(&key(300)).await.is_none());
    let on_disk: u64 = (0..600).filter(|number| place.path(&key(*number)).exists()).count() as u64;
    assert_eq!(place.tier.space.entries(), on_disk);
    assert_eq!(place.metric("awning_cache_responses{tier=\"disk\"}"), on_disk);
    assert_eq!(place.metric("awning_disk_evicted_total"), 600 - refused - on_disk);
}

#[tokio::test]
async fn what_is_there_is_counted_behind_a_start() {
    let place = Place::new();
    for number in 0..100 {
        place.put(format!("object {number}").as_bytes(), &bytes(5000));
    }
    let (bytes, entries) = (place.tier.space.bytes(), place.tier.space.entries());
    let place = place.again();
    assert_eq!(place.tier.space.entries(), 0);
    assert!(place.find(b"object 7").await.is_some(), "found before it is counted");
    place.sweep();
    assert_eq!((place.tier.space.bytes(), place.tier.space.entries()), (bytes, entries));
}

#[tokio::test]
async fn a_use_is_noted_once_an_hour() {
    let place = Place::new();
    place.put(KEY, b"body");
    let used = || fs::metadata(place.path(KEY)).unwrap().modified().unwrap();
    let half_an_hour = Duration::from_secs(1800);
    let mut noted = Vec::new();
    for halves in 1..=3 {
        place.tier.find(KEY, NOW + half_an_hour * halves, |_| true).await.unwrap();
        noted.push(used().duration_since(UNIX_EPOCH).unwrap().as_secs());
    }
    assert_eq!(noted, [0, 0, 5400]);
}

#[tokio::test]
async fn a_body_that_streams_is_read_while_it_is_written() {
    let place = Place::new();
    let body = bytes(5 * CHUNK_BYTES as usize / 2);
    let writer = place.tier.begin(KEY, body.len() as u64).unwrap();
    let chunks = writer.body(body.len() as u64);
    let first = Bytes::copy_from_slice(&body[..2 * CHUNK_BYTES as usize]);
    let writer = writer.write(first).await.unwrap();
    assert_eq!(writer.chunks(), 2);
    assert_eq!(chunks.read(1).await.unwrap(), body[CHUNK_BYTES as usize..][..CHUNK_BYTES as usize]);
    assert!(chunks.read(2).await.is_err());
    assert!(place.find(KEY).await.is_none());

    let writer = writer.write(Bytes::copy_from_slice(&body[2 * CHUNK_BYTES as usize..])).await;
    let writer = writer.unwrap().flush().await.unwrap();
    assert_eq!(chunks.read(2).await.unwrap(), body[2 * CHUNK_BYTES as usize..]);
    assert!(writer.commit(b"meta".to_vec(), place.tier.epochs.current(), NOW).await);
    assert!(place.body(KEY).await.unwrap() == body);
}

#[tokio::test]
async fn a_body_that_broke_off_leaves_nothing() {
    let place = Place::new();
    let writer = place.tier.begin(KEY, 200_000).unwrap();
    let writer = writer.write(Bytes::from(bytes(100_000))).await.unwrap();
    assert_eq!(place.names("tmp").len(), 1);
    drop(writer);
    assert_eq!(place.names("tmp").len(), 0);
    assert!(place.find(KEY).await.is_none());
    assert!(place.tier.space.take(15 * MIB), "its room was given back");
}

#[tokio::test]
async fn what_waits_is_written_before_the_tier_ends() {
    let directory = tempfile::tempdir().unwrap();
    let config = DiskConfig { directory: directory.path().to_owned(), bytes_max: 16 * MIB };
    let open = || {
        let epochs = Arc::<Epochs>::default();
        (Disk::open(&config, Arc::clone(&epochs), &Arc::default()).unwrap(), epochs)
    };
    let (disk, epochs) = open();
    for number in 0..QUEUE_MAX {
        let key = format!("object {number}").into_bytes();
        disk.put_behind(record(&key, b"body", epochs.current(), NOW));
    }
    disk.flush().await;
    drop(disk);
    let (disk, _) = open();
    for number in 0..QUEUE_MAX {
        let key = format!("object {number}").into_bytes();
        assert!(disk.find(&key, NOW, |_| true).await.is_some(), "{number}");
    }
}
