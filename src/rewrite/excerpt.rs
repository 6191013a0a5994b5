//! A part of a document as text, and where each piece of that text stands in
//! the source: entities are decoded for reading, edits go to the source.

use std::borrow::Cow;
use std::ops::Range;

use html5gum::{Token, Tokenizer};

/// A part of a document, readable as text.
#[derive(Debug)]
pub(super) struct Excerpt<'a> {
    raw: &'a [u8],
    /// Of `raw`, in bytes from the start of the document.
    offset: usize,
    text: Cow<'a, str>,
    /// Where the pieces of the text come from, in order; empty when the text
    /// has the length of `raw` and stands in it position by position.
    pieces: Vec<Piece>,
    /// Where in the text something was left out that is no part of it.
    gaps: Vec<usize>,
    /// Bytes outside of ASCII were replaced, because they are not UTF-8.
    lossy: bool,
}

/// A stretch of XML that is text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct XmlPart {
    pub(super) at: Range<usize>,
    /// Character references are decoded; in CDATA sections there are none.
    pub(super) escaped: bool,
}

#[derive(Debug)]
struct Piece {
    text: usize,
    raw: usize,
    /// Not verbatim: the piece is one decoded character reference.
    verbatim: bool,
}

impl<'a> Excerpt<'a> {
    /// A part that is read as it stands.
    ///
    /// Where it is not UTF-8, every byte that is not ASCII reads as `_`. Like
    /// any non-ASCII character that is a letter to a tokenizer, so the rest
    /// keeps its meaning; [`is_legible`](Self::is_legible) tells the parts
    /// whose own meaning is lost.
    pub(super) fn verbatim(raw: &'a [u8], offset: usize) -> Self {
        let (text, lossy) = match std::str::from_utf8(raw) {
            Ok(text) => (Cow::Borrowed(text), false),
            Err(_) => (
                Cow::Owned(
                    raw.iter().map(|&b| if b.is_ascii() { b as char } else { '_' }).collect(),
                ),
                true,
            ),
        };
        Self { raw, offset, text, pieces: Vec::new(), gaps: Vec::new(), lossy }
    }

    /// The character content of an XML element, or the value of an attribute.
    /// `parts` are those of `raw` that belong to it, in order; between them
    /// stand comments and the marks of CDATA sections. `None` where an entity
    /// is named that XML itself does not define: such are never expanded.
    pub(super) fn xml(raw: &'a [u8], offset: usize, parts: &[XmlPart]) -> Option<Self> {
        let mut excerpt = Self::verbatim(raw, offset);
        let (mut text, mut pieces) = (String::with_capacity(raw.len()), Vec::new());
        let mut last_end = None;
        for XmlPart { at, escaped } in parts {
            if last_end.is_some_and(|end| end != at.start) {
                excerpt.gaps.push(text.len());
            }
            last_end = Some(at.end);
            let part = excerpt.text.get(at.clone())?;
            decode_xml(part, at.start, *escaped, &mut text, &mut pieces)?;
        }
        excerpt.text = Cow::Owned(text);
        excerpt.pieces = pieces;
        Some(excerpt)
    }

    /// The value of an attribute, its character references decoded.
    pub(super) fn attribute(raw: &'a [u8], offset: usize) -> Self {
        let mut excerpt = Self::verbatim(raw, offset);
        if raw.contains(&b'&') {
            let (text, pieces) = decode(&excerpt.text);
            excerpt.text = Cow::Owned(text);
            excerpt.pieces = pieces;
        }
        excerpt
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The bytes that `span` of the text was read from.
    pub(super) fn source(&self, span: &Range<usize>) -> &'a [u8] {
        &self.raw[self.source_start(span.start)..self.source_end(span)]
    }

