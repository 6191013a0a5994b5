//! Chance that depends on a seed and on what is decided, and on nothing else.
//!
//! Calls race with each other, so a generator that is asked in the order of
//! their arrival would decide differently in every run.

/// A number that looks random and is the same for the same parts.
pub(crate) fn mixed(parts: &[&[u8]], seed: u64) -> u64 {
    // FNV-1a over the parts, then the finisher of SplitMix64.
    let mut state = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for part in parts {
        for byte in *part {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state = state.wrapping_mul(0x0100_0000_01b3) ^ 0xff;
    }
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Whether something of this probability happens.
pub(crate) fn happens(probability: f64, parts: &[&[u8]], seed: u64) -> bool {
    // 53 bits are what a float holds exactly.
    let drawn = (mixed(parts, seed) >> 11) as f64 / (1_u64 << 53) as f64;
    drawn < probability
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_fair_and_repeats_itself() {
        let draw = |seed| {
            let drawn = (0..10_000_u32).map(|n| happens(0.6, &[b"key", &n.to_le_bytes()], seed));
            drawn.collect::<Vec<_>>()
        };
        let (one, other) = (draw(1), draw(2));
        let count = one.iter().filter(|happened| **happened).count();
        assert!((5_800..6_200).contains(&count), "{count}");
        assert_eq!(one, draw(1));
        assert_ne!(one, other);
    }
}
