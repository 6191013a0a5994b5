//! The tier against damage, crashes, full disks, other processes and time.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::io::Errno;
use tempfile::TempDir;

use super::breaker::BYPASS;
use super::files::{Directory, Step, name_of};
use super::format::{CHUNK_BYTES, DIGEST_BYTES};
use super::read::{Entry, ReadError};
use super::sweep::{Slice, Sweeper};
use super::tier::Tier;
use super::write::Record;
use super::{Disk, DiskConfig, DiskError};
use crate::shield::cache::{Epoch, Epochs};
use crate::shield::metrics::Metrics;

const MIB: u64 = 1 << 20;
const KEY: &[u8] = b"object a/css/app.css";
const NOW: SystemTime = UNIX_EPOCH;

/// A directory, and a tier that owns it.
struct Place {
    directory: TempDir,
    metrics: Arc<Metrics>,
    tier: Arc<Tier>,
}

impl Place {
    fn new() -> Self {
        Self::of_bytes(16 * MIB)
    }

    fn of_bytes(bytes_max: u64) -> Self {
        let place = Self::beside(tempfile::tempdir().unwrap(), bytes_max);
        assert!(place.tier.try_own().unwrap());
        place
    }

    /// A tier that does not own its directory yet.
    fn beside(directory: TempDir, bytes_max: u64) -> Self {
        let metrics = Arc::<Metrics>::default();
        let tier = tier_in(&directory, bytes_max, &metrics);
        Self { directory, metrics, tier }
    }

    /// The same directory after the process ended, however it did.
    fn again(self) -> Self {
        let Self { directory, tier, .. } = self;
        tier.directory.faults.end_after(0);
        drop(tier);
        let place = Self::beside(directory, 16 * MIB);
        assert!(place.tier.try_own().unwrap());
        place
    }

    fn put(&self, key: &[u8], body: &[u8]) {
        self.put_at(key, body, NOW);
    }

    fn put_at(&self, key: &[u8], body: &[u8], at: SystemTime) {
        let epoch = self.tier.epochs.current();
        self.tier.write(&record(key, body, epoch, at)).unwrap();
    }

    async fn find(&self, key: &[u8]) -> Option<Entry> {
        let epochs = Arc::clone(&self.tier.epochs);
        self.tier.find(key, NOW, |epoch| epochs.usable_from_disk(epoch)).await
    }

    async fn body(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.find(key).await?.into_bytes().await.ok()
    }

    fn path(&self, key: &[u8]) -> PathBuf {
        self.directory.path().join("v1").join(name_of(key))
    }

    fn bad(&self) -> u64 {
        self.metric("awning_disk_bad_entries_total")
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }

    fn names(&self, below: &str) -> Vec<String> {
        self.tier.directory.names(below, usize::MAX).unwrap()
    }

    fn sweep(&self) {
        let mut sweeper = Sweeper::new(Arc::clone(&self.tier));
        let slices = (0..2000).map(|_| sweeper.slice()).take_while(|slice| *slice != Slice::Done);
        assert!(slices.count() < 2000, "the sweeper comes to no end");
    }
}

fn tier_in(directory: &TempDir, bytes_max: u64, metrics: &Arc<Metrics>) -> Arc<Tier> {
    let opened = Directory::open(directory.path()).unwrap();
    Arc::new(Tier::new(opened, bytes_max, Arc::<Epochs>::default(), metrics).unwrap())
}

