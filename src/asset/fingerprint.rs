//! BLAKE3 of published bytes, whole for checking and shortened for names.

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};

/// Characters of a fingerprint: 80 bits of BLAKE3 in lowercase base32.
const FINGERPRINT_CHARS: usize = 16;

/// The BLAKE3 digest of some bytes; 64 hexadecimal digits as text.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A text that is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct DigestError;

/// The part of a digest that names an object: 16 characters of `a-z2-7`.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(Box<str>);

/// A BLAKE3 computation that is fed piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Blake3(blake3::Hasher);

impl Blake3 {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest shortened for a name.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut text = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        text.truncate(FINGERPRINT_CHARS);
        Fingerprint(text.into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| DigestError)?;
        Ok(Self(bytes.try_into().map_err(|_| DigestError)?))
    }
}

impl Fingerprint {
    /// Takes `text` if it has the shape of a fingerprint: 16 to 52 characters
    /// of lowercase base32.
    pub fn parse(text: &str) -> Option<Self> {
        let shaped = (FINGERPRINT_CHARS..=52).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
        shaped.then(|| Self(text.into()))
    }

    /// The fingerprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This fingerprint, and behind its first 16 characters those of other
    /// bytes that were made of the same content.
    #[must_use]
    pub fn with(&self, made: &Digest) -> Self {
        Self(format!("{}{}", self.base(), made.fingerprint()).into())
    }

    /// Whether both are of the same content: their first 16 characters tell.
    pub fn is_of_same_content(&self, other: &Self) -> bool {
        self.base() == other.base()
    }

    fn base(&self) -> &str {
        self.0.get(..FINGERPRINT_CHARS).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER_PERMISSIVE.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a fingerprint is 16 or more characters of a-z and 2-7")
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first vector of BLAKE3's own test suite: no input.
    const EMPTY: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

    #[test]
    fn a_digest_reads_back_what_it_wrote() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(Digest::parse(EMPTY), Ok(Digest::of(b"")));
        assert_eq!(Digest::parse(&EMPTY[1..]), Err(DigestError));
        assert_eq!(Digest::parse("zz"), Err(DigestError));
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hasher = Blake3::default();
        hasher.update(b"etal");
        hasher.update(b"age");
        assert_eq!(hasher.digest(), Digest::of(b"etalage"));
    }

    #[test]
    fn what_is_made_of_content_has_a_fingerprint_of_the_same_content() {
        let (content, other) = (Digest::of(b"").fingerprint(), Digest::of(b"a").fingerprint());
        let made = content.with(&Digest::of(b"made"));
        assert_eq!(Fingerprint::parse(made.as_str()), Some(made.clone()));
        assert_eq!(made.with(&Digest::of(b"made")), made);
        assert_ne!(made, content.with(&Digest::of(b"else")));
        assert!(made.is_of_same_content(&content) && content.is_of_same_content(&made));
        assert!(!made.is_of_same_content(&other));
    }

    #[test]
    fn a_fingerprint_is_16_characters_of_lowercase_base32() {
        let fingerprint = Digest::of(b"").fingerprint();
        assert_eq!(fingerprint.as_str(), "v4jutopv7gq2nica");
    }

    #[test]
    fn only_the_shape_of_a_fingerprint_is_taken_for_one() {
        assert!(Fingerprint::parse("abcdefghijklmn23").is_some());
        for text in ["abcdefghijklmn2", "abcdefghijklmn21", "ABCDEFGHIJKLMN23", ""] {
            assert!(Fingerprint::parse(text).is_none(), "{text:?} was accepted");
        }
    }
}
