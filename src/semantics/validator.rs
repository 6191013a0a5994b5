//! Entity tags made from content, and the preconditions that compare them
//! (RFC 9110 §8.8 and §13).

use std::fmt;
use std::time::SystemTime;

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderValue};

use super::conditional::{self, Given};
use super::date;
use super::encoding::Coding;
use crate::asset::Fingerprint;

/// A strong entity tag: the fingerprint of the content without its coding,
/// and the coding. `"v4jutopv7gq2nica"`, `"v4jutopv7gq2nica-br"`.
///
/// Of a coding that was made after publishing, the fingerprint goes on with
/// that of its bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntityTag {
    /// The fingerprint of the content in no coding.
    pub content: Fingerprint,
    /// The coding of the bytes that carry the tag.
    pub coding: Option<Coding>,
}

/// What the preconditions of a GET or HEAD request come to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// 304, with the tag that the client holds.
    NotModified(EntityTag),
    /// 412.
    Failed,
}

impl EntityTag {
    /// The tag in quotes, as in `ETag`.
    pub fn to_header(&self) -> HeaderValue {
        // Quotes, `-` and characters of `a-z2-7` are always a value.
        HeaderValue::from_str(&self.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.coding {
            None => write!(f, "\"{}\"", self.content),
            Some(coding) => write!(f, "\"{}-{coding}\"", self.content),
        }
    }
}

/// Evaluates the preconditions of a GET or HEAD request in the order of
/// RFC 9110 §13.2.2. A date that is not one is ignored (§13.1.3).
pub fn evaluate(
    headers: &HeaderMap,
    tag: &EntityTag,
    modified: Option<SystemTime>,
) -> Precondition {
    if headers.contains_key(IF_MATCH) {
        let own = tag.to_string();
        let holds = conditional::given_tags(headers, &IF_MATCH).any(|given| match given {
            Given::Any => true,
            Given::Tag(given) => given.is_strong() && given.opaque() == own.as_bytes(),
        });
        if !holds {
            return Precondition::Failed;
        }
    } else if let (Some(since), Some(modified)) =
        (date::field(headers, &IF_UNMODIFIED_SINCE), modified)
        && modified > since
    {
        return Precondition::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        let held =
            conditional::given_tags(headers, &IF_NONE_MATCH).find_map(|given| held_by(given, tag));
        return held.map_or(Precondition::Proceed, Precondition::NotModified);
    }
    match (date::field(headers, &IF_MODIFIED_SINCE), modified) {
        (Some(since), Some(modified)) if modified <= since => {
            Precondition::NotModified(tag.clone())
        }
        _ => Precondition::Proceed,
    }
}

/// Whether `If-Range` allows a part: its validator must be exactly the
/// selected representation's, compared strongly (RFC 9110 §13.1.5).
pub fn if_range_holds(field: &str, tag: &EntityTag, modified: Option<SystemTime>) -> bool {
    if field.starts_with('"') || field.starts_with("W/") {
        return field == tag.to_string();
    }
    date::parse(field).is_some_and(|date| Some(date) == modified)
}

/// The tag of ours that a client holds when it names `given`. `If-None-Match`
/// is about content, so any coding of the same content matches, as do the
/// suffixes that compressing proxies put behind a tag.
fn held_by(given: Given<'_>, tag: &EntityTag) -> Option<EntityTag> {
    let Given::Tag(given) = given else { return Some(tag.clone()) };
    let opaque = std::str::from_utf8(given.opaque()).ok()?;
    let opaque = opaque.strip_prefix('"')?.strip_suffix('"')?;
    let (content, suffix) = match opaque.split_once('-') {
        Some((content, suffix)) => (content, Some(suffix)),
        None => (opaque, None),
    };
    let content = Fingerprint::parse(content)?;
    let same = content.is_of_same_content(&tag.content);
    same.then(|| EntityTag { content, coding: suffix.and_then(Coding::from_name) })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const AT: &str = "Thu, 01 Jan 1970 00:01:00 GMT";
    const BEFORE: &str = "Thu, 01 Jan 1970 00:00:59 GMT";

    fn tag(coding: Option<Coding>) -> EntityTag {
        EntityTag { content: Fingerprint::parse("abcdefghijklmn23").unwrap(), coding }
    }

    fn check(fields: &[(&'static str, &str)], expected: &Precondition) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let modified = Some(UNIX_EPOCH + Duration::from_secs(60));
        let found = evaluate(&headers, &tag(Some(Coding::Br)), modified);
        assert_eq!(found, *expected, "{fields:?}");
    }

    #[test]
    fn if_none_match_compares_content_whatever_its_coding() {
        let held = |coding| Precondition::NotModified(tag(coding));
        let table = [
            (r#""abcdefghijklmn23-br""#, held(Some(Coding::Br))),
            (r#""abcdefghijklmn23""#, held(None)),
            (r#"W/"abcdefghijklmn23-gzip""#, held(Some(Coding::Gzip))),
            (r#""other", "a,b" , "abcdefghijklmn23""#, held(None)),
            (r#"W/"other",W/"abcdefghijklmn23-zstd", ""#, held(Some(Coding::Zstd))),
            // Suffixes of proxies: the content is the same, the coding is theirs.
            (r#""abcdefghijklmn23--gzip""#, held(None)),
            (r#""abcdefghijklmn23-df""#, held(None)),
            (r#""abcdefghijklmn23-br-gzip""#, held(None)),
            (r#"w/"abcdefghijklmn23""#, Precondition::Proceed),
            (r#""abcdefghijklmn23;gzip""#, Precondition::Proceed),
            (r#""ABCDEFGHIJKLMN23""#, Precondition::Proceed),
            (r#""-br""#, Precondition::Proceed),
            (r#""""#, Precondition::Proceed),
            ("*", held(Some(Coding::Br))),
            (r#""abcdefghijklmn24""#, Precondition::Proceed),
            (r#""abcdefghijklmn23"#, Precondition::Proceed),
            ("abcdefghijklmn23", Precondition::Proceed),
            ("", Precondition::Proceed),
        ];
        for (field, expected) in table {
            check(&[("if-none-match", field)], &expected);
        }
    }

    #[test]
    fn a_coding_that_was_made_later_is_of_the_same_content_and_of_other_bytes() {
        let plain = tag(Some(Coding::Br));
        let content = plain.content.with(&crate::asset::Digest::of(b"made"));
        let made = EntityTag { content, coding: Some(Coding::Br) };
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, made.to_header());
        let held = Precondition::NotModified(made.clone());
        assert_eq!(evaluate(&headers, &plain, None), held);
        assert_eq!(evaluate(&headers, &tag(None), None), held);
        headers.insert(IF_NONE_MATCH, tag(None).to_header());
        assert_eq!(evaluate(&headers, &made, None), Precondition::NotModified(tag(None)));

        headers.clear();
        headers.insert(IF_MATCH, plain.to_header());
        assert_eq!(evaluate(&headers, &made, None), Precondition::Failed);
        assert!(!if_range_holds(&plain.to_string(), &made, None));
        assert!(if_range_holds(&made.to_string(), &made, None));
    }

    #[test]
    fn preconditions_are_evaluated_in_the_order_of_the_standard() {
        let held = Precondition::NotModified(tag(Some(Coding::Br)));
        check(&[], &Precondition::Proceed);
        check(&[("if-modified-since", AT)], &held);
        check(&[("if-modified-since", BEFORE)], &Precondition::Proceed);
        check(&[("if-modified-since", "yesterday")], &Precondition::Proceed);
        // A tag that does not match decides, whatever the date says.
        check(&[("if-none-match", "\"x\""), ("if-modified-since", AT)], &Precondition::Proceed);
        check(&[("if-unmodified-since", BEFORE)], &Precondition::Failed);
        check(&[("if-unmodified-since", AT)], &Precondition::Proceed);
        check(&[("if-match", "\"x\"")], &Precondition::Failed);
        check(&[("if-match", r#"W/"abcdefghijklmn23-br""#)], &Precondition::Failed);
        check(&[("if-match", r#""abcdefghijklmn23""#)], &Precondition::Failed);
        check(&[("if-match", r#""x", "abcdefghijklmn23-br""#)], &Precondition::Proceed);
        check(&[("if-match", "*"), ("if-none-match", "*")], &held);
    }

    #[test]
    fn if_range_allows_a_part_of_exactly_the_same_bytes() {
        let modified = Some(UNIX_EPOCH + Duration::from_secs(60));
        let table = [
            (r#""abcdefghijklmn23-br""#, true),
            (r#""abcdefghijklmn23""#, false),
            (r#"W/"abcdefghijklmn23-br""#, false),
            (AT, true),
            (BEFORE, false),
            ("", false),
        ];
        for (field, expected) in table {
            assert_eq!(
                if_range_holds(field, &tag(Some(Coding::Br)), modified),
                expected,
                "{field}"
            );
        }
        assert!(!if_range_holds(AT, &tag(None), None));
    }
}
