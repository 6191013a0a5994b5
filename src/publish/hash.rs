//! Both digests of a manifest from one pass over an object's bytes.

use data_encoding::BASE64;
use sha2::{Digest as _, Sha384};

use crate::asset::{Blake3, Digest};

/// A pass over the bytes of one object.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    blake3: Blake3,
    sha384: Sha384,
    size: u64,
}

/// What is known of an object's bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Output {
    pub(super) b3: Digest,
    /// `sha384-` and base64, as `integrity` attributes have it.
    pub(super) integrity: String,
    pub(super) size: u64,
}

impl Hashes {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.sha384.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(super) fn output(self) -> Output {
        Output {
            b3: self.blake3.digest(),
            integrity: format!("sha384-{}", BASE64.encode(&self.sha384.finalize())),
            size: self.size,
        }
    }
}

impl Output {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut hashes = Hashes::default();
        hashes.update(bytes);
        hashes.output()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'etalage' | openssl dgst -sha384 -binary | base64`.
    const SHA384: &str = "yBGJgH0MH1Nka417ld2FAKZzIwXEjQbEZ2xyCP7D/rdEWIeqrq/V2SPqpMDSzWo8";

    #[test]
    fn the_digests_are_those_of_other_tools() {
        let output = Output::of(b"etalage");
        assert_eq!(output.integrity, format!("sha384-{SHA384}"));
        assert_eq!(output.size, 7);
        assert_eq!(output.b3, Digest::of(b"etalage"));
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hashes = Hashes::default();
        hashes.update(b"eta");
        hashes.update(b"lage");
        assert_eq!(hashes.output(), Output::of(b"etalage"));
    }
}