    /// Where in the document `span` of the text stands.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        self.offset + self.source_start(span.start)..self.offset + self.source_end(span)
    }

    /// Whether the text of `span` is what the document says.
    pub(super) fn is_legible(&self, span: &Range<usize>) -> bool {
        let next = self.gaps.partition_point(|gap| *gap <= span.start);
        let whole = self.gaps.get(next).is_none_or(|gap| *gap >= span.end);
        whole && (!self.lossy || self.source(span).is_ascii())
    }

    fn source_start(&self, text: usize) -> usize {
        match self.pieces.partition_point(|piece| piece.text <= text).checked_sub(1) {
            None => text,
            Some(at) => {
                let piece = &self.pieces[at];
                if piece.verbatim { piece.raw + (text - piece.text) } else { piece.raw }
            }
        }
    }

    fn source_end(&self, span: &Range<usize>) -> usize {
        if span.is_empty() {
            return self.source_start(span.start);
        }
        match self.pieces.partition_point(|piece| piece.text < span.end).checked_sub(1) {
            None => span.end,
            Some(at) if self.pieces[at].verbatim => {
                self.pieces[at].raw + (span.end - self.pieces[at].text)
            }
            Some(at) => self.pieces.get(at + 1).map_or(self.raw.len(), |next| next.raw),
        }
    }
}

/// The text with its character references decoded, and the pieces it is made of.
fn decode(raw: &str) -> (String, Vec<Piece>) {
    let mut text = String::with_capacity(raw.len());
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let reference =
            if raw[at..].starts_with('&') { character_reference(&raw[at..]) } else { None };
        pieces.push(Piece { text: text.len(), raw: at, verbatim: reference.is_none() });
        let end = if let Some((length, decoded)) = reference {
            text.push_str(&decoded);
            at + length
        } else {
            let end = raw[at + 1..].find('&').map_or(raw.len(), |next| at + 1 + next);
            text.push_str(&raw[at..end]);
            end
        };
        at = end;
    }
    (text, pieces)
}

/// Adds the meaning of a part of XML, which begins at `from`, to `text`.
fn decode_xml(
    part: &str,
    from: usize,
    escaped: bool,
    text: &mut String,
    pieces: &mut Vec<Piece>,
) -> Option<()> {
    let mut at = 0;
    while at < part.len() {
        let is_reference = escaped && part[at..].starts_with('&');
        pieces.push(Piece { text: text.len(), raw: from + at, verbatim: !is_reference });
        if is_reference {
            let end = at + part[at..].find(';')?;
            text.push(xml_character(&part[at + 1..end])?);
            at = end + 1;
        } else {
            let end = part[at + 1..].find('&').filter(|_| escaped);
            let end = end.map_or(part.len(), |next| at + 1 + next);
            text.push_str(&part[at..end]);
            at = end;
        }
    }
    Some(())
}

/// The character that `&name;` stands for: XML 1.0, 4.1 and 4.6.
fn xml_character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?);
    }
    let known = [("amp", '&'), ("apos", '\''), ("gt", '>'), ("lt", '<'), ("quot", '"')];
    known.iter().find(|(known, _)| *known == name).map(|(_, character)| *character)
}

