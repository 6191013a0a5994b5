//! What becomes of each reference of a document: the one place that decides.
//!
//! It resolves the URL as a browser does, asks the resolver, keeps to the
//! policy on queries and fragments, and lets nothing into a document that is
//! not safe in every place where a URL can stand.

use std::ops::Range;

use url::Url;

use super::excerpt::Excerpt;
use super::policy::{Fetch, Policies};
use super::splice::{Edit, splice};
use super::{PropertyUse, Reason, Reference, Resolver, Site, Summary};

/// Longest URL that is looked at, in bytes. An asset path of 900 bytes has
/// 2,700 when percent-encoded; what is longer, such as `data:`, is never ours.
const URL_BYTES_MAX: usize = 8 * 1024;

/// Query parameters that name no content, only a version of it.
const CACHE_BUSTERS: [&str; 5] = ["_", "dpl", "t", "v", "ver"];

/// The edits that a document, or a part of one, gets.
pub(super) struct Replacements<'r> {
    resolver: &'r dyn Resolver,
    /// Where the document is.
    document: &'r Url,
    /// What its relative URLs are relative to.
    base: &'r Url,
    /// What the document's policies are, and what its references here fetch.
    ruled: Option<(&'r Policies, &'static [Fetch])>,
    edits: Vec<Edit>,
    summary: Summary,
}

/// A URL found in an excerpt.
pub(super) struct Occurrence<'a> {
    /// Its text, without the escapes of the format it was found in.
    pub(super) text: &'a str,
    /// Where in the excerpt's text it stands, escapes included.
    pub(super) span: Range<usize>,
    pub(super) site: Site,
    /// Why it must stay as it is even if it is ours.
    pub(super) bar: Option<Reason>,
}

impl<'r> Replacements<'r> {
    pub(super) fn new(resolver: &'r dyn Resolver, document: &'r Url, base: &'r Url) -> Self {
        let (edits, summary) = (Vec::new(), Summary::default());
        Self { resolver, document, base, ruled: None, edits, summary }
    }

    /// Leaves alone what `policies` would no longer let load as one of `loads`.
    pub(super) fn under(mut self, policies: &'r Policies, loads: &'static [Fetch]) -> Self {
        self.ruled = Some((policies, loads));
        self
    }

    /// Decides on one occurrence, and tells whether it is replaced. Occurrences
    /// come in the order of the document.
    pub(super) fn consider(&mut self, excerpt: &Excerpt<'_>, found: &Occurrence<'_>) -> bool {
        if found.text.len() > URL_BYTES_MAX || !excerpt.is_legible(&found.span) {
            return false;
        }
        let Some(url) = self.resolve(found.text) else { return false };
        let wording = Wording::of(excerpt, found);
        let answer = self.resolver.resolve(&wording.reference(&url, found.site));
        self.take(found, &wording, &url, answer)
    }

    /// Decides on one occurrence that is relative, and stands in the value of
    /// the custom property `name`.
    pub(super) fn consider_in(
        &mut self,
        name: &str,
        excerpt: &Excerpt<'_>,
        found: &Occurrence<'_>,
    ) {
        if found.text.len() > URL_BYTES_MAX || !excerpt.is_legible(&found.span) {
            return;
        }
        let Some(url) = self.resolve(found.text) else { return };
        let wording = Wording::of(excerpt, found);
        let reference = wording.reference(&url, found.site);
        match self.resolver.resolve_in_property(name, &reference) {
            None => self.skip(Reason::Property),
            answer => {
                self.take(found, &wording, &url, answer);
            }
        }
    }

    /// Tells the resolver of a `var()`.
    pub(super) fn see_use(&self, name: &str, within: Option<&str>) {
        self.resolver.see_use(&PropertyUse { name, within, base: self.base });
    }

    fn take(
        &mut self,
        found: &Occurrence<'_>,
        wording: &Wording<'_>,
        url: &Url,
        answer: Option<String>,
    ) -> bool {
        let Some(answer) = answer else { return false };
        match self.edit(found, wording, url, &answer) {
            Ok(edit) => {
                self.edits.push(edit);
                self.summary.rewritten += 1;
                true
            }
            Err(reason) => {
                self.skip(reason);
                false
            }
        }
    }

    /// Adds what has to change together with the occurrence before it.
    pub(super) fn also(&mut self, edit: Edit) {
        self.edits.push(edit);
    }

    /// Puts a path in the place of a relative URL, so that it names the same
    /// from wherever the document is read. What a path cannot be written for
    /// with characters that are safe everywhere stays.
    pub(super) fn anchor(&mut self, excerpt: &Excerpt<'_>, text: &str, span: Range<usize>) {
        let text = text.trim_matches(is_trimmed);
        let names_document = text.is_empty() || text.starts_with('#');
        let rooted = text.starts_with(['/', '\\']) || Url::parse(text).is_ok();
        if names_document || rooted || !excerpt.is_legible(&span) {
            return;
        }
        let Ok(url) = self.base.join(text) else { return };
        let path = &url[url::Position::BeforePath..];
        let plain = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
        if plain && !path.starts_with("//") {
            self.edits.push(Edit { at: excerpt.place(&span), text: path.to_owned() });
        }
    }

