//! Names that other tools gave: nothing proves that one stands for one content.
//!
//! A fingerprint of awning's own is a proof. Any other name may be that of an
//! object which some older release still needs, so it is looked up before
//! anything is sent there.

use super::error::PublishError;
use crate::asset::{AssetPath, Digest, ObjectKey};
use crate::store::{ObjectRead, StoreErrorKind};

/// The metadata field that holds the digest of an object.
const DIGEST_META: &str = "blake3";

/// Whether an object may lie where another tool's name leads.
pub(super) fn is_looked_up(path: &AssetPath, key: &ObjectKey) -> bool {
    *key == ObjectKey::of_public_name(path)
}

/// Refuses to put `digest` where other bytes lie: one HEAD if `path` keeps its
/// name, and no call otherwise.
pub(super) async fn refuse_other_bytes(
    store: &dyn ObjectRead,
    full_key: &str,
    path: &AssetPath,
    key: &ObjectKey,
    digest: Digest,
) -> Result<(), PublishError> {
    if !is_looked_up(path, key) {
        return Ok(());
    }
    let head = match store.head(full_key).await {
        Ok(head) => head,
        Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let stored = head.headers.meta.get(DIGEST_META).and_then(|text| Digest::parse(text).ok());
    if stored == Some(digest) {
        return Ok(());
    }
    Err(PublishError::Occupied { key: full_key.to_owned() })
}
