//! Validating what is stored, and what a validation makes of it (RFC 9111
//! §4.3, §3.2).
//!
//! A stored response is never changed: freshening gives new fields, which go
//! with the same content.

use std::time::SystemTime;

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::conditional::Tag;
use super::directives::ResponseDirectives;
use super::{date, storable};

/// Tags that one conditional request names. An origin has few variants; the
/// newest come first, and the rest is fetched again.
pub const TAGS_MAX: usize = 16;

/// Fields that stay what they were when the content was stored, because they
/// say how it is stored (RFC 9111 §3.2).
const OF_STORED_CONTENT: [HeaderName; 5] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// Makes a request conditional on what is stored for its URI, the newest first
/// (RFC 9111 §4.3.1), in place of the conditions that it had.
///
/// It gets the tags of all stored responses, weak ones too, and the date of the
/// first of them that has one. `false`: nothing stored has a validator, and the
/// request has no condition now.
pub fn make_conditional<'a>(
    request: &mut HeaderMap,
    stored: impl IntoIterator<Item = &'a HeaderMap>,
) -> bool {
    request.remove(IF_NONE_MATCH);
    request.remove(IF_MODIFIED_SINCE);
    let mut tags: Vec<&HeaderValue> = Vec::new();
    for fields in stored {
        let tag = fields.get(ETAG).filter(|tag| !tags.contains(tag));
        tags.extend(tag.filter(|_| tags.len() < TAGS_MAX));
        if let Some(modified) = fields.get(LAST_MODIFIED)
            && date::field(fields, &LAST_MODIFIED).is_some()
        {
            request.entry(IF_MODIFIED_SINCE).or_insert_with(|| modified.clone());
        }
    }
    let list: Vec<&[u8]> = tags.iter().map(|tag| tag.as_bytes()).collect();
    if let Ok(list) = HeaderValue::from_bytes(&list.join(&b", "[..]))
        && !list.is_empty()
    {
        request.insert(IF_NONE_MATCH, list);
    }
    request.contains_key(IF_NONE_MATCH) || request.contains_key(IF_MODIFIED_SINCE)
}

/// Which of the stored responses, the newest first, a 304 freshens (RFC 9111
/// §4.3.4). `None`: none of those that there are, and the request must be
/// forwarded again without conditions.
pub fn freshens(not_modified: &HeaderMap, stored: &[&HeaderMap]) -> Vec<usize> {
    let all = || stored.iter().enumerate();
    let chosen = |found: Option<usize>| found.into_iter().collect();
    match Tag::of(not_modified) {
        Some(tag) if tag.is_strong() => {
            let same = all()
                .filter(|(_, fields)| Tag::of(fields).is_some_and(|other| other.is_strongly(&tag)));
            same.map(|(at, _)| at).collect()
        }
        Some(tag) => chosen(
            stored
                .iter()
                .position(|fields| Tag::of(fields).is_some_and(|other| other.is_weakly(&tag))),
        ),
        None if not_modified.contains_key(LAST_MODIFIED) => {
            let modified = date::field(not_modified, &LAST_MODIFIED);
            chosen(stored.iter().position(|fields| {
                modified.is_some() && date::field(fields, &LAST_MODIFIED) == modified
            }))
        }
        None => match stored {
            [only] if !only.contains_key(ETAG) && !only.contains_key(LAST_MODIFIED) => vec![0],
            _ => Vec::new(),
        },
    }
}

/// The fields of a stored response after a 304, or after the response to a
/// HEAD, that freshens it (RFC 9111 §3.2).
///
/// Every field of the newer response in place of the stored ones of its name,
/// except those that are not stored and those about the stored content. Its
/// date and age are those of the newer response: what that one does not say of
/// them is forgotten.
pub fn freshened(stored: &HeaderMap, newer: &HeaderMap, received: SystemTime) -> HeaderMap {
    let directives = ResponseDirectives::of(newer);
    let updates = |name: &HeaderName| {
        !OF_STORED_CONTENT.contains(name) && storable::is_stored(newer, &directives, name)
    };
    let mut fields = HeaderMap::with_capacity(stored.len() + newer.len());
    for (name, value) in stored {
        let replaced = newer.contains_key(name) && updates(name);
        if !replaced && *name != AGE && *name != DATE {
            fields.append(name.clone(), value.clone());
        }
    }
    for (name, value) in newer.iter().filter(|(name, _)| updates(name)) {
        fields.append(name.clone(), value.clone());
    }
    fields.entry(DATE).or_insert_with(|| date::to_header(received));
    fields
}

/// What the 200 to a HEAD says about a stored response that could have answered
/// it (RFC 9111 §4.3.5).
///
/// `true`: it is still the same, and freshened by it. `false`: it is another
/// one by now, and should be held for stale. `None`: it has nothing by which
/// one could tell, so it says nothing of what is stored.
pub fn head_agrees(stored: &HeaderMap, head: &HeaderMap) -> Option<bool> {
    let telling = [&ETAG, &LAST_MODIFIED, &CONTENT_LENGTH];
    let mut told = telling.into_iter().filter_map(|name| Some((name, head.get(name)?))).peekable();
    told.peek()?;
    Some(told.all(|(name, value)| stored.get(name) == Some(value)))
}

#[cfg(test)]
mod tests;
