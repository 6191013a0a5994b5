//! The encoders: the same bytes for the same input on every machine and run.
//!
//! One thread each, no clock, no name, fixed levels. What they write is part
//! of the names of releases, so whatever changes it needs a new [`VERSION`].

use std::io::{self, Write as _};

use brotli::enc::BrotliEncoderParams;
use flate2::{Compression, GzBuilder};

use crate::asset::ObjectKey;
use crate::semantics::encoding::Coding;

/// The version of everything that decides a variant's bytes and whether it is
/// kept. A later version also has to extend [`key`], because a key is never
/// overwritten with other bytes.
pub(super) const VERSION: u32 = 1;

/// Percentage of the identity that a variant may have at most.
const KEPT_PERCENT: u64 = 95;

/// Up to this many bytes brotli takes its time: seconds a mebibyte.
const BROTLI_BEST_BYTES_MAX: usize = 2 * 1024 * 1024;
const BROTLI_BEST: i32 = 11;
/// Beyond, a tenth of the time makes variants that are 6 to 12 % larger
/// (measured on the scripts of monaco-editor).
const BROTLI_FAST: i32 = 9;

/// Windows of brotli, as powers of two (RFC 7932 §9.1).
const BROTLI_WINDOW: std::ops::RangeInclusive<u32> = 10..=24;

/// The highest level whose window is 8 MiB, more than which browsers refuse
/// (RFC 9659).
const ZSTD_LEVEL: i32 = 19;

const GZIP_LEVEL: u32 = 9;

/// "Unknown" (RFC 1952 §2.3.1): no byte tells where it was made.
const GZIP_SYSTEM: u8 = 255;

/// The bytes of an object in a coding.
pub(super) fn code(coding: Coding, identity: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Br => brotli(identity),
        Coding::Zstd => zstd(identity),
        Coding::Gzip => gzip(identity),
    }
}

/// Whether a variant saves enough to be published.
pub(super) fn is_kept(identity: u64, coded: u64) -> bool {
    coded.saturating_mul(100) <= identity.saturating_mul(KEPT_PERCENT)
}

/// The key of a variant; `None` where it would be too long.
pub(super) fn key(identity: &ObjectKey, coding: Coding) -> Option<ObjectKey> {
    ObjectKey::parse(&format!("{identity}{}", coding.suffix())).ok()
}

fn brotli(identity: &[u8]) -> io::Result<Vec<u8>> {
    let best = identity.len() <= BROTLI_BEST_BYTES_MAX;
    let window = usize::BITS - identity.len().leading_zeros();
    let parameters = BrotliEncoderParams {
        quality: if best { BROTLI_BEST } else { BROTLI_FAST },
        lgwin: window.clamp(*BROTLI_WINDOW.start(), *BROTLI_WINDOW.end()).cast_signed(),
        size_hint: identity.len(),
        ..BrotliEncoderParams::default()
    };
    let mut coded = Vec::with_capacity(identity.len() / 4);
    brotli::BrotliCompress(&mut &identity[..], &mut coded, &parameters)?;
    Ok(coded)
}

fn zstd(identity: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    compressor.include_contentsize(true)?;
    compressor.include_checksum(false)?;
    compressor.compress(identity)
}

fn gzip(identity: &[u8]) -> io::Result<Vec<u8>> {
    let coded = Vec::with_capacity(identity.len() / 4);
    let builder = GzBuilder::new().mtime(0).operating_system(GZIP_SYSTEM);
    let mut encoder = builder.write(coded, Compression::new(GZIP_LEVEL));
    encoder.write_all(identity)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::asset::Digest;

    /// Text of words that repeat as words do, made by a fixed rule.
    fn text(bytes: usize) -> Vec<u8> {
        let words = ["awning", "etalage", "canvas", "shop", "window", "{", "}", ";\n", "color:"];
        let mut state = 7_u32;
        let mut text = Vec::new();
        while text.len() < bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(words[(state >> 16) as usize % words.len()].as_bytes());
            if state >> 30 == 0 {
                text.extend_from_slice(state.to_string().as_bytes());
            }
        }
        text.truncate(bytes);
        text
    }

    fn decoded(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        match coding {
            Coding::Br => brotli::BrotliDecompress(&mut &coded[..], &mut decoded).unwrap(),
            Coding::Zstd => decoded = zstd::stream::decode_all(coded).unwrap(),
            Coding::Gzip => {
                flate2::read::GzDecoder::new(coded).read_to_end(&mut decoded).unwrap();
            }
        }
        decoded
    }

    #[test]
    fn what_is_coded_decodes_to_the_same() {
        for bytes in [0, 1, 256, 70_000] {
            let identity = text(bytes);
            for coding in Coding::ALL {
                let coded = code(coding, &identity).unwrap();
                assert_eq!(decoded(coding, &coded), identity, "{coding} of {bytes}");
            }
        }
    }

    /// The names of releases follow from these. Where one differs after an
    /// encoder was changed, [`VERSION`] has to change, and [`key`] with it.
    #[test]
    fn this_version_makes_these_bytes() {
        let small = text(3000);
        let large = text(BROTLI_BEST_BYTES_MAX + 1);
        for (identity, coding, expected) in [
            (&small, Coding::Br, "b5ax2ainnnyvoicv"),
            (&small, Coding::Zstd, "h2p66cm26bwq2a7g"),
            (&small, Coding::Gzip, "7aw3zvkgns2k5kvu"),
            (&large, Coding::Br, "yhjed6wylaxbmxqa"),
        ] {
            let coded = code(coding, identity).unwrap();
            let name = Digest::of(&coded).fingerprint();
            assert_eq!(name.as_str(), expected, "{coding} of {} bytes", identity.len());
        }
    }

    #[test]
    fn a_frame_tells_its_length_and_needs_a_window_that_browsers_have() {
        let identity = b"awning".repeat(1_600_000);
        let coded = code(Coding::Zstd, &identity).unwrap();
        let descriptor = coded[4];
        assert_eq!(&coded[..4], [0x28, 0xb5, 0x2f, 0xfd], "the magic number (RFC 8878 §3.1.1)");
        assert_eq!(descriptor & 0b0000_0100, 0, "no checksum");
        assert_eq!(descriptor & 0b0010_0000, 0, "not one segment, so a window follows");
        assert_ne!(descriptor >> 6, 0, "the content's size");
        let (exponent, mantissa) = (u32::from(coded[5] >> 3), u32::from(coded[5] & 7));
        let base = 1_u64 << (10 + exponent);
        assert!(base + base / 8 * u64::from(mantissa) <= 8 << 20, "the window");
    }

    #[test]
    fn a_gzip_header_tells_nothing_of_its_maker() {
        let coded = code(Coding::Gzip, &text(300)).unwrap();
        assert_eq!(coded[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    #[test]
    fn a_variant_is_kept_when_it_saves_at_least_5_percent() {
        for (identity, coded, kept) in
            [(1000, 950, true), (1000, 951, false), (0, 1, false), (u64::MAX, 1, true)]
        {
            assert_eq!(is_kept(identity, coded), kept, "{coded} of {identity}");
        }
    }
}
