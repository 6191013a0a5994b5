//! The head of a bucket's object as it is written to disk beside its body.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::Head;
use crate::asset::{Digest, Fingerprint};
use crate::semantics::encoding::Coding;
use crate::semantics::validator::EntityTag;

/// A head, and the digest of the object it belongs to.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub(crate) struct SavedHead {
    object: Digest,
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_language: Option<String>,
    tag: Fingerprint,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coding: Option<Coding>,
    /// Since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<Duration>,
}

impl SavedHead {
    /// What is written of a head; `None` for one that is no text.
    pub(crate) fn of(head: &Head, object: Digest) -> Option<Vec<u8>> {
        let saved = Self {
            object,
            content_type: text(&head.content_type)?,
            content_encoding: optional(head.content_encoding.as_ref())?,
            content_disposition: optional(head.content_disposition.as_ref())?,
            content_language: optional(head.content_language.as_ref())?,
            tag: head.tag.content.clone(),
            coding: head.tag.coding,
            modified: head.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()),
        };
        serde_json::to_vec(&saved).ok()
    }

    /// The head of a body of `size` bytes, and the digest of its object.
    pub(crate) fn read(meta: &[u8], size: u64) -> Option<(Head, Digest)> {
        let saved: Self = serde_json::from_slice(meta).ok()?;
        let value = |text: &Option<String>| HeaderValue::from_str(text.as_deref()?).ok();
        let modified = |since: Duration| SystemTime::checked_add(&UNIX_EPOCH, since);
        let head = Head {
            content_type: HeaderValue::from_str(&saved.content_type).ok()?,
            content_encoding: value(&saved.content_encoding),
            content_disposition: value(&saved.content_disposition),
            content_language: value(&saved.content_language),
            tag: EntityTag { content: saved.tag, coding: saved.coding },
            modified: saved.modified.and_then(modified),
            size,
        };
        Some((head, saved.object))
    }
}

fn text(value: &HeaderValue) -> Option<String> {
    value.to_str().ok().map(str::to_owned)
}

/// The outer option is `None` when there is a value that is no text.
#[expect(clippy::option_option, reason = "absent, and not to be written, are different")]
fn optional(value: Option<&HeaderValue>) -> Option<Option<String>> {
    value.map_or(Some(None), |value| text(value).map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_as_it_was_saved() {
        let object = Digest::of(b"a");
        let full = Head {
            content_type: HeaderValue::from_static("text/css"),
            content_encoding: Some(HeaderValue::from_static("br")),
            content_disposition: Some(HeaderValue::from_static("attachment; filename=\"a b\"")),
            content_language: Some(HeaderValue::from_static("nl")),
            tag: EntityTag { content: object.fingerprint(), coding: Some(Coding::Br) },
            modified: Some(UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)),
            size: 7,
        };
        let bare = Head {
            content_encoding: None,
            content_disposition: None,
            content_language: None,
            tag: EntityTag { content: object.fingerprint(), coding: None },
            modified: None,
            ..full.clone()
        };
        for head in [full, bare] {
            let meta = SavedHead::of(&head, object).unwrap();
            let (found, digest) = SavedHead::read(&meta, 7).unwrap();
            assert_eq!((format!("{found:?}"), digest), (format!("{head:?}"), object));
        }
        assert!(SavedHead::read(b"{}", 0).is_none());
    }

    #[test]
    fn a_head_that_is_no_text_is_not_saved() {
        let object = Digest::of(b"a");
        let head = Head {
            content_type: HeaderValue::from_bytes(b"text/\xff").unwrap(),
            content_encoding: None,
            content_disposition: None,
            content_language: None,
            tag: EntityTag { content: object.fingerprint(), coding: None },
            modified: None,
            size: 0,
        };
        assert!(SavedHead::of(&head, object).is_none());
    }
}
