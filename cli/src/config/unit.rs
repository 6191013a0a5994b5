//! Sizes as people write them: `256MiB`.

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    read(text).ok_or_else(|| {
        format!("`{text}` is no size: write a whole number and KiB, MiB or GiB, as in 256MiB")
    })
}

fn read(text: &str) -> Option<u64> {
    let (digits, factor) =
        SIZES.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    if !digits.trim_end().bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.trim_end().parse::<u64>().ok()?.checked_mul(*factor)
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
}
