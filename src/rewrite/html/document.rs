//! One document on its way through: the bytes that cannot leave yet, and the
//! edits that wait for them.

use std::ops::Range;

use url::Url;

use super::super::css::{self, Extent};
use super::super::excerpt::Excerpt;
use super::super::policy::{Fetch, Policies};
use super::super::replacements::{Occurrence, Replacements};
use super::super::splice::{Edit, splice};
use super::super::{Reason, Reference, Resolver, Site, Summary, json, srcset};
use super::Limits;
use super::oracle::{Found, Oracle, Step};
use super::sites::{Content, Form, Use};

/// Longest `style` or `srcset` value that is looked at, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Document {
    /// `None`: the rest passes as it is.
    oracle: Option<Oracle>,
    limits: Limits,
    page: Url,
    base: Url,
    base_is_final: bool,
    policies: Policies,
    /// Bytes that have not left yet, the first of them at offset `start`.
    held: Vec<u8>,
    start: usize,
    /// In ascending order, none before `start`.
    edits: Vec<Edit>,
    open: Option<Open>,
    /// Within a `noscript`, which cannot hold another.
    nested: bool,
    summary: Summary,
}

/// An element whose content is held back until its end is known.
#[derive(Debug)]
struct Open {
    content: Content,
    at: usize,
}

impl Document {
    pub(super) fn new(page: &Url, limits: Limits) -> Self {
        Self {
            oracle: Oracle::new(limits.tokenizer_bytes_max).ok(),
            limits,
            page: page.clone(),
            base: page.clone(),
            base_is_final: false,
            policies: Policies::default(),
            held: Vec::new(),
            start: 0,
            edits: Vec::new(),
            open: None,
            nested: false,
            summary: Summary::default(),
        }
    }

    /// Takes a Content-Security-Policy into account from here on.
    pub(super) fn policy(&mut self, policy: &str) {
        self.policies.add(policy);
    }

    pub(super) fn write(&mut self, chunk: &[u8], resolver: &dyn Resolver) -> Vec<u8> {
        self.held.extend_from_slice(chunk);
        match self.oracle.as_mut().map(|oracle| oracle.feed(chunk)) {
            Some(step) => self.settle(step, resolver),
            None => self.release(self.end_offset()),
        }
    }

    pub(super) fn end(mut self, resolver: &dyn Resolver) -> (Vec<u8>, Summary) {
        let mut out = Vec::new();
        if let Some(step) = self.oracle.take().map(Oracle::finish) {
            out = self.settle(step, resolver);
        }
        // What is still open never ended, and passes as it is.
        let tail = self.release(self.end_offset());
        out.extend_from_slice(&tail);
        (out, self.summary)
    }

    fn end_offset(&self) -> usize {
        self.start + self.held.len()
    }

    /// Works off what the oracle found, and lets go what is settled.
    fn settle(&mut self, step: Step, resolver: &dyn Resolver) -> Vec<u8> {
        for found in step.found {
            self.look_at(found, resolver);
        }
        if step.failed {
            self.oracle = None;
            self.open = None;
            self.summary.skip(Reason::Memory);
            return self.release(self.end_offset());
        }
        let too_long =
            |open: &mut Open| step.settled.saturating_sub(open.at) > self.limits.capture_bytes_max;
        if let Some(open) = self.open.take_if(too_long) {
            self.summary.skip_at(Reason::Capture, open.at);
        }
        let limit = self.open.as_ref().map_or(step.settled, |open| open.at.min(step.settled));
        self.release(limit)
    }

    fn look_at(&mut self, found: Found, resolver: &dyn Resolver) {
        match found {
            Found::ContentEnd { at } => {
                if let Some(open) = self.open.take() {
                    self.content(open.content, open.at..at, resolver);
                }
            }
            // Within held content nothing else counts.
            _ if self.open.is_some() => {}
            Found::ContentStart { content: Content::Noscript, .. } if self.nested => {}
            Found::ContentStart { at, content } => self.open = Some(Open { content, at }),
            Found::Base { at } => self.set_base(at),
            Found::Policy { at } => {
                let policy = self.text(at);
                self.policy(&policy);
            }
            Found::Value { at, use_, bar } => self.value(at, use_, bar, resolver),
        }
    }

    /// Only the first `base` with an `href` counts, wherever it stands.
    fn set_base(&mut self, at: Range<usize>) {
        if std::mem::replace(&mut self.base_is_final, true) {
            return;
        }
        let href = self.text(at);
        if let Ok(base) = self.page.join(&href)
            && !matches!(base.scheme(), "data" | "javascript")
            && self.policies.admit_base(&base, &self.page)
        {
            self.base = base;
        }
    }

