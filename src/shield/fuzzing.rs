//! What the fuzz targets reach of the inside of the shield. It is there only
//! when they are built, and decides nothing.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderValue;
use http_body_util::BodyExt as _;

pub use super::listener::fuzzing::{Admitted, Framed, Seen, Served, framed, served};

use super::body::full;
use super::cache;
use super::multipart::Multipart;
use crate::semantics::range::Span;

/// The file of an entry of the disk tier. The lengths are the caller's to
/// bound: what no entry may have is written all the same.
pub fn encode_entry(key: &[u8], meta: &[u8], body: &[u8], nonce: [u8; 16], epoch: u64) -> Vec<u8> {
    cache::encode(key, meta, body, nonce, epoch)
}

/// The type, the announced length and the body of an answer with these parts
/// of `content`. `None` when the body does not come to its end at once.
pub fn multipart(tag: &str, content: &Bytes, spans: &[Span]) -> Option<(HeaderValue, u64, Bytes)> {
    let multipart = Multipart::of(tag, None, content.len() as u64, spans);
    let (kind, length) = (multipart.content_type(), multipart.length());
    let body = multipart.into_body(|(first, last)| {
        let cut = usize::try_from(first).ok().zip(usize::try_from(last).ok());
        let cut = cut.filter(|(_, last)| *last < content.len());
        full(cut.map_or_else(Bytes::new, |(first, last)| content.slice(first..=last)))
    });
    let body = body.collect().now_or_never()?.ok()?.to_bytes();
    Some((kind, length, body))
}
