//! The tokenizer: where in the stream references stand, and how far the
//! document is understood. This is the only place that names lol_html.
//!
//! lol_html changes nothing here. Its output is discarded but for its length,
//! which is how many bytes of the document it has done with.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lol_html::errors::SelectorError;
use lol_html::html_content::{Attribute, EndTag, SourceLocation};
use lol_html::send::{Element, ElementContentHandlers, EndTagHandler, HtmlRewriter, Settings};
use lol_html::{MemorySettings, OutputSink, Selector};

use super::super::{Reason, Site};
use super::sites::{self, Content, Form, Use};

/// Less would not hold the tokenizer's own tables.
const MEMORY_BYTES_MIN: usize = 4 * 1024;

const SVG: &str = "http://www.w3.org/2000/svg";
const HTML: &str = "http://www.w3.org/1999/xhtml";

/// Something in the document, by its offset in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// The value of an attribute that holds references.
    Value { at: Range<usize>, use_: Use, bar: Option<Reason> },
    /// The `href` of a `base`.
    Base { at: Range<usize> },
    /// The `content` of a `meta` with a Content-Security-Policy.
    Policy { at: Range<usize> },
    /// Content that is not HTML to the tokenizer begins.
    ContentStart { at: usize, content: Content },
    /// It ends.
    ContentEnd { at: usize },
}

impl Found {
    /// The same, in a document that has `offset` bytes before this one.
    pub(super) fn moved_by(self, offset: usize) -> Self {
        let moved = |at: Range<usize>| at.start + offset..at.end + offset;
        match self {
            Self::Value { at, use_, bar } => Self::Value { at: moved(at), use_, bar },
            Self::Base { at } => Self::Base { at: moved(at) },
            Self::Policy { at } => Self::Policy { at: moved(at) },
            Self::ContentStart { at, content } => Self::ContentStart { at: at + offset, content },
            Self::ContentEnd { at } => Self::ContentEnd { at: at + offset },
        }
    }
}

/// What is known after some input.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) found: Vec<Found>,
    /// The document is understood up to here, in bytes from its start.
    pub(super) settled: usize,
    /// The oracle gave up and must not be asked again.
    pub(super) failed: bool,
}

/// Tokenizes one document.
pub(super) struct Oracle {
    rewriter: HtmlRewriter<'static, Settled>,
    seen: Seen,
}

impl Oracle {
    pub(super) fn new(memory_bytes_max: usize) -> Result<Self, SelectorError> {
        let seen = Seen::default();
        let memory = memory_bytes_max.max(MEMORY_BYTES_MIN);
        let settings = Settings::new_send()
            .with_memory_settings(
                MemorySettings::new()
                    .with_preallocated_parsing_buffer_size(MEMORY_BYTES_MIN / 4)
                    .with_max_allowed_memory_usage(memory)
                    .with_graceful_bail_out_on_memory_limit_exceeded(true),
            )
            // Strict aborts on markup that browsers accept.
            .with_strict(false)
            .with_adjust_charset_on_meta_tag(false)
            .append_element_content_handler(templates(&seen)?)
            .append_element_content_handler(elements(&seen)?);
        Ok(Self { rewriter: HtmlRewriter::new(settings, Settled(seen.clone())), seen })
    }

    /// Takes the next bytes. After a failure the oracle is of no more use.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Step {
        let failed = self.rewriter.write(chunk).is_err();
        self.seen.step(failed)
    }

    /// The document has ended.
    pub(super) fn finish(self) -> Step {
        let failed = self.rewriter.end().is_err();
        self.seen.step(failed)
    }
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oracle").field("seen", &self.seen).finish_non_exhaustive()
    }
}

type Inspection = (Cow<'static, Selector>, ElementContentHandlers<'static>);

fn templates(seen: &Seen) -> Result<Inspection, SelectorError> {
    let seen = seen.clone();
    let handlers =
        ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| {
            seen.lock().templated = Some(element.source_location().bytes().start);
            Ok(())
        });
    Ok((Cow::Owned(sites::TEMPLATE_BASE.parse()?), handlers))
}

fn elements(seen: &Seen) -> Result<Inspection, SelectorError> {
    let seen = seen.clone();
    let handlers =
        ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| {
            inspect(element, &seen);
            Ok(())
        });
    Ok((Cow::Owned(sites::SELECTOR.parse()?), handlers))
}

