//! The tags of a whole document that decide which modules run in it, in the
//! order in which they stand. What is in a template runs nothing.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lol_html::html_content::EndTag;
use lol_html::send::{Element, ElementContentHandlers, EndTagHandler, HtmlRewriter, Settings};
use lol_html::{MemorySettings, Selector};

use super::super::excerpt::Excerpt;
use super::{Limits, sites};

const HTML: &str = "http://www.w3.org/1999/xhtml";
const TAGS: &str = "script,link,meta,base";
const TEMPLATED: &str = "template script,template link,template meta,template base";

/// A tag, by offsets in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) start: usize,
    /// Where it ends, and its content begins.
    pub(super) end: usize,
    /// What stands before its end tag, if there is one.
    pub(super) content: Option<Range<usize>>,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute, its character references decoded.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let named = |(found, _): &&(String, String)| found == name;
        self.attributes.iter().find(named).map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether an attribute has this value, whatever its case.
    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.value(name).is_some_and(|found| found.trim().eq_ignore_ascii_case(value))
    }

    /// Where another attribute can stand: behind the name.
    pub(super) fn name_end(&self) -> usize {
        self.start + 1 + self.name.len()
    }
}

/// All tags; `None` where the document cannot be understood within `limits`.
pub(super) fn tags(bytes: &[u8], limits: Limits) -> Option<Vec<Tag>> {
    let seen = Seen::default();
    let memory = MemorySettings::new()
        .with_preallocated_parsing_buffer_size(1024)
        .with_max_allowed_memory_usage(limits.tokenizer_bytes_max);
    let settings = Settings::new_send()
        .with_memory_settings(memory)
        .with_strict(false)
        .with_adjust_charset_on_meta_tag(false)
        .append_element_content_handler(templated(&seen)?)
        .append_element_content_handler(each(&seen)?);
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    rewriter.write(bytes).ok()?;
    rewriter.end().ok()?;
    Some(std::mem::take(&mut seen.lock().tags))
}

#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    tags: Vec<Tag>,
    /// Where the last tag within a template begins.
    templated: Option<usize>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Inspection = (Cow<'static, Selector>, ElementContentHandlers<'static>);

fn templated(seen: &Seen) -> Option<Inspection> {
    let seen = seen.clone();
    let note = move |element: &mut Element<'_, '_>| {
        seen.lock().templated = Some(element.source_location().bytes().start);
        Ok(())
    };
    let selector: Selector = TEMPLATED.parse().ok()?;
    Some((Cow::Owned(selector), ElementContentHandlers::default().element(note)))
}

fn each(seen: &Seen) -> Option<Inspection> {
    let seen = seen.clone();
    let note = move |element: &mut Element<'_, '_>| {
        inspect(element, &seen);
        Ok(())
    };
    let selector: Selector = TAGS.parse().ok()?;
    Some((Cow::Owned(selector), ElementContentHandlers::default().element(note)))
}

fn inspect(element: &mut Element<'_, '_>, seen: &Seen) {
    let at = element.source_location().bytes();
    let is_templated = seen.lock().templated == Some(at.start);
    if element.namespace_uri() != HTML || is_templated {
        return;
    }
    let decoded = |value: String| Excerpt::attribute(value.as_bytes(), 0).text().to_owned();
    let attributes = element.attributes().iter();
    let tag = Tag {
        name: element.tag_name(),
        start: at.start,
        end: at.end,
        content: None,
        attributes: attributes.map(|a| (a.name().clone(), decoded(a.value().clone()))).collect(),
    };
    let is_script = tag.name == "script";
    let mut notes = seen.lock();
    notes.tags.push(tag);
    let place = notes.tags.len() - 1;
    drop(notes);
    if is_script {
        let seen = seen.clone();
        let on_end: EndTagHandler<'static> = Box::new(move |end: &mut EndTag<'_>| {
            let end = end.source_location().bytes().start;
            if let Some(tag) = seen.lock().tags.get_mut(place) {
                tag.content = Some(tag.end..end);
            }
            Ok(())
        });
        // Without an end tag the script never runs.
        let _ends = element.on_end_tag(on_end).is_ok();
    }
}

impl Tag {
    /// Whether an author exempted it.
    pub(super) fn is_ignored(&self) -> bool {
        self.has(sites::IGNORE)
    }
}
