//! How a large object is cut into parts. Pure.

use std::ops::RangeInclusive;

use crate::store::{PART_BYTES_MIN, PARTS_MAX, Part};

/// Most bytes of a part: it is sent from memory.
const PART_BYTES_MAX: u64 = 1 << 30;

/// Where the parts of an object begin and end. The same size and options give
/// the same cut, so that a later run finds what an earlier one sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cut {
    size: u64,
    part: u64,
}

impl Cut {
    /// Cuts `size` bytes into parts of `wanted` bytes, or of as many whole
    /// multiples of them as it takes to get along with [`PARTS_MAX`] parts.
    pub(super) fn of(size: u64, wanted: u64) -> Self {
        let wanted = wanted.clamp(PART_BYTES_MIN, PART_BYTES_MAX);
        let multiples = size.div_ceil(wanted.saturating_mul(u64::from(PARTS_MAX))).max(1);
        Self { size, part: wanted.saturating_mul(multiples) }
    }

    /// The numbers of the parts; an empty object has one.
    pub(super) fn numbers(self) -> RangeInclusive<u32> {
        let parts = self.size.div_ceil(self.part).max(1);
        1..=u32::try_from(parts).unwrap_or(u32::MAX)
    }

    /// Bytes of a part.
    pub(super) fn size_of(self, number: u32) -> u64 {
        let before = u64::from(number.saturating_sub(1)).saturating_mul(self.part);
        self.size.saturating_sub(before).min(self.part)
    }

    /// Whether the parts of an upload are parts of this cut. If not, someone
    /// cut the object otherwise, and may still be doing so.
    pub(super) fn fits(self, parts: &[Part]) -> bool {
        let numbers = self.numbers();
        parts
            .iter()
            .all(|part| numbers.contains(&part.number) && part.size == self.size_of(part.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_cover_the_object_and_only_the_last_is_shorter() {
        for (size, wanted) in [(1, 16), (16, 16), (17, 16), (64, 5), (1000, 16)] {
            let cut = Cut::of(size * MIB, wanted * MIB);
            let sizes: Vec<u64> = cut.numbers().map(|number| cut.size_of(number)).collect();
            assert_eq!(sizes.iter().sum::<u64>(), size * MIB, "{size}");
            assert!(sizes[..sizes.len() - 1].iter().all(|part| *part == wanted * MIB), "{size}");
            assert!((1..=wanted * MIB).contains(sizes.last().unwrap()), "{size}");
        }
        assert_eq!(Cut::of(0, 16 * MIB).numbers(), 1..=1);
    }

    #[test]
    fn parts_grow_before_there_are_too_many() {
        let limit = u64::from(PARTS_MAX) * 16 * MIB;
        assert_eq!(Cut::of(limit, 16 * MIB).numbers(), 1..=PARTS_MAX);
        let larger = Cut::of(limit + 1, 16 * MIB);
        assert_eq!((larger.part, larger.numbers()), (32 * MIB, 1..=PARTS_MAX / 2 + 1));
        // The largest object that B2 takes.
        let largest = Cut::of(10_000_000_000_000, 16 * MIB);
        assert!(*largest.numbers().end() <= PARTS_MAX);
    }

    #[test]
    fn parts_are_neither_too_small_nor_too_large() {
        assert_eq!(Cut::of(100 * MIB, 1).part, PART_BYTES_MIN);
        assert_eq!(Cut::of(100 * MIB, u64::MAX).part, PART_BYTES_MAX);
    }

    #[test]
    fn only_parts_of_the_same_cut_fit() {
        let cut = Cut::of(40 * MIB, 16 * MIB);
        let part = |number, size| Part { number, size, etag: String::new() };
        assert!(cut.fits(&[]));
        assert!(cut.fits(&[part(1, 16 * MIB), part(3, 8 * MIB)]));
        for other in [part(1, 8 * MIB), part(3, 16 * MIB), part(4, 0), part(0, 16 * MIB)] {
            assert!(!cut.fits(&[part(2, 16 * MIB), other.clone()]), "{other:?}");
        }
    }
}
