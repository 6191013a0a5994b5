//! The digest of a header policy, by which a manifest tells under which rules
//! it was made.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Compress, Rule, Rules};
use crate::asset::Digest;
use crate::manifest::field::{FieldName, FieldValue};

/// What of a rule reaches the responses: header fields and codings. Names stand in
/// alphabetical order; the JSON of these is the canonical form.
#[derive(Serialize)]
struct Canonical<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<&'a FieldValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compress: Option<&'a Compress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a FieldValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: &'a BTreeMap<FieldName, FieldValue>,
    r#match: &'a str,
}

impl Rules {
    /// BLAKE3 of what the rules say of header fields and codings, in their order; `None`
    /// where they say nothing of them.
    pub fn digest(&self) -> Option<Digest> {
        let canonical: Vec<_> = self.rules.iter().filter_map(canonical).collect();
        if canonical.is_empty() {
            return None;
        }
        serde_json::to_vec(&canonical).ok().map(|bytes| Digest::of(&bytes))
    }
}

fn canonical(rule: &Rule) -> Option<Canonical<'_>> {
    let Rule { pattern, cache_control, compress, content_type, fingerprint, headers, .. } = rule;
    let silent = cache_control.is_none()
        && compress.is_none()
        && content_type.is_none()
        && fingerprint.is_none()
        && headers.is_empty();
    (!silent).then(|| Canonical {
        cache_control: cache_control.as_ref(),
        compress: compress.as_ref(),
        content_type: content_type.as_ref(),
        fingerprint: *fingerprint,
        headers,
        r#match: pattern.as_str(),
    })
}
