//! Durations as people write them: `72h`, `7d`.

use std::time::Duration;

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Longest duration: a hundred years. Dates behind it have no HTTP form.
const DAYS_MAX: u64 = 36_500;

/// A whole number and `ms`, `s`, `m`, `h` or `d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    read(text).ok_or_else(|| {
        format!(
            "`{text}` is no duration: write a whole number and ms, s, m, h or d, as in 72h, and \
             {DAYS_MAX}d at most"
        )
    })
}

fn read(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = text.strip_prefix(digits)?;
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let milliseconds = digits.parse::<u64>().ok()?.checked_mul(*milliseconds)?;
    (milliseconds <= DAYS_MAX * 86_400_000).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("72h", 259_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "7", "d", "7w", "7 d", "-1h", "1.5h", "7D", "36501d", "9999999999999999d"]
        {
            assert!(duration(text).is_err(), "{text:?} was accepted");
        }
    }
}
