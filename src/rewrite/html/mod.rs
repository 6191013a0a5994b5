//! HTML, streaming: bytes go in as they arrive and come out as soon as it is
//! known that no reference in them is still open.
//!
//! The document's own bytes are kept here; the tokenizer is only an oracle
//! that tells how far the document is understood and where its references
//! stand. Whatever happens to the oracle, each byte leaves once and in order.

mod document;
mod modules;
mod oracle;
mod sites;
mod tags;

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::{Reason, Resolver, Summary};
use document::Document;

pub use modules::{ImportMap, PageModules, inject_import_map, page_modules};

/// How much memory one document may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest content of a `style`, `noscript` or import map that is held back
    /// to be rewritten, in bytes. Longer content passes as it is.
    pub capture_bytes_max: usize,
    /// Memory of the tokenizer in bytes: its longest tag, and its open
    /// elements. Beyond it the rest of the document passes as it is. Values
    /// below 4 KiB count as 4 KiB.
    pub tokenizer_bytes_max: usize,
}

impl Limits {
    /// Enough for every page that is not an attack: 256 KiB of inline style,
    /// 4 MiB for the tokenizer.
    pub fn standard() -> Self {
        Self { capture_bytes_max: 256 * 1024, tokenizer_bytes_max: 4 * 1024 * 1024 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::standard()
    }
}

/// Rewrites one HTML document, or a fragment of one, as it streams.
///
/// It never fails: what it cannot understand, or has no memory for, passes as
/// it came in. Of the document at most [`Limits::tokenizer_bytes_max`] and
/// [`Limits::capture_bytes_max`] bytes are held back; in an ordinary page that
/// is one tag, or one `style`.
pub struct HtmlRewriter {
    document: Document,
    resolver: Arc<dyn Resolver>,
}

impl HtmlRewriter {
    /// A rewriter for the document at `page`, the URL by which browsers know
    /// it. Whether its charset can be rewritten is for the caller to ask
    /// [`charset_is_safe`](super::charset_is_safe).
    pub fn new(page: &Url, resolver: Arc<dyn Resolver>, limits: Limits) -> Self {
        Self { document: Document::new(page, limits), resolver }
    }

    /// Tells of the response's `Content-Security-Policy`. Where it pins inline
    /// content by hashes, `style` elements, `style` attributes and import maps
    /// stay as they are; so does every reference that it would not let load
    /// under the new URL, although it does under the old. A policy in the document itself is seen anyway.
    #[must_use]
    pub fn under_policy(mut self, content_security_policy: &str) -> Self {
        self.document.policy(content_security_policy);
        self
    }

    /// Takes the next bytes of the document, and gives those that may leave.
    pub fn write(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.document.write(chunk, &*self.resolver)
    }

    /// The rest of the document, and what was done to the whole of it.
    pub fn end(self) -> (Vec<u8>, Summary) {
        self.document.end(&*self.resolver)
    }
}

impl fmt::Debug for HtmlRewriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HtmlRewriter").field("document", &self.document).finish_non_exhaustive()
    }
}

/// Rewrites a whole HTML document, or a fragment of one, that lies at `page`.
///
/// One in UTF-16 or another charset that cannot be spliced is left alone,
/// judged by its own bytes.
pub fn rewrite_html(
    bytes: &[u8],
    page: &Url,
    resolver: &dyn Resolver,
    limits: Limits,
) -> (Vec<u8>, Summary) {
    rewrite_html_under("", bytes, page, resolver, limits)
}

/// The same, told of the response's `Content-Security-Policy` as
/// [`HtmlRewriter::under_policy`] is; an empty one forbids nothing.
pub fn rewrite_html_under(
    content_security_policy: &str,
    bytes: &[u8],
    page: &Url,
    resolver: &dyn Resolver,
    limits: Limits,
) -> (Vec<u8>, Summary) {
    if !super::charset_is_safe(None, bytes) {
        let mut summary = Summary::default();
        summary.skip(Reason::Charset);
        return (bytes.to_vec(), summary);
    }
    let mut document = Document::new(page, limits);
    document.policy(content_security_policy);
    let mut out = document.write(bytes, resolver);
    let (tail, summary) = document.end(resolver);
    out.extend_from_slice(&tail);
    (out, summary)
}

#[cfg(test)]
mod tests;
