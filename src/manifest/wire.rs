//! The one serialised form of a manifest: canonical JSON, named by its BLAKE3.

use std::collections::BTreeMap;
use std::io::{self, BufWriter};

use serde::{Deserialize, Serialize};

use super::{Encoding, Entry, Logical, Manifest, ReleaseId};
use crate::asset::{AssetPath, Blake3, Digest};

/// Largest manifest that is written or read: about 200,000 assets.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one asset in a manifest, roughly: without references and variants.
const ENTRY_BYTES: usize = 400;

const SCHEMA: &str = "awning.manifest/v1";

/// Why bytes are not the manifest they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes are not those that the release is named by.
    #[error("the manifest of release {0} has other bytes than its name says")]
    Altered(ReleaseId),
    /// The bytes are not a manifest.
    #[error("the manifest is not readable")]
    Malformed(#[source] serde_json::Error),
    /// A schema this version does not know.
    #[error("the manifest has schema `{0}`, this version reads `{SCHEMA}`")]
    Schema(String),
    /// More than [`MANIFEST_BYTES_MAX`].
    #[error("the manifest has {0} bytes, more than {MANIFEST_BYTES_MAX}")]
    TooLarge(usize),
}

/// The document; unknown fields are ignored, an unknown schema is refused.
#[derive(Deserialize, Serialize)]
struct Wire<C, E, L> {
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<C>,
    entries: E,
    #[serde(skip_serializing_if = "Option::is_none")]
    logical: Option<L>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Digest>,
    schema: String,
}

impl Manifest {
    /// The canonical bytes, and the id of the release they name.
    ///
    /// The same entries give the same bytes on every machine.
    pub fn to_bytes(&self) -> Result<(ReleaseId, Vec<u8>), ManifestError> {
        let mut bytes = Vec::with_capacity(self.entries.len() * ENTRY_BYTES);
        self.write(&mut bytes)?;
        refuse_large(bytes.len())?;
        Ok((ReleaseId::new(Digest::of(&bytes)), bytes))
    }

    /// The id of the release alone: the bytes are hashed as they are made.
    pub fn release(&self) -> Result<ReleaseId, ManifestError> {
        let mut hashed = BufWriter::new(Hashed::default());
        self.write(&mut hashed)?;
        let hashed = hashed.into_inner().map_err(|error| unwritten(error.into_error()))?;
        refuse_large(hashed.bytes)?;
        Ok(ReleaseId::new(hashed.blake3.digest()))
    }

    fn write(&self, writer: impl io::Write) -> Result<(), ManifestError> {
        let logical = Some(&self.logical).filter(|logical| **logical != Logical::default());
        let (encoding, entries) = (self.encoding.as_ref(), &self.entries);
        let wire =
            Wire { encoding, entries, logical, policy: self.policy, schema: SCHEMA.to_owned() };
        serde_json::to_writer(writer, &wire).map_err(ManifestError::Malformed)
    }

    /// Reads the manifest of `release`, and refuses bytes of any other name.
    pub fn from_bytes(release: ReleaseId, bytes: &[u8]) -> Result<Self, ManifestError> {
        refuse_large(bytes.len())?;
        if ReleaseId::new(Digest::of(bytes)) != release {
            return Err(ManifestError::Altered(release));
        }
        let wire: Wire<Encoding, BTreeMap<AssetPath, Entry>, Logical> =
            serde_json::from_slice(bytes).map_err(ManifestError::Malformed)?;
        if wire.schema != SCHEMA {
            return Err(ManifestError::Schema(wire.schema));
        }
        let Wire { encoding, entries, logical, policy, .. } = wire;
        Ok(Self { encoding, entries, logical: logical.unwrap_or_default(), policy })
    }
}

/// Hashes and counts what is written.
#[derive(Default)]
struct Hashed {
    blake3: Blake3,
    bytes: usize,
}

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blake3.update(bytes);
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unwritten(error: io::Error) -> ManifestError {
    ManifestError::Malformed(serde_json::Error::io(error))
}

