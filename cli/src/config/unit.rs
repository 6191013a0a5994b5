//! Sizes and durations as people write them: `256MiB`, `15m`.

use std::time::Duration;

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A whole number and `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    scaled(text, &DURATIONS).map(Duration::from_millis).ok_or_else(|| {
        format!("`{text}` is no duration: write a whole number and ms, s, m, h or d, as in 30s")
    })
}

/// Bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    scaled(text, &SIZES).ok_or_else(|| {
        format!("`{text}` is no size: write a whole number and KiB, MiB or GiB, as in 256MiB")
    })
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let digits = digits.trim_end();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, expected) in
            [("0B", 0), ("1KiB", 1024), ("256MiB", 1 << 28), ("10 GiB", 10 << 30)]
        {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for text in ["", "MiB", "256", "256MB", "-1KiB", "1.5GiB", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn durations_have_one_unit() {
        for (text, millis) in
            [("0s", 0), ("250ms", 250), ("30s", 30_000), ("5 m", 300_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "30", "1h30m", "-1s", "1.5s", "99999999999999999d"] {
            assert!(duration(text).is_err(), "{text:?} was accepted");
        }
    }
}