fn record(key: &[u8], body: &[u8], epoch: Epoch, stored_at: SystemTime) -> Record {
    let pieces: Vec<Bytes> = body.chunks(50_000).map(Bytes::copy_from_slice).collect();
    Record { key: key.into(), meta: b"meta".to_vec(), pieces: pieces.into(), epoch, stored_at }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

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
async fn no_damage_to_a_file_is_served_and_each_is_counted() {
    let place = Place::new();
    place.put(KEY, &bytes(40));
    let (path, whole) = (place.path(KEY), fs::read(place.path(KEY)).unwrap());
    let flips = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
    let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
    let longer = [vec![0], whole.clone(), vec![0; 100_000]];
    let longer = longer.into_iter().map(|more| [&whole[..], &more].concat());
    let mut damaged = 0;
    for bytes in flips.chain(cuts).chain(longer) {
        fs::write(&path, bytes).unwrap();
        assert!(place.find(KEY).await.is_none());
        damaged += 1;
        assert_eq!(place.bad(), damaged);
        assert!(!path.exists(), "it is removed");
    }
    place.put(KEY, &bytes(40));
    assert_eq!(place.body(KEY).await.unwrap(), bytes(40), "and written again");
}

#[tokio::test]
async fn an_entry_in_the_place_of_another_is_damage() {
    let place = Place::new();
    place.put(b"object one", b"one");
    place.put(b"object two", b"two");
    let (one, two) = (place.path(b"object one"), place.path(b"object two"));
    let held = fs::read(&one).unwrap();
    fs::copy(&two, &one).unwrap();
    fs::write(&two, held).unwrap();
    assert!(place.find(b"object one").await.is_none());
    assert!(place.find(b"object two").await.is_none());
    assert_eq!(place.bad(), 2);
}

#[tokio::test]
async fn what_is_no_file_is_neither_followed_nor_waited_for() {
    let place = Place::new();
    place.put(KEY, b"body");
    let path = place.path(KEY);
    let aside = place.directory.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    let kinds: [&dyn Fn(); 5] = [
        &|| std::os::unix::fs::symlink(&aside, &path).unwrap(),
        &|| fs::create_dir(&path).unwrap(),
        &|| fs::create_dir_all(path.join("below/it")).unwrap(),
        &|| {
            let mode = rustix::fs::Mode::RUSR;
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        },
        &|| drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
    ];
    for (number, make) in kinds.iter().enumerate() {
        make();
        assert!(place.find(KEY).await.is_none(), "kind {number}");
        assert_eq!(place.bad(), number as u64 + 1, "kind {number}");
        assert!(path.symlink_metadata().is_err(), "kind {number} is still there");
    }
    place.put(KEY, b"body");
    assert_eq!(place.body(KEY).await.unwrap(), b"body");
    place.sweep();
    assert!(place.names(".").iter().all(|name| !name.starts_with("old-")));
}

#[tokio::test]
async fn a_link_in_the_place_of_a_shard_leads_nowhere() {
    let place = Place::new();
    place.put(KEY, b"body");
    let shard = place.path(KEY).parent().unwrap().to_owned();
    let aside = place.directory.path().join("aside");
    fs::rename(&shard, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &shard).unwrap();
    assert!(place.find(KEY).await.is_none());
}

#[tokio::test]
async fn a_damaged_chunk_ends_a_body_before_its_first_byte() {
    let place = Place::new();
    let body = bytes(3 * CHUNK_BYTES as usize);
    for chunk in 0..3 {
        place.put(KEY, &body);
        let path = place.path(KEY);
        let mut file = fs::read(&path).unwrap();
        file[(chunk * (CHUNK_BYTES + DIGEST_BYTES) + DIGEST_BYTES + 7) as usize] ^= 1;
        fs::write(&path, file).unwrap();
        let found = place.find(KEY).await.unwrap().body;
        for index in 0..3 {
            let read = found.read(index).await;
            if index == chunk {
                assert!(matches!(read, Err(ReadError::Damaged(_))), "{read:?}");
            } else {
                let start = (index * CHUNK_BYTES) as usize;
                assert_eq!(read.unwrap(), body[start..start + CHUNK_BYTES as usize]);
            }
        }
        assert_eq!(place.bad(), chunk + 1);
        assert!(!path.exists());
    }
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
async fn a_crash_at_any_step_leaves_the_old_entry_or_the_new_one() {
    let mut place = Place::new();
    let (old, new) = (bytes(100), bytes(200_000));
    let mut ends = (0, 0);
    for steps in 0.. {
        place.put(KEY, &old);
        place.tier.directory.faults.end_after(steps);
        let epoch = place.tier.epochs.current();
        let ended = place.tier.write(&record(KEY, &new, epoch, NOW)).is_ok();
        place = place.again();
        assert_eq!(place.names("tmp"), Vec::<String>::new());
        match place.body(KEY).await.unwrap() {
            body if body == old => ends.0 += 1,
            body => {
                assert!(body == new, "after {steps} steps");
                ends.1 += 1;
            }
        }
        assert_eq!(place.bad(), 0);
        place.sweep();
        if ended {
            break;
        }
    }
    assert!(ends.0 > 5 && ends.1 == 1, "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_left_alone_and_tried_again() {
    let place = Place::new();
    for step in [Step::Create, Step::Write, Step::Rename] {
        place.put(b"object before", b"before");
        let epoch = place.tier.epochs.current();
        let refused = record(KEY, &bytes(100_000), epoch, NOW);
        place.tier.directory.faults.fail(step, Errno::NOSPC);
        assert!(place.tier.write(&refused).is_err(), "{step:?}");
        place.tier.directory.faults.clear();
        assert_eq!(place.names("tmp"), Vec::<String>::new(), "{step:?}");

        assert!(place.tier.write(&refused).is_err(), "it is left alone");
        assert_eq!(place.body(b"object before").await.unwrap(), b"before", "reads go on");
        tokio::time::advance(BYPASS).await;
        // The sweeper finds that there is room after all.
        place.sweep();
        place.tier.write(&refused).unwrap();
        assert!(place.find(KEY).await.is_some());
        fs::remove_file(place.path(KEY)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_cannot_be_read_is_left_alone_and_tried_again() {
    let place = Place::new();
    place.put(KEY, b"body");
    place.tier.directory.faults.fail(Step::Open, Errno::IO);
    assert!(place.find(KEY).await.is_none());
    place.tier.directory.faults.clear();
    assert!(place.find(KEY).await.is_none(), "not even tried");
    tokio::time::advance(BYPASS).await;
    assert_eq!(place.body(KEY).await.unwrap(), b"body");
    assert_eq!(place.bad(), 0, "nothing is wrong with the entry");
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
async fn a_second_process_waits_for_the_directory_and_sees_its_purges() {
    let first = Place::new();
    first.put(KEY, b"body");
    let metrics = Arc::default();
    let second = tier_in(&first.directory, MIB, &metrics);
    let mut sweeper = Sweeper::new(Arc::clone(&second));
    assert_eq!(sweeper.slice(), Slice::NotOurs);
    let epochs = Arc::clone(&second.epochs);
    let find = async || second.find(KEY, NOW, |epoch| epochs.usable_from_disk(epoch)).await;
    assert!(find().await.is_none());
    assert!(second.write(&record(KEY, b"body", epochs.current(), NOW)).is_err());

    let purge = first.tier.epochs.begin().unwrap();
    first.put(KEY, b"after the purge");
    first.tier.close();
    assert_eq!(sweeper.slice(), Slice::More);
    assert_eq!(epochs.current(), purge);
    assert_eq!(find().await.unwrap().into_bytes().await.unwrap(), b"after the purge");
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
async fn saved_texts_are_verified_and_outlive_everything() {
    let directory = tempfile::tempdir().unwrap();
    let config = DiskConfig { directory: directory.path().to_owned(), bytes_max: MIB };
    let open = || Disk::open(&config, Arc::default(), &Arc::default()).unwrap();
    let disk = open();
    assert_eq!(disk.saved("head", 10).await, None);
    disk.save("head", b"first".to_vec()).await.unwrap();
    disk.save("head", b"second".to_vec()).await.unwrap();
    drop(disk);
    let disk = open();
    assert_eq!(disk.saved("head", 10).await.unwrap(), b"second");
    let path = fs::read_dir(directory.path().join("saved")).unwrap().next().unwrap().unwrap();
    let whole = fs::read(path.path()).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(path.path(), bytes).unwrap();
        assert_eq!(disk.saved("head", 10).await, None, "byte {at}");
        assert!(!path.path().exists());
    }
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
    for number in 0..super::QUEUE_MAX {
        let key = format!("object {number}").into_bytes();
        disk.put_behind(record(&key, b"body", epochs.current(), NOW));
    }
    disk.flush().await;
    drop(disk);
    let (disk, _) = open();
    for number in 0..super::QUEUE_MAX {
        let key = format!("object {number}").into_bytes();
        assert!(disk.find(&key, NOW, |_| true).await.is_some(), "{number}");
    }
}

#[test]
fn a_place_that_is_no_directory_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let open = |directory, bytes_max| {
        let config = DiskConfig { directory, bytes_max };
        Disk::open(&config, Arc::default(), &Arc::default()).map(drop)
    };
    let below = file.join("below");
    for path in [file, below] {
        let told = open(path.clone(), MIB).unwrap_err().to_string();
        assert!(told.contains(path.to_str().unwrap()), "{told}");
    }
    let small = open(directory.path().to_owned(), MIB - 1);
    assert_eq!(small, Err(DiskError::TooSmall(MIB - 1)));
}
