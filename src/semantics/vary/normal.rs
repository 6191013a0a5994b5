//! Selecting fields in one form for all that means the same (RFC 9111 §4.1:
//! lines joined, space removed where it does not matter, case where the field
//! does not know it, order where it has weights).

use http::header::{ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::semantics::encoding::{self, AcceptEncoding, Coding};
use crate::semantics::field;

/// Members of a list that are put in order; longer lists are taken as written.
const ORDERED_MAX: usize = 32;

/// What a request accepts of codings, in as many forms as an upstream is asked
/// in: three. A key may hold it only if the upstream is sent exactly that.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AcceptedCoding {
    /// No coding.
    Identity,
    /// gzip.
    Gzip,
    /// Brotli, and gzip from who has no Brotli.
    BrotliOrGzip,
}

impl AcceptedCoding {
    /// What a request accepts.
    pub fn of(request: &HeaderMap) -> Self {
        let lines = request.get_all(ACCEPT_ENCODING).into_iter();
        let accepted = AcceptEncoding::parse(lines.filter_map(|line| line.to_str().ok()));
        let gzip = accepted.prefer([Coding::Gzip]).is_some();
        match accepted.prefer([Coding::Br, Coding::Gzip]) {
            Some(Coding::Br) if gzip => Self::BrotliOrGzip,
            _ if gzip => Self::Gzip,
            _ => Self::Identity,
        }
    }

    /// The `Accept-Encoding` to send to an upstream.
    pub fn to_header(self) -> HeaderValue {
        HeaderValue::from_static(self.text())
    }

    fn text(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::BrotliOrGzip => "br, gzip",
        }
    }
}

/// A field of a request, normalised; `None` when it is not there.
pub(super) fn value(request: &HeaderMap, name: &HeaderName) -> Option<String> {
    if *name == ACCEPT_ENCODING {
        // A request without one is asked for like one that accepts nothing.
        return Some(AcceptedCoding::of(request).text().to_owned());
    }
    if !request.contains_key(name) {
        return None;
    }
    // Pairs are separated by semicolons, in HTTP/2 also by lines (RFC 9113 §8.2.3).
    let separator: &[u8] = if *name == COOKIE { b"; " } else { b"," };
    let lines: Vec<&[u8]> = request.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let text = match String::from_utf8(lines.join(separator)) {
        Ok(text) => text,
        // The NUL, which no field holds, keeps it apart from what looks like it.
        Err(bytes) => return Some(format!("\0{}", bytes.as_bytes().escape_ascii())),
    };
    if *name == COOKIE {
        return Some(text);
    }
    let members: Vec<&str> = field::split(&text).collect();
    let weighed = [ACCEPT, ACCEPT_CHARSET, ACCEPT_LANGUAGE].contains(name);
    let ordered = weighed.then(|| by_weight(&members)).flatten();
    Some(ordered.unwrap_or_else(|| members.join(",")))
}

/// Members with weights, in lower case: the greatest weight first, and equal
/// ones in the order of the alphabet (RFC 9110 §12.4.2: order says nothing).
///
/// `None` where a member is not understood; then the list is left as it is.
fn by_weight(members: &[&str]) -> Option<String> {
    if members.len() > ORDERED_MAX {
        return None;
    }
    let weighed: Option<Vec<_>> = members.iter().map(|text| encoding::member(text)).collect();
    let mut weighed = weighed?;
    weighed.sort_by_cached_key(|(name, weight)| (u16::MAX - weight, name.to_ascii_lowercase()));
    let texts: Vec<String> = weighed
        .into_iter()
        .map(|(name, weight)| match weight {
            1000 => name.to_ascii_lowercase(),
            weight => format!("{};q=0.{weight:03}", name.to_ascii_lowercase()),
        })
        .collect();
    Some(texts.join(","))
}
