//! Entries of the disk tier: any bytes are read without a panic, and one that
//! was written and then changed in any way is not believed.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use awning::shield::check_entry;
use awning::shield::fuzzing::encode_entry;
use libfuzzer_sys::fuzz_target;

/// Bytes of the end of an entry, and of the digest before each chunk.
const FOOTER_BYTES: usize = 96;
/// Lengths on both sides of those at which a body gets another chunk.
const EDGES: [usize; 6] = [0, 1, 65_535, 65_536, 65_537, 131_073];

/// An entry, and what happens to its file.
#[derive(Arbitrary, Debug)]
struct Play<'a> {
    key: &'a [u8],
    meta: &'a [u8],
    body: &'a [u8],
    /// The body is repeated up to this length, now and then.
    edge: u8,
    nonce: [u8; 16],
    epoch: u64,
    changes: Vec<Change>,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Flip { at: u32, by: u8 },
    FlipInFooter { at: u8, by: u8 },
    Footer { at: u8, number: u64 },
    Insert { at: u32, byte: u8 },
    Remove { at: u32, count: u16 },
    Cut { to: u32 },
    Append { byte: u8, count: u16 },
    Exchange { one: u32, other: u32, count: u16 },
    Again,
}

fuzz_target!(|bytes: &[u8]| {
    // Nothing that is not made on purpose has its digests.
    let _ = check_entry(bytes);
    if let Ok(play) = Play::arbitrary_take_rest(Unstructured::new(bytes)) {
        act(&play);
    }
});

fn act(play: &Play<'_>) {
    let (key, meta) =
        (&play.key[..play.key.len().min(512)], &play.meta[..play.meta.len().min(512)]);
    let body = body(play);
    let written = encode_entry(key, meta, &body, play.nonce, play.epoch);
    let found = check_entry(&written).expect("it is as it was written");
    assert!(found.key == key && found.meta == meta && found.body == body);
    assert_eq!(found.epoch, play.epoch);
    let mut file = written.clone();
    for change in play.changes.iter().take(8) {
        change.make(&mut file);
    }
    let believed = check_entry(&file).is_ok();
    assert_eq!(believed, file == written, "{play:?}");
}

fn body(play: &Play<'_>) -> Vec<u8> {
    match EDGES.get(usize::from(play.edge) / 8) {
        Some(length) if !play.body.is_empty() => {
            play.body.iter().copied().cycle().take(*length).collect()
        }
        _ => play.body.to_vec(),
    }
}

impl Change {
    fn make(&self, file: &mut Vec<u8>) {
        let length = file.len();
        let place = |at: u32| at as usize % length.max(1);
        let footer = length.saturating_sub(FOOTER_BYTES);
        match *self {
            Change::Flip { at, by } if length > 0 => file[place(at)] ^= by,
            Change::FlipInFooter { at, by } if length >= FOOTER_BYTES => {
                file[footer + usize::from(at) % FOOTER_BYTES] ^= by;
            }
            Change::Footer { at, number } if length >= FOOTER_BYTES => {
                let at = footer + usize::from(at) % (FOOTER_BYTES - 8);
                file[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            Change::Insert { at, byte } => file.insert(place(at), byte),
            Change::Remove { at, count } => {
                let from = place(at).min(length);
                file.drain(from..(from + usize::from(count)).min(length));
            }
            Change::Cut { to } => file.truncate(place(to)),
            Change::Append { byte, count } => file.extend(vec![byte; usize::from(count)]),
            Change::Exchange { one, other, count } => {
                let count = usize::from(count).min(length / 2);
                let (low, high) = (place(one).min(place(other)), place(one).max(place(other)));
                if low + count <= high && high + count <= length {
                    let (front, back) = file.split_at_mut(high);
                    front[low..low + count].swap_with_slice(&mut back[..count]);
                }
            }
            Change::Again if length < 1 << 16 => file.extend_from_within(..),
            _ => {}
        }
    }
}