    /// Counts something that was left alone.
    pub(super) fn skip(&mut self, reason: Reason) {
        self.summary.skip(reason);
    }

    /// Counts something that was left alone at `offset` of the document.
    pub(super) fn skip_at(&mut self, reason: Reason, offset: usize) {
        self.summary.skip_at(reason, offset);
    }

    /// The URL that `text` names, if it can be an asset's at all.
    pub(super) fn resolve(&self, text: &str) -> Option<Url> {
        let text = text.trim_matches(is_trimmed);
        // An empty or fragment-only reference names the document itself.
        if text.is_empty() || text.starts_with('#') || text.contains('\u{fffd}') {
            return None;
        }
        self.base.join(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    }

    /// The document with all edits applied.
    pub(super) fn apply(self, source: &[u8]) -> (Vec<u8>, Summary) {
        (splice(source, 0, &self.edits), self.summary)
    }

    pub(super) fn into_parts(self) -> (Vec<Edit>, Summary) {
        (self.edits, self.summary)
    }

    fn edit(
        &self,
        found: &Occurrence<'_>,
        wording: &Wording<'_>,
        url: &Url,
        answer: &str,
    ) -> Result<Edit, Reason> {
        if let Some(reason) = found.bar {
            return Err(reason);
        }
        if !has_only_cache_busters(url) {
            return Err(Reason::Query);
        }
        if !is_safe_url(answer) {
            return Err(Reason::Alphabet);
        }
        if answer.starts_with('/') && self.base.origin() != self.document.origin() {
            return Err(Reason::Base);
        }
        if let (Some((policies, loads)), Ok(to)) = (self.ruled, self.base.join(answer))
            && policies.bar(loads, url, &to, self.document)
        {
            return Err(Reason::Policy);
        }
        wording.replaced_by(answer)
    }
}

/// How a reference is written.
struct Wording<'a> {
    /// Without the spaces around it.
    text: &'a str,
    /// Where in the document the text stands.
    place: Range<usize>,
    /// Whether it stands there without escapes.
    verbatim: bool,
}

impl<'a> Wording<'a> {
    fn of(excerpt: &Excerpt<'_>, found: &Occurrence<'a>) -> Self {
        let text = found.text.trim_matches(is_trimmed);
        let place = excerpt.place(&found.span);
        let verbatim = excerpt.source(&found.span) == found.text.as_bytes();
        if !verbatim {
            return Self { text, place, verbatim };
        }
        let start =
            place.start + (found.text.len() - found.text.trim_start_matches(is_trimmed).len());
        Self { text, place: start..start + text.len(), verbatim }
    }

    fn reference(&self, url: &'a Url, site: Site) -> Reference<'a> {
        Reference { offset: self.place.start, text: self.text, url, site }
    }

    /// Puts `answer` in the place of everything before the fragment.
    fn replaced_by(&self, answer: &str) -> Result<Edit, Reason> {
        let suffix = &self.text[suffix_start(self.text)..];
        if self.verbatim {
            // The suffix stays where it is, byte for byte.
            let end = self.place.end - suffix.len();
            return Ok(Edit { at: self.place.start..end, text: answer.to_owned() });
        }
        if !suffix.bytes().all(|b| is_safe(b) || matches!(b, b'?' | b'#' | b'=')) {
            return Err(Reason::Suffix);
        }
        Ok(Edit { at: self.place.clone(), text: format!("{answer}{suffix}") })
    }
}

/// Where the fragment begins, or the `?#` of `font.eot?#iefix`.
fn suffix_start(text: &str) -> usize {
    match text.find('#') {
        None => text.len(),
        Some(hash) if text.find('?') == hash.checked_sub(1) => hash.saturating_sub(1),
        Some(hash) => hash,
    }
}

/// Whether the query of `url` names no content, only a version of it: only then
/// is a reference replaced.
pub fn has_only_cache_busters(url: &Url) -> bool {
    let name =
        |pair: &str| pair.split('=').next().is_some_and(|name| CACHE_BUSTERS.contains(&name));
    url.query().is_none_or(|query| query.is_empty() || query.split('&').all(name))
}

/// Whether `url` is a plain `http(s)` URL, or a path, of characters that need
/// no escape in attributes (quoted or not), `srcset`, CSS and JSON.
fn is_safe_url(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme).filter(|s| !s.contains('/'));
    let known = scheme.is_none_or(|s| matches!(s, "http" | "https"));
    known && !url.is_empty() && !url.starts_with("//") && url.bytes().all(is_safe)
}

fn is_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~/:%[]".contains(&b)
}

/// What the URL parser strips from both ends: C0 controls and spaces.
fn is_trimmed(c: char) -> bool {
    c <= ' '
}

#[cfg(test)]
mod tests;
