//! The proof that bytes are those that were published.

use crate::asset::{Digest, Fingerprint};
use crate::store::ObjectHead;

use super::origin::Fault;
use super::wanted::Wanted;

/// The metadata field in which a publisher writes the digest of an object.
const DIGEST_META: &str = "blake3";

/// What the bytes of an object must hash to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// This digest: the manifest's, or else the one the publisher left with
    /// the object.
    Digest(Digest),
    /// A digest that begins like this: nothing is known but the object's name.
    Name(Fingerprint),
}

impl Proof {
    /// What is known of the bytes of `wanted`. Without anything known there is
    /// no proof, and such bytes are not served.
    pub(crate) fn of(wanted: &Wanted, object: &ObjectHead) -> Result<Self, Fault> {
        if let Some(published) = &wanted.published {
            return Ok(Proof::Digest(published.digest));
        }
        // The objects of a reference cycle are named by the cycle, not by
        // their own bytes, so the publisher's word goes before the name.
        let meta = object.headers.meta.get(DIGEST_META);
        if let Some(digest) = meta.and_then(|text| Digest::parse(text).ok()) {
            return Ok(Proof::Digest(digest));
        }
        wanted.object.fingerprint().map(Proof::Name).ok_or(Fault::Corrupt)
    }

    /// Whether bytes of this digest are the ones.
    pub(crate) fn holds(&self, found: &Digest) -> bool {
        match self {
            Proof::Digest(digest) => digest == found,
            Proof::Name(name) => name.as_str().starts_with(found.fingerprint().as_str()),
        }
    }

    /// The fingerprint of bytes that hold.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match self {
            Proof::Digest(digest) => digest.fingerprint(),
            Proof::Name(name) => name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::{AssetPath, ObjectKey};

    fn wanted(name: &str) -> Wanted {
        Wanted::unlisted(ObjectKey::of_public_name(&AssetPath::parse(name).unwrap()))
    }

    #[test]
    fn without_a_manifest_the_publishers_digest_goes_before_the_name() {
        let digest = Digest::of(b"a{}");
        let named = wanted(&format!("a.{}.css", digest.fingerprint()));
        let plain = Proof::of(&named, &ObjectHead::default()).unwrap();
        assert!(plain.holds(&digest));
        assert!(!plain.holds(&Digest::of(b"b{}")));

        let mut head = ObjectHead::default();
        head.headers.meta.insert(DIGEST_META.into(), Digest::of(b"b{}").to_string());
        let told = Proof::of(&named, &head).unwrap();
        assert!(told.holds(&Digest::of(b"b{}")));
        assert!(!told.holds(&digest));
    }

    #[test]
    fn a_longer_fingerprint_begins_with_the_digests() {
        let digest = Digest::of(b"a{}");
        let named = wanted(&format!("a.{}aaaa.css", digest.fingerprint()));
        assert!(Proof::of(&named, &ObjectHead::default()).unwrap().holds(&digest));
    }

    #[test]
    fn nothing_is_proven_by_a_name_without_a_fingerprint() {
        assert_eq!(Proof::of(&wanted("a.css"), &ObjectHead::default()), Err(Fault::Corrupt));
    }
}