fn refuse_large(bytes: usize) -> Result<(), ManifestError> {
    if bytes > MANIFEST_BYTES_MAX { Err(ManifestError::TooLarge(bytes)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::ObjectKey;

    fn manifest() -> Manifest {
        let path = AssetPath::parse("css/app.css").unwrap();
        let b3 = Digest::of(b"a{}");
        let entry = Entry {
            b3,
            cache: "public, max-age=31536000, immutable".into(),
            content_type: "text/css; charset=utf-8".into(),
            headers: BTreeMap::new(),
            integrity: "sha384-x".into(),
            key: ObjectKey::for_asset(&path, &b3.fingerprint()),
            refs: Vec::new(),
            size: 3,
            stable: false,
            tags: Vec::new(),
            variants: BTreeMap::new(),
        };
        Manifest::new(BTreeMap::from([(path, entry)]))
    }

    #[test]
    fn a_manifest_reads_back_under_its_own_name_only() {
        let (release, bytes) = manifest().to_bytes().unwrap();
        assert_eq!(Manifest::from_bytes(release, &bytes).unwrap(), manifest());
        assert_eq!(manifest().release().unwrap(), release);

        let other = ReleaseId::new(Digest::of(b"other"));
        let refused = Manifest::from_bytes(other, &bytes);
        assert!(matches!(refused, Err(ManifestError::Altered(id)) if id == other));
    }

    #[test]
    fn names_of_a_build_tool_are_read_back() {
        let to = AssetPath::parse("css/app.css").unwrap();
        let aliases = BTreeMap::from([("application.css".to_owned(), to)]);
        let named = manifest().with_logical(Logical { aliases, ..Logical::default() });
        let (release, bytes) = named.to_bytes().unwrap();
        let back = Manifest::from_bytes(release, &bytes).unwrap();
        assert_eq!(back, named);
        assert_eq!(back.resolve("application.css").map(|found| found.1), back.get("css/app.css"));
        assert_eq!(back.resolve("other.css"), None);
        assert_ne!(manifest().to_bytes().unwrap().0, release);
    }

    #[test]
    fn the_canonical_bytes_are_fixed() {
        let (_, bytes) = manifest().to_bytes().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(r#"{"entries":{"css/app.css":{"b3":""#), "{text}");
        assert!(text.ends_with(r#""schema":"awning.manifest/v1"}"#), "{text}");
    }

    #[test]
    fn rules_make_another_release_of_the_same_entries() {
        let policy = Digest::of(b"rules");
        let (release, bytes) = manifest().under(Some(policy)).to_bytes().unwrap();
        assert_ne!(release, manifest().to_bytes().unwrap().0);
        assert_eq!(Manifest::from_bytes(release, &bytes).unwrap().policy(), Some(policy));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(&format!(r#"}},"policy":"{}","schema""#, policy)), "{text}");
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_schemas_refused() {
        let read = |text: &str| {
            Manifest::from_bytes(ReleaseId::new(Digest::of(text.as_bytes())), text.as_bytes())
        };
        assert!(read(r#"{"entries":{},"schema":"awning.manifest/v1","new":1}"#).is_ok());
        let refused = read(r#"{"entries":{},"schema":"awning.manifest/v2"}"#);
        assert!(matches!(refused, Err(ManifestError::Schema(_))));
        let refused = read(r#"{"entries":{"../x":{}},"schema":"awning.manifest/v1"}"#);
        assert!(matches!(refused, Err(ManifestError::Malformed(_))));
    }

    #[test]
    fn a_manifest_over_the_limit_is_refused() {
        let bytes = vec![b' '; MANIFEST_BYTES_MAX + 1];
        let refused = Manifest::from_bytes(ReleaseId::new(Digest::of(b"")), &bytes);
        assert!(matches!(refused, Err(ManifestError::TooLarge(_))));
    }
}
