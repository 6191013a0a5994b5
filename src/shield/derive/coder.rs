//! The encoders and decoders: from stored pieces to bytes, and no more of them
//! than were allowed beforehand.
//!
//! The same input makes the same output, in whatever pieces it lies.

use std::io::{self, Read, Write};

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;

use crate::semantics::encoding::Coding;

/// Codings that are made here. What understands only gzip gets the identity.
pub(crate) const MADE: [Coding; 2] = [Coding::Br, Coding::Zstd];

/// Percentage of the identity that a coding may have at most, as at publishing.
const KEPT_PERCENT: u64 = 95;

/// A tenth of the time of the best levels for variants that are 10 to 15 %
/// larger: somebody waits for these.
const BROTLI_QUALITY: i32 = 5;
const BROTLI_WINDOW: std::ops::RangeInclusive<u32> = 10..=22;
const ZSTD_LEVEL: i32 = 9;

/// Largest window that a frame may ask the decoder for, as a power of two:
/// that of the largest identities that are decoded.
const ZSTD_WINDOW_MAX: u32 = 25;

const BUFFER_BYTES: usize = 8 * 1024;

/// `pieces` in one of [`MADE`]; `None` when that saves too little.
pub(super) fn code(coding: Coding, pieces: &[Bytes]) -> io::Result<Option<Vec<u8>>> {
    let size: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    let mut coded = Bounded::of(size * KEPT_PERCENT / 100);
    let input = &mut Pieces(pieces, 0);
    let done = match coding {
        Coding::Br => brotli(input, &mut coded, size),
        Coding::Zstd => zstd(input, &mut coded, size),
        Coding::Gzip => Err(io::ErrorKind::Unsupported.into()),
    };
    match done {
        Err(_) if coded.is_full => Ok(None),
        done => done.map(|()| Some(coded.bytes)),
    }
}

/// The identity of `pieces`, which is `size` bytes long. More fails.
pub(super) fn decode(coding: Coding, pieces: &[Bytes], size: u64) -> io::Result<Vec<u8>> {
    let input = Pieces(pieces, 0);
    let mut identity = Bounded::of(size);
    let mut decoder: Box<dyn Read + '_> = match coding {
        Coding::Br => Box::new(brotli::Decompressor::new(input, BUFFER_BYTES)),
        Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(input)?;
            decoder.window_log_max(ZSTD_WINDOW_MAX)?;
            Box::new(decoder)
        }
    };
    io::copy(&mut decoder, &mut identity)?;
    Ok(identity.bytes)
}

fn brotli(input: &mut Pieces<'_>, output: &mut Bounded, size: u64) -> io::Result<()> {
    let window = u64::BITS - size.leading_zeros();
    let parameters = BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: window.clamp(*BROTLI_WINDOW.start(), *BROTLI_WINDOW.end()).cast_signed(),
        size_hint: usize::try_from(size).unwrap_or(usize::MAX),
        ..BrotliEncoderParams::default()
    };
    brotli::BrotliCompress(input, output, &parameters).map(|_| ())
}

fn zstd(input: &mut Pieces<'_>, output: &mut Bounded, size: u64) -> io::Result<()> {
    let mut encoder = zstd::stream::write::Encoder::new(output, ZSTD_LEVEL)?;
    encoder.set_pledged_src_size(Some(size))?;
    encoder.include_contentsize(true)?;
    encoder.include_checksum(false)?;
    io::copy(input, &mut encoder)?;
    encoder.finish().map(|_| ())
}

/// Pieces read as one: a read is short only at the end, so what reads them
/// cannot tell where one ends.
struct Pieces<'a>(&'a [Bytes], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let (Some(piece), true) = (self.0.first(), filled < buffer.len()) {
            let rest = &piece[self.1..];
            let fits = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + fits].copy_from_slice(&rest[..fits]);
            filled += fits;
            self.1 += fits;
            if self.1 == piece.len() {
                *self = Pieces(&self.0[1..], 0);
            }
        }
        Ok(filled)
    }
}

/// Bytes that may not become more than was set aside for them.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_full: bool,
}

impl Bounded {
    fn of(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self { bytes: Vec::with_capacity(bytes_max), bytes_max, is_full: false }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.is_full |= bytes.len() > self.bytes_max - self.bytes.len();
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: usize) -> Vec<u8> {
        let words = ["awning", "etalage", "canvas", "shop", "{", "}", ";\n", "color:"];
        let mut state = 7_u32;
        let mut text = Vec::new();
        while text.len() < bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(words[(state >> 16) as usize % words.len()].as_bytes());
        }
        text.truncate(bytes);
        text
    }

    fn pieces(bytes: &[u8], size: usize) -> Vec<Bytes> {
        bytes.chunks(size).map(Bytes::copy_from_slice).collect()
    }

    fn gzip(identity: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(identity).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_coded_decodes_to_the_same_in_whatever_pieces_it_lies() {
        for size in [1024, 5000, 300_000] {
            let identity = text(size);
            for coding in MADE {
                let coded = code(coding, &pieces(&identity, size)).unwrap().unwrap();
                for piece in [1000, 8192, 77_777] {
                    let again = code(coding, &pieces(&identity, piece)).unwrap().unwrap();
                    assert!(again == coded, "{coding} of {size} in pieces of {piece}");
                }
                for piece in [7, 100_000] {
                    let decoded = decode(coding, &pieces(&coded, piece), size as u64).unwrap();
                    assert!(decoded == identity, "{coding} of {size} in pieces of {piece}");
                }
            }
            let decoded = decode(Coding::Gzip, &pieces(&gzip(&identity), 100), size as u64);
            assert!(decoded.unwrap() == identity, "gzip of {size}");
        }
    }

    #[test]
    fn what_saves_nothing_is_not_kept() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(20_000)
        .collect();
        for coding in MADE {
            assert_eq!(code(coding, &pieces(&noise, 4096)).unwrap(), None, "{coding}");
        }
        assert!(code(Coding::Gzip, &pieces(&noise, 4096)).is_err());
    }

    #[test]
    fn what_decodes_to_more_than_it_should_or_is_damaged_fails() {
        let bomb = vec![0; 4 << 20];
        let whole = pieces(&bomb, bomb.len());
        let mut coded: Vec<_> = MADE.map(|coding| (coding, code(coding, &whole))).into();
        coded.push((Coding::Gzip, Ok(Some(gzip(&bomb)))));
        for (coding, coded) in coded {
            let coded = coded.unwrap().unwrap();
            let decoded = |size| decode(coding, &pieces(&coded, 9999), size);
            assert_eq!(decoded(4 << 20).unwrap().len(), 4 << 20);
            assert!(decoded((4 << 20) - 1).is_err(), "{coding}");
            let cut = decode(coding, &pieces(&coded[..coded.len() - 1], 9999), 4 << 20);
            assert!(cut.is_err(), "{coding} without its end");
            let noise = decode(coding, &pieces(b"this is in no coding", 5), 4 << 20);
            assert!(noise.is_err(), "{coding} of noise");
        }
    }
}
