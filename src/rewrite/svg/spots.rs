//! One pass over the events of an XML reader, without recursion.

use encoding_rs::Encoding;
use quick_xml::events::attributes::{AttrError, Attribute};
use quick_xml::events::{BytesDecl, BytesPI, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::super::Reason;
use super::super::excerpt::XmlPart;
use super::sites::{self, Form};

/// Elements that may be open at once. Browsers give up earlier.
const DEPTH_MAX: usize = 4096;

const SVG: &[u8] = b"http://www.w3.org/2000/svg";
const XLINK: &[u8] = b"http://www.w3.org/1999/xlink";

/// The attribute by which an author exempts an element.
const IGNORE: &[u8] = b"data-awning-ignore";

/// A place that may hold references.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) form: Form,
    /// The text, in order, by its place in the file.
    pub(super) parts: Vec<XmlPart>,
}

/// All places in `xml` that may hold references, in order. An error says why
/// the file is not to be touched, and where that was seen, in bytes.
pub(super) fn spots(xml: &str) -> Result<Vec<Spot>, (Reason, usize)> {
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().check_comments = true;
    let mut walk = Walk { xml, depth: 0, rooted: false, sheet: None, spots: Vec::new() };
    let mut event_at = 0;
    walk_all(&mut reader, &mut walk, &mut event_at).map_err(|reason| {
        // The reader has a place for an error of its own only.
        let at = reader.error_position().max(event_at);
        (reason, usize::try_from(at).unwrap_or(xml.len()))
    })?;
    Ok(walk.spots)
}

/// `event_at` is where the event begins that is looked at.
fn walk_all(
    reader: &mut NsReader<&[u8]>,
    walk: &mut Walk<'_>,
    event_at: &mut u64,
) -> Result<(), Reason> {
    loop {
        *event_at = reader.buffer_position();
        let (namespace, event) = reader.read_resolved_event().map_err(|_| Reason::Syntax)?;
        let svg = is_or_may_be(&namespace, SVG);
        match event {
            Event::Start(start) => {
                walk.element(reader, &start, svg)?;
                walk.open(&start, svg)?;
            }
            Event::Empty(start) => {
                walk.element(reader, &start, svg)?;
                walk.rooted = true;
            }
            Event::End(_) => walk.close(),
            Event::Decl(decl) => check_encoding(&decl)?,
            Event::PI(instruction) => walk.instruction(&instruction),
            Event::Text(text) => walk.content(&text, 0, true),
            Event::GeneralRef(name) => walk.content(&name, 1, true),
            Event::CData(text) => walk.content(&text, 0, false),
            Event::Eof => break,
            Event::Comment(_) | Event::DocType(_) => {}
        }
    }
    if walk.depth != 0 || !walk.rooted {
        return Err(Reason::Syntax);
    }
    Ok(())
}

struct Walk<'a> {
    xml: &'a str,
    /// Elements that are open.
    depth: usize,
    /// Whether the root element has begun.
    rooted: bool,
    /// The text of the `style` that is open, and its depth.
    sheet: Option<(Vec<XmlPart>, usize)>,
    spots: Vec<Spot>,
}

impl Walk<'_> {
    fn element(
        &mut self,
        reader: &NsReader<&[u8]>,
        start: &BytesStart<'_>,
        svg: bool,
    ) -> Result<(), Reason> {
        let attributes: Result<Vec<Attribute<'_>>, AttrError> = start.attributes().collect();
        let attributes = attributes.map_err(|_| Reason::Syntax)?;
        if !svg || attributes.iter().any(|attribute| attribute.key.as_ref() == IGNORE) {
            return Ok(());
        }
        let element = start.local_name();
        for attribute in &attributes {
            let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
            let own = attribute.key.prefix().is_none();
            let linked = own || is_or_may_be(&namespace, XLINK);
            let form = match name.as_ref() {
                b"href" if linked => sites::href(element.as_ref()),
                name if own => sites::attribute(name),
                _ => None,
            };
            if let Some(form) = form {
                self.see(form, &attribute.value);
            }
        }
        Ok(())
    }

    fn open(&mut self, start: &BytesStart<'_>, svg: bool) -> Result<(), Reason> {
        self.rooted = true;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Reason::Memory);
        }
        if svg && self.sheet.is_none() && start.local_name().as_ref() == b"style" && is_css(start) {
            self.sheet = Some((Vec::new(), self.depth));
        }
        Ok(())
    }

    fn close(&mut self) {
        let depth = self.depth;
        if let Some((parts, _)) = self.sheet.take_if(|(_, at)| *at == depth) {
            self.spots.push(Spot { form: Form::Style, parts });
        }
        self.depth = depth.saturating_sub(1);
    }

    /// Text within an element; its marks are `around` bytes on both sides.
    fn content(&mut self, text: &[u8], around: usize, escaped: bool) {
        let depth = self.depth;
        let part = self.part(text, around, escaped);
        if let Some((parts, _)) = self.sheet.as_mut().filter(|(_, at)| *at == depth) {
            parts.push(part);
        }
    }

    /// `<?xml-stylesheet?>` counts before the root element only.
    fn instruction(&mut self, instruction: &BytesPI<'_>) {
        if self.rooted || instruction.target() != b"xml-stylesheet" {
            return;
        }
        let attributes: Vec<_> = instruction.attributes().flatten().collect();
        let value = |name: &[u8]| attributes.iter().find(|a| a.key.as_ref() == name);
        let css = value(b"type").is_none_or(|kind| is_css_type(&kind.value));
        if let Some(href) = value(b"href").filter(|_| css) {
            self.see(Form::Url(super::super::Site::Plain), &href.value);
        }
    }

    fn see(&mut self, form: Form, value: &[u8]) {
        let part = self.part(value, 0, true);
        self.spots.push(Spot { form, parts: vec![part] });
    }

    /// Where `text`, which the reader lends from the file, stands in it.
    fn part(&self, text: &[u8], around: usize, escaped: bool) -> XmlPart {
        let start = text.as_ptr().addr() - self.xml.as_ptr().addr();
        XmlPart { at: start - around..start + text.len() + around, escaped }
    }
}

/// Whether a name is in `wanted`. An editor may have written the namespace as
/// an entity of its own, which is not expanded here.
fn is_or_may_be(namespace: &ResolveResult<'_>, wanted: &[u8]) -> bool {
    match namespace {
        ResolveResult::Bound(Namespace(found)) => *found == wanted || found.contains(&b'&'),
        ResolveResult::Unbound => wanted == SVG,
        ResolveResult::Unknown(_) => false,
    }
}

fn is_css(style: &BytesStart<'_>) -> bool {
    let kind = style.try_get_attribute("type").ok().flatten();
    kind.is_none_or(|kind| kind.value.is_empty() || is_css_type(&kind.value))
}

fn is_css_type(value: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(b"text/css")
}

/// Refuses charsets in which a byte below 0x80 may mean something else.
fn check_encoding(decl: &BytesDecl<'_>) -> Result<(), Reason> {
    let Some(label) = decl.encoding() else { return Ok(()) };
    let label = label.map_err(|_| Reason::Syntax)?;
    match Encoding::for_label(&label) {
        // UTF-16 without its mark cannot have been read this far.
        Some(encoding)
            if !encoding.is_ascii_compatible() && !encoding.name().starts_with("UTF") =>
        {
            Err(Reason::Charset)
        }
        _ => Ok(()),
    }
}
