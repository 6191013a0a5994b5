//! Damaged files, crashes, and disks that are full or broken.

use std::fs;
use std::sync::Arc;

use rustix::io::Errno;

use super::super::breaker::BYPASS;
use super::super::files::Step;
use super::super::format::{CHUNK_BYTES, DIGEST_BYTES};
use super::super::read::ReadError;
use super::super::{Disk, DiskConfig, DiskError};
use super::{Directory, Epochs, KEY, MIB, Metrics, NOW, Place, Tier, bytes, record};

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
async fn a_disk_that_fails_at_the_start_is_had_once_it_is_well() {
    for errno in [Errno::IO, Errno::NOSPC, Errno::ROFS] {
        let place = Place::new();
        place.put(KEY, b"body");
        let Place { directory, tier, .. } = place;
        drop(tier);

        let (metrics, epochs) = (Arc::<Metrics>::default(), Arc::<Epochs>::default());
        let opened = Directory::open(directory.path()).unwrap();
        opened.faults.fail(Step::Open, errno);
        let tier = Arc::new(Tier::new(opened, MIB, Arc::clone(&epochs), &metrics).unwrap());
        let place = Place { directory, metrics, tier };
        assert!(place.tier.try_own().is_err());
        assert!(place.find(KEY).await.is_none());
        assert!(epochs.begin().is_err(), "a purge would not be known after a restart");

        place.tier.directory.faults.clear();
        assert!(place.tier.try_own().unwrap());
        assert!(place.find(KEY).await.is_none(), "it may have been purged meanwhile");
        assert!(epochs.begin().is_ok());
        place.put(KEY, b"new");
        assert_eq!(place.body(KEY).await.unwrap(), b"new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_read_again_is_used_whatever_is_not_there() {
    let place = Place::new();
    place.put(KEY, b"body");
    place.tier.directory.faults.fail(Step::Open, Errno::IO);
    assert!(place.find(KEY).await.is_none());
    place.tier.directory.faults.clear();
    tokio::time::advance(BYPASS).await;
    assert!(place.find(b"object that is not there").await.is_none());
    assert_eq!(place.body(KEY).await.unwrap(), b"body");
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
