//! Validators of rewritten pages.
//!
//! A rewritten page changes when its upstream changes it or when the release
//! does, so its tag names both: `W/"<upstream's>-<release>"`. It is weak,
//! because two rewritings of one page need not agree in every byte.

use http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED};

/// Longest tag that is translated; a longer one is left out.
const TAG_BYTES_MAX: usize = 256;

/// The tag of the page that an upstream tags with `upstream`. Some upstreams
/// forget the quotes.
pub(super) fn own(upstream: &[u8], release: &str) -> Option<HeaderValue> {
    let opaque = opaque(upstream.strip_prefix(b"W/").unwrap_or(upstream))?;
    let opaque = std::str::from_utf8(opaque).ok()?;
    HeaderValue::try_from(format!("W/\"{opaque}-{release}\"")).ok()
}

/// A visitor's `If-None-Match`, in terms of the upstream.
#[derive(Debug, Default)]
pub(crate) struct Translated {
    upstream: Option<HeaderValue>,
    release: String,
    opaque: Vec<String>,
}

impl Translated {
    pub(super) fn of(headers: &HeaderMap, release: &str) -> Self {
        let mut found = Self { release: release.to_owned(), ..Self::default() };
        let mut tags = Vec::new();
        let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
        for tag in lines.flat_map(split) {
            match found.read(tag) {
                Some(ours) => tags.extend(ours),
                None => tags.push(tag.to_owned()),
            }
        }
        found.upstream = HeaderValue::try_from(tags.join(", ")).ok().filter(|v| !v.is_empty());
        found
    }

    /// What to send to the upstream.
    pub(crate) fn if_none_match(&self) -> Option<&HeaderValue> {
        self.upstream.as_ref()
    }

    /// Gives a `304` of the upstream the tag that the visitor knows. Tells
    /// whether it is one of a rewritten page.
    pub(super) fn restore(&self, headers: &mut HeaderMap) -> bool {
        let own = headers.get(ETAG).and_then(|tag| own(tag.as_bytes(), &self.release));
        let known = |own: &HeaderValue| {
            self.opaque.iter().any(|opaque| own.as_bytes() == self.tag_of(opaque).as_bytes())
        };
        let Some(own) = own.filter(known) else { return false };
        headers.insert(ETAG, own);
        // As in the page itself: the date is of other bytes.
        headers.remove(LAST_MODIFIED);
        true
    }

    /// The upstream's forms of one of our tags; none when it is of another
    /// release, because then the page has changed. `None` for a tag that is
    /// not ours.
    fn read(&mut self, tag: &str) -> Option<Vec<String>> {
        let inner = tag.strip_prefix("W/\"")?.strip_suffix('"')?;
        let (opaque, release) = inner.rsplit_once('-')?;
        let plausible = release.len() == self.release.len();
        if !plausible || !release.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        if release != self.release {
            return Some(Vec::new());
        }
        self.opaque.push(opaque.to_owned());
        // Which form the upstream gave is not known, and not all compare weakly.
        Some(vec![format!("\"{opaque}\""), format!("W/\"{opaque}\"")])
    }

    fn tag_of(&self, opaque: &str) -> String {
        format!("W/\"{opaque}-{}\"", self.release)
    }
}

fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let quoted = tag.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let opaque = quoted.unwrap_or(tag);
    let plain = |b: &u8| b.is_ascii_graphic() && *b != b'"';
    (!opaque.is_empty() && opaque.len() <= TAG_BYTES_MAX && opaque.iter().all(plain))
        .then_some(opaque)
}

/// The tags of a list; a comma may stand inside quotes.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let tags = line.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    tags.map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "0123456789ab";

    #[test]
    fn a_page_is_tagged_by_its_upstream_and_its_release() {
        for (upstream, tag) in [
            ("\"abc\"", Some("W/\"abc-0123456789ab\"")),
            ("W/\"abc\"", Some("W/\"abc-0123456789ab\"")),
            ("f1235", Some("W/\"f1235-0123456789ab\"")),
            ("\"\"", None),
            ("\"a\"b\"", None),
        ] {
            let found = own(upstream.as_bytes(), RELEASE);
            assert_eq!(found.as_ref().map(|tag| tag.to_str().unwrap()), tag, "{upstream}");
        }
    }

    #[test]
    fn a_visitors_tags_are_translated_back_for_the_upstream() {
        for (sent, upstream) in [
            ("W/\"abc-0123456789ab\"", Some("\"abc\", W/\"abc\"")),
            ("W/\"a-b,c-0123456789ab\"", Some("\"a-b,c\", W/\"a-b,c\"")),
            ("W/\"abc-aaaaaaaaaaaa\"", None),
            ("\"image\", W/\"abc-aaaaaaaaaaaa\"", Some("\"image\"")),
            ("\"abc-0123456789ab\"", Some("\"abc-0123456789ab\"")),
            ("W/\"abc-def\"", Some("W/\"abc-def\"")),
            ("*", Some("*")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(sent).unwrap());
            let translated = Translated::of(&headers, RELEASE);
            let found = translated.if_none_match().map(|value| value.to_str().unwrap());
            assert_eq!(found, upstream, "{sent}");
        }
    }

    #[test]
    fn a_304_gets_the_tag_the_visitor_sent_back() {
        for (sent, upstream, tag) in [
            ("W/\"abc-0123456789ab\"", "\"abc\"", "W/\"abc-0123456789ab\""),
            ("W/\"abc-0123456789ab\"", "W/\"abc\"", "W/\"abc-0123456789ab\""),
            ("\"image\"", "\"image\"", "\"image\""),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(sent).unwrap());
            let translated = Translated::of(&headers, RELEASE);
            let mut response = HeaderMap::new();
            response.insert(ETAG, HeaderValue::from_str(upstream).unwrap());
            assert_eq!(translated.restore(&mut response), tag != upstream);
            assert_eq!(response[ETAG], tag);
        }
    }
}