/// Length and meaning of the character reference that `raw` begins with.
///
/// Only what can belong to one is given to the tokenizer: the name or number,
/// its semicolon, and the `=` that turns `&copy=1` back into plain text.
fn character_reference(raw: &str) -> Option<(usize, String)> {
    let name = raw[1..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
    let end = 1 + name + usize::from(raw[1 + name..].starts_with([';', '=']));
    let source = &raw[..end];
    let decoded = decode_attribute(source)?;
    if decoded == source {
        return None;
    }
    // What follows the reference is the same on both sides. At least one
    // character was decoded, even where it looks like the source's (`&semi;`).
    let decoded_min = decoded.chars().next().map_or(0, char::len_utf8);
    let same = source.bytes().rev().zip(decoded.bytes().rev()).take_while(|(a, b)| a == b).count();
    let rest = same.min(decoded.len() - decoded_min);
    Some((source.len() - rest, decoded[..decoded.len() - rest].to_owned()))
}

/// The value as the HTML tokenizer reads it in a quoted attribute.
fn decode_attribute(value: &str) -> Option<String> {
    let tag = format!("<a x=\"{value}\">");
    for token in Tokenizer::new(&tag) {
        let Ok(token) = token;
        if let Token::StartTag(tag) = token {
            let value = tag.attributes.into_values().next()?;
            return String::from_utf8(value.value.0).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_references_decode_as_in_attributes() {
        let table = [
            ("/a&amp;b", "/a&b"),
            ("?copy=1&copy=2", "?copy=1&copy=2"),
            ("&copy;&copy", "©©"),
            ("&copyb", "&copyb"),
            ("&#x2f;a&#X2Fg", "/a/g"),
            ("&#47a", "/a"),
            ("&semi;x&#59;y", ";x;y"),
            ("&#150;", "\u{2013}"),
            ("&NotEqualTilde;z", "\u{2242}\u{338}z"),
            ("&unknown;&", "&unknown;&"),
            ("&&amp;&", "&&&"),
            ("&lt.png&quot'\"<", "<.png\"'\"<"),
        ];
        for (raw, text) in table {
            let excerpt = Excerpt::attribute(raw.as_bytes(), 0);
            assert_eq!(excerpt.text(), text, "{raw}");
        }
    }

    #[test]
    fn every_span_of_the_text_knows_its_source() {
        let raw = "&quot;&#x2f;img&sol;a.png&quot; &amp;c";
        let excerpt = Excerpt::attribute(raw.as_bytes(), 100);
        assert_eq!(excerpt.text(), "\"/img/a.png\" &c");
        let source = |text: &str| {
            let start = excerpt.text().find(text).unwrap();
            std::str::from_utf8(excerpt.source(&(start..start + text.len()))).unwrap()
        };
        assert_eq!(source("/img/a.png"), "&#x2f;img&sol;a.png");
        assert_eq!(source("mg/"), "mg&sol;");
        assert_eq!(source("a.p"), "a.p");
        assert_eq!(source("\" &c"), "&quot; &amp;c");
        assert_eq!(excerpt.place(&(1..2)), 106..112);
        assert_eq!(excerpt.source(&(0..excerpt.text().len())), raw.as_bytes());
    }

    #[test]
    fn xml_decodes_its_own_references_and_no_others() {
        let whole = |raw: &str| [XmlPart { at: 0..raw.len(), escaped: true }];
        let read = |raw: &str| {
            Excerpt::xml(raw.as_bytes(), 0, &whole(raw)).map(|excerpt| excerpt.text().to_owned())
        };
        let table = [
            ("/a&amp;b", Some("/a&b")),
            ("&#x2f;a&#47;&lt;&gt;&quot;&apos;", Some("/a/<>\"'")),
            ("", Some("")),
            ("&copy;", None),
            ("&bomb;", None),
            ("a & b", None),
            ("&#xd800;", None),
            ("&#;", None),
            ("&amp", None),
        ];
        for (raw, text) in table {
            assert_eq!(read(raw).as_deref(), text, "{raw}");
        }
    }

    #[test]
    fn what_spans_a_gap_in_xml_is_not_legible() {
        let raw = "&amp;ab<!-- -->cd";
        let parts = [XmlPart { at: 0..7, escaped: true }, XmlPart { at: 15..17, escaped: true }];
        let excerpt = Excerpt::xml(raw.as_bytes(), 10, &parts).unwrap();
        assert_eq!(excerpt.text(), "&abcd");
        assert!(excerpt.is_legible(&(1..3)) && excerpt.is_legible(&(3..5)));
        assert!(!excerpt.is_legible(&(2..4)));
        assert_eq!((excerpt.place(&(0..1)), excerpt.place(&(3..5))), (10..15, 25..27));
        assert_eq!(excerpt.place(&(1..3)), 15..17);
    }

    #[test]
    fn bytes_that_are_not_utf8_read_as_letters_of_the_same_length() {
        let excerpt = Excerpt::verbatim(b"caf\xe9 /a.png", 0);
        assert_eq!(excerpt.text(), "caf_ /a.png");
        assert!(excerpt.is_legible(&(5..11)));
        assert!(!excerpt.is_legible(&(0..4)));
    }
}
