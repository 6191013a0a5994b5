//! Several ranges of a representation as one body: `multipart/byteranges`
//! (RFC 9110 §14.6).
//!
//! Nothing of a request is in it but numbers. The boundary follows from the
//! entity tag, so that the same request gets the same bytes again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::body::{BoxError, ResponseBody, full};
use crate::asset::Digest;
use crate::semantics::range::Span;

/// The parts of a body, and what stands around them.
#[derive(Debug)]
pub(crate) struct Multipart {
    boundary: String,
    /// What stands before the bytes of each part.
    parts: Vec<(String, Span)>,
    end: String,
}

impl Multipart {
    /// These parts of a representation of `size` bytes with this entity tag.
    pub(crate) fn of(
        tag: &str,
        content_type: Option<&HeaderValue>,
        size: u64,
        spans: &[Span],
    ) -> Self {
        // Content that holds the digest of its own tag cannot be made.
        let boundary = Digest::of(tag.as_bytes()).fingerprint().to_string();
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type =
            content_type.map_or_else(String::new, |value| format!("Content-Type: {value}\r\n"));
        let part = |(index, &(first, last)): (usize, &Span)| {
            let before = if index == 0 { "" } else { "\r\n" };
            let range = format!("Content-Range: bytes {first}-{last}/{size}\r\n");
            (format!("{before}--{boundary}\r\n{content_type}{range}\r\n"), (first, last))
        };
        let parts = spans.iter().enumerate().map(part).collect();
        let end = format!("\r\n--{boundary}--\r\n");
        Self { parts, end, boundary }
    }

    /// The type of the whole.
    pub(crate) fn content_type(&self) -> HeaderValue {
        let text = format!("multipart/byteranges; boundary={}", self.boundary);
        // A fingerprint is of `a-z2-7`, so the text is always a value.
        HeaderValue::from_str(&text)
            .unwrap_or_else(|_| HeaderValue::from_static("multipart/byteranges"))
    }

    /// The length of the whole in bytes.
    pub(crate) fn length(&self) -> u64 {
        let part = |(before, (first, last)): &(String, Span)| {
            (before.len() as u64).saturating_add(last - first + 1)
        };
        let parts = self.parts.iter().map(part).fold(0, u64::saturating_add);
        parts.saturating_add(self.end.len() as u64)
    }

    /// The body, made of the bodies of its parts.
    pub(crate) fn into_body(self, mut part: impl FnMut(Span) -> ResponseBody) -> ResponseBody {
        let mut left = VecDeque::with_capacity(2 * self.parts.len() + 1);
        for (before, span) in self.parts {
            left.push_back(full(Bytes::from(before)));
            left.push_back(part(span));
        }
        left.push_back(full(Bytes::from(self.end)));
        Chain(left).boxed_unsync()
    }
}

/// Bodies one after the other. It fails with the first that fails, and ends there.
struct Chain(VecDeque<ResponseBody>);

impl Body for Chain {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(first) = self.0.front_mut() {
            match std::task::ready!(Pin::new(first).poll_frame(cx)) {
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => {
                    self.0.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                None => drop(self.0.pop_front()),
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let mut sum = SizeHint::with_exact(0);
        for hint in self.0.iter().map(Body::size_hint) {
            let upper = sum.upper().zip(hint.upper()).and_then(|(a, b)| a.checked_add(b));
            let lower = sum.lower().saturating_add(hint.lower());
            sum = SizeHint::default();
            sum.set_lower(lower);
            if let Some(upper) = upper.filter(|upper| *upper >= lower) {
                sum.set_upper(upper);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::semantics::range::{Selection, select};
    use crate::shield::body::empty;

    /// A client's reading of a body: the bytes of each part by its offset.
    fn parts(content_type: &str, body: &[u8], size: u64) -> Vec<(Span, Vec<u8>)> {
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let mut rest = body.strip_prefix(format!("--{boundary}").as_bytes()).unwrap();
        let mut parts = Vec::new();
        loop {
            if let Some(after) = rest.strip_prefix(b"--\r\n") {
                assert!(after.is_empty(), "nothing follows the end");
                return parts;
            }
            let head_end = find(rest, b"\r\n\r\n").unwrap();
            let head = std::str::from_utf8(&rest[2..head_end]).unwrap();
            let (kind, range) = head.split_once("\r\n").unwrap();
            assert_eq!(kind, "Content-Type: text/css");
            let range = range.strip_prefix("Content-Range: bytes ").unwrap();
            let (range, total) = range.split_once('/').unwrap();
            assert_eq!(total, size.to_string());
            let (first, last) = range.split_once('-').unwrap();
            let span: Span = (first.parse().unwrap(), last.parse().unwrap());
            // A reader goes by the boundary, not by the numbers.
            rest = &rest[head_end + 4..];
            let delimiter = format!("\r\n--{boundary}");
            let end = find(rest, delimiter.as_bytes()).unwrap();
            parts.push((span, rest[..end].to_vec()));
            rest = &rest[end + delimiter.len()..];
        }
    }

    fn find(text: &[u8], what: &[u8]) -> Option<usize> {
        text.windows(what.len()).position(|window| window == what)
    }

    fn read(body: ResponseBody) -> Result<Bytes, BoxError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Ok(runtime.block_on(body.collect())?.to_bytes())
    }

    fn multipart(size: u64, spans: &[Span]) -> Multipart {
        Multipart::of("\"a-br\"", Some(&HeaderValue::from_static("text/css")), size, spans)
    }

    proptest! {
        #[test]
        fn any_parts_reassemble_to_the_bytes_that_were_asked_for(
            content in vec(any::<u8>(), 1..300),
            asked in vec((0_usize..300, 0_usize..60), 1..16),
        ) {
            let ranges = asked.iter().map(|(first, more)| format!("{first}-{}", first + more));
            let field = format!("bytes={}", ranges.collect::<Vec<_>>().join(","));
            let size = content.len() as u64;
            let Selection::Parts(spans) = select(&field, size) else { return Ok(()) };

            let multipart = multipart(size, &spans);
            let (kind, length) = (multipart.content_type(), multipart.length());
            let cut = |(first, last): Span| &content[first as usize..=last as usize];
            let body = multipart.into_body(|span| full(Bytes::copy_from_slice(cut(span))));
            prop_assert_eq!(body.size_hint().exact(), Some(length));
            let sent = read(body).unwrap();
            prop_assert_eq!(sent.len() as u64, length);

            let found = parts(kind.to_str().unwrap(), &sent, size);
            let order: Vec<Span> = found.iter().map(|(span, _)| *span).collect();
            prop_assert_eq!(order, spans);
            for (span, bytes) in found {
                prop_assert_eq!(&bytes[..], cut(span));
            }
        }
    }

    #[test]
    fn the_same_tag_has_the_same_boundary_and_another_one_another() {
        let boundary = |tag| Multipart::of(tag, None, 9, &[(0, 0), (2, 2)]).boundary;
        assert_eq!(boundary("\"a\""), boundary("\"a\""));
        assert_ne!(boundary("\"a\""), boundary("\"a-br\""));
    }

    #[test]
    fn a_part_that_fails_ends_the_body_with_its_failure() {
        let mut bodies = 0;
        let body = multipart(9, &[(0, 0), (2, 2)]).into_body(|_| {
            bodies += 1;
            let failing = http_body_util::StreamBody::new(futures_util::stream::iter([Err(
                BoxError::from("scripted"),
            )]));
            if bodies == 1 { failing.boxed_unsync() } else { empty() }
        });
        assert_eq!(read(body).unwrap_err().to_string(), "scripted");
    }
}