    /// The value of an attribute as text.
    fn text(&self, at: Range<usize>) -> String {
        let raw = self.source(&at).unwrap_or_default();
        Excerpt::attribute(raw, at.start).text().to_owned()
    }

    fn value(
        &mut self,
        at: Range<usize>,
        Use { form, site, loads }: Use,
        bar: Option<Reason>,
        resolver: &dyn Resolver,
    ) {
        if form == Form::Style && self.policies.pin() {
            return self.summary.skip(Reason::Policy);
        }
        let Some(raw) = self.source(&at).filter(|raw| raw.len() <= VALUE_BYTES_MAX) else { return };
        let excerpt = Excerpt::attribute(raw, at.start);
        let text = excerpt.text();
        let replacements = Replacements::new(resolver, &self.page, &self.base);
        let mut replacements = replacements.under(&self.policies, loads);
        let mut consider = |span: Range<usize>| {
            let found = Occurrence { text: &text[span.clone()], span, site, bar };
            replacements.consider(&excerpt, &found);
        };
        match form {
            Form::Url => consider(0..text.len()),
            Form::Srcset => srcset::candidates(text).into_iter().for_each(consider),
            Form::Style => css::references(&excerpt, &mut replacements, Extent::Inline),
        }
        let (edits, summary) = replacements.into_parts();
        self.keep(edits, summary);
    }

    fn content(&mut self, content: Content, at: Range<usize>, resolver: &dyn Resolver) {
        if at.len() > self.limits.capture_bytes_max {
            return self.summary.skip_at(Reason::Capture, at.start);
        }
        if self.policies.pin() && content != Content::Noscript {
            return self.summary.skip(Reason::Policy);
        }
        let Some(raw) = self.source(&at).filter(|raw| !raw.is_empty()) else { return };
        let (edits, summary) = if content == Content::Noscript {
            self.noscript(raw, at.start, resolver)
        } else {
            let excerpt = Excerpt::verbatim(raw, at.start);
            let is_map = content == Content::ImportMap;
            let loads = if is_map { &[Fetch::Script] } else { Fetch::SHEET };
            let as_module = |reference: &Reference<'_>| {
                resolver.resolve(&Reference { site: Site::Module, ..reference.clone() })
            };
            let resolver: &dyn Resolver = if is_map { &as_module } else { resolver };
            let replacements = Replacements::new(resolver, &self.page, &self.base);
            let mut replacements = replacements.under(&self.policies, loads);
            match content {
                Content::ImportMap => json::import_map(&excerpt, &mut replacements),
                _ => css::references(&excerpt, &mut replacements, Extent::Inline),
            }
            replacements.into_parts()
        };
        self.keep(edits, summary);
    }

    /// The edits of a document within this one, by offsets in this one.
    fn noscript(&self, raw: &[u8], offset: usize, resolver: &dyn Resolver) -> (Vec<Edit>, Summary) {
        let mut inner = Self::new(&self.page, self.limits);
        inner.base = self.base.clone();
        inner.base_is_final = true;
        inner.policies = self.policies.clone();
        inner.nested = true;
        inner.collect(raw, offset, resolver)
    }

    /// All edits of a whole document that begins at `offset` of another.
    fn collect(
        mut self,
        raw: &[u8],
        offset: usize,
        resolver: &dyn Resolver,
    ) -> (Vec<Edit>, Summary) {
        self.start = offset;
        self.held = raw.to_vec();
        let Some(mut oracle) = self.oracle.take() else { return (Vec::new(), self.summary) };
        let mut step = oracle.feed(raw);
        if !step.failed {
            let last = oracle.finish();
            step.found.extend(last.found);
            step.failed = last.failed;
        }
        if step.failed {
            self.summary.skip(Reason::Memory);
        }
        for found in step.found {
            self.look_at(found.moved_by(offset), resolver);
        }
        (self.edits, self.summary)
    }

    fn keep(&mut self, edits: Vec<Edit>, summary: Summary) {
        self.edits.extend(edits);
        self.summary.add(summary);
    }

    /// The held bytes in a range of the document.
    fn source(&self, at: &Range<usize>) -> Option<&[u8]> {
        let start = at.start.checked_sub(self.start)?;
        self.held.get(start..at.end.checked_sub(self.start)?)
    }

    /// Lets go the bytes before `limit`, edited.
    fn release(&mut self, limit: usize) -> Vec<u8> {
        let ready = self.edits.partition_point(|edit| edit.at.end <= limit);
        let edits: Vec<Edit> = self.edits.drain(..ready).collect();
        // Never through the middle of an edit that waits.
        let limit = self.edits.first().map_or(limit, |edit| edit.at.start.min(limit));
        let count = limit.saturating_sub(self.start).min(self.held.len());
        let out = splice(&self.held[..count], self.start, &edits);
        self.held.drain(..count);
        self.start += count;
        out
    }
}
