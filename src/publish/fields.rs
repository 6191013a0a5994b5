//! The header fields that objects are stored with, for whoever sends or checks
//! them: what the manifest promises, and the digest of the bytes.

use crate::asset::Digest;
use crate::manifest::Entry;
use crate::semantics::encoding::Coding;
use crate::store::ObjectHeaders;

/// The fields of an asset's object, or of that of one of its codings.
pub(super) fn stored(entry: &Entry, coding: Option<Coding>, digest: Digest) -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some(entry.content_type.clone()),
        cache_control: Some(entry.cache.clone()),
        content_disposition: entry.stored_field("content-disposition").cloned(),
        content_encoding: coding.map(|coding| coding.name().to_owned()),
        content_language: entry.stored_field("content-language").cloned(),
        meta: [("blake3".to_owned(), digest.to_string())].into(),
    }
}