fn inspect(element: &mut Element<'_, '_>, seen: &Seen) {
    let tag = element.tag_name();
    let is_html = element.namespace_uri() == HTML;
    if is_html {
        inspect_context(element, &tag, seen);
    }
    if element.has_attribute(sites::IGNORE) {
        return;
    }
    inspect_values(element, &tag, seen);
    if is_html {
        inspect_content(element, &tag, seen);
    }
}

/// Notes what decides on other elements, so no author can exempt it.
fn inspect_context(element: &Element<'_, '_>, tag: &str, seen: &Seen) {
    match tag {
        "base" if element.has_attribute("href") => {
            let tag_start = element.source_location().bytes().start;
            let mut seen = seen.lock();
            if seen.templated != Some(tag_start) {
                // Without a value it is the empty URL, and still the first.
                seen.found.push(Found::Base { at: place(element, "href").unwrap_or_default() });
            }
        }
        "meta" if is(element, "http-equiv", "content-security-policy") => {
            if let Some(at) = place(element, "content") {
                seen.lock().found.push(Found::Policy { at });
            }
        }
        _ => {}
    }
}

fn inspect_values(element: &Element<'_, '_>, tag: &str, seen: &Seen) {
    let value = |name: &str| element.get_attribute(name).unwrap_or_default();
    let (rel, as_) = (value("rel"), value("as"));
    let spots = match element.namespace_uri() {
        HTML => sites::html(tag, &rel, &as_, &value("type")),
        SVG => sites::svg(tag),
        _ => &[],
    };
    let integrity = element.has_attribute("integrity").then_some(Reason::Integrity);
    let credentials = is(element, "crossorigin", "use-credentials").then_some(Reason::Credentials);
    let style = ("style", Form::Style, Site::Plain);
    let mut values = Vec::new();
    for &(name, form, site) in spots.iter().chain([&style]) {
        let Some(at) = place(element, name) else { continue };
        let credentials = credentials.filter(|_| matches!(site, Site::Plain | Site::Module));
        let bar = integrity.or(credentials).filter(|_| form != Form::Style);
        let loads = sites::loads(tag, name, &rel, &as_);
        values.push((at.start, Found::Value { at, use_: Use { form, site, loads }, bar }));
    }
    // In the order of the document, which is the author's and not the table's.
    values.sort_by_key(|(start, _)| *start);
    seen.lock().found.extend(values.into_iter().map(|(_, value)| value));
}

fn inspect_content(element: &mut Element<'_, '_>, tag: &str, seen: &Seen) {
    match tag {
        "style" => enter(element, Content::Style, seen),
        "noscript" => enter(element, Content::Noscript, seen),
        "script" if is(element, "type", "importmap") => enter(element, Content::ImportMap, seen),
        _ => {}
    }
}

/// Whether the attribute has this value, whatever its case.
fn is(element: &Element<'_, '_>, name: &str, value: &str) -> bool {
    element.get_attribute(name).is_some_and(|found| found.trim().eq_ignore_ascii_case(value))
}

/// Notes where the content of `element` begins, and where it will end.
fn enter(element: &mut Element<'_, '_>, content: Content, seen: &Seen) {
    let at = element.source_location().bytes().end;
    let ends = seen.clone();
    let on_end: EndTagHandler<'static> = Box::new(move |end: &mut EndTag<'_>| {
        ends.lock().found.push(Found::ContentEnd { at: end.source_location().bytes().start });
        Ok(())
    });
    if element.on_end_tag(on_end).is_ok() {
        seen.lock().found.push(Found::ContentStart { at, content });
    }
}

/// Where the value of the first attribute of this name stands.
fn place(element: &Element<'_, '_>, name: &str) -> Option<Range<usize>> {
    let named = |attribute: &&Attribute<'_>| attribute.name().eq_ignore_ascii_case(name);
    let location = element.attributes().iter().find(named)?.value_source_location();
    location.map(|location: SourceLocation| location.bytes())
}

/// What the tokenizer has told so far; it owns the other ends of this.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    found: Vec<Found>,
    settled: usize,
    /// Where the last `base` within a template begins.
    templated: Option<usize>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, failed: bool) -> Step {
        let mut notes = self.lock();
        Step { found: std::mem::take(&mut notes.found), settled: notes.settled, failed }
    }
}

/// The sink: counts.
struct Settled(Seen);

impl OutputSink for Settled {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.lock().settled += chunk.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selectors_are_well_formed() {
        assert!(Oracle::new(0).is_ok());
    }
}
