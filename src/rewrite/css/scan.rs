//! One pass over the tokens of a style sheet.

use std::ops::Range;

use cssparser::{CowRcStr, Parser, ParserInput, Token};

use super::super::Site;
use super::Extent;

/// What a style sheet says of URLs.
pub(super) enum Seen<'a> {
    /// A URL.
    Url(Found<'a>),
    /// `var(--name)`, which puts the value of a custom property in its place.
    Use {
        /// With its hyphens, escapes decoded.
        name: &'a str,
        /// The custom property in whose value it stands.
        within: Option<&'a str>,
    },
}

/// A URL in a style sheet.
pub(super) struct Found<'a> {
    /// Its value, escapes decoded.
    pub(super) text: &'a str,
    /// Where its value stands, without quotes.
    pub(super) span: Range<usize>,
    /// The `--name` in whose value it stands.
    pub(super) property: Option<&'a str>,
    /// What it is used for.
    pub(super) site: Site,
}

/// Calls `see` for each URL and each use of a custom property in `css`, in order.
pub(super) fn scan(css: &str, extent: Extent, see: impl FnMut(Seen<'_>)) {
    let property = match extent {
        Extent::Value { elements } => {
            Some(Property { depth: 0, custom: None, elements, ancient: false })
        }
        Extent::Inline | Extent::Sheet => None,
    };
    let (blocks, last) = (Vec::new(), Last::Other);
    let mut scan = Scan { css, blocks, last, muted: None, property, map: None, see };
    each_token(css, |token, span| scan.token(token, span));
    if let (Extent::Sheet, Some(map)) = (extent, scan.map.take()) {
        let (text, site) = (&css[map.clone()], Site::SourceMap);
        (scan.see)(Seen::Url(Found { text, span: map, property: None, site }));
    }
}

/// Calls `see` for each token, those inside of blocks included.
///
/// cssparser hands out the content of a block to a nested parser. Beginning
/// anew behind the opening token gives the same tokens without recursion, so
/// no depth of nesting can exhaust the stack.
fn each_token<'a>(css: &'a str, mut see: impl FnMut(&Token<'a>, Range<usize>)) {
    let mut from = 0;
    while from < css.len() {
        let mut input = ParserInput::new(&css[from..]);
        let mut parser = Parser::new(&mut input);
        from += loop {
            let start = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else {
                return;
            };
            let end = parser.position().byte_index();
            see(&token, from + start..from + end);
            if opens_block(&token) {
                break end;
            }
        };
    }
}

fn opens_block(token: &Token<'_>) -> bool {
    use Token::{CurlyBracketBlock, Function, ParenthesisBlock, SquareBracketBlock};
    matches!(token, Function(_) | ParenthesisBlock | SquareBracketBlock | CurlyBracketBlock)
}

struct Scan<'a, F> {
    css: &'a str,
    /// The blocks that are open, the innermost last; at most one a byte.
    blocks: Vec<Block>,
    last: Last<'a>,
    /// At this depth stands an at-rule whose URLs are names or patterns.
    muted: Option<usize>,
    property: Option<Property<'a>>,
    /// The `sourceMappingURL`, while nothing but spaces and comments follows it.
    map: Option<Range<usize>>,
    see: F,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Block {
    /// `url(` or `src(`, or `image-set(`: its strings are URLs.
    Strings,
    Other,
}

/// The last token that was neither space nor comment.
#[derive(Eq, PartialEq)]
enum Last<'a> {
    Import,
    Ident(CowRcStr<'a>),
    /// The opening of a `var()`.
    Var,
    Other,
}

/// The declaration that the tokens belong to.
struct Property<'a> {
    depth: usize,
    /// The name, if it begins with two hyphens.
    custom: Option<CowRcStr<'a>>,
    /// It takes references to SVG elements, which are bound to the origin.
    elements: bool,
    /// Its URLs are read by browsers of old only, from the page's own origin.
    ancient: bool,
}

impl<'a, F: FnMut(Seen<'_>)> Scan<'a, F> {
    fn token(&mut self, token: &Token<'a>, span: Range<usize>) {
        match token {
            Token::WhiteSpace(_) => return,
            Token::Comment(text) => {
                let map = source_map(text);
                let map = map.map(|at| span.start + 2 + at.start..span.start + 2 + at.end);
                self.map = map.or(self.map.take());
                return;
            }
            _ => self.map = None,
        }
        let last = std::mem::replace(&mut self.last, Last::Other);
        match token {
            Token::QuotedString(text)
                if last == Last::Import || self.blocks.last() == Some(&Block::Strings) =>
            {
                self.url(text, quoted(self.css, span));
            }
            Token::UnquotedUrl(text) => self.url(text, unquoted(self.css, span)),
            Token::AtKeyword(name) => self.at_rule(name),
            Token::Ident(name) if last == Last::Var => self.use_property(name),
            Token::Ident(name) => self.last = Last::Ident(name.clone()),
            Token::Colon => self.declare(last),
            Token::Semicolon => self.leave_rule(),
            Token::Function(name) => {
                self.blocks.push(block(name));
                self.last = if name.eq_ignore_ascii_case("var") { Last::Var } else { Last::Other };
            }
            Token::ParenthesisBlock | Token::SquareBracketBlock => self.blocks.push(Block::Other),
            Token::CurlyBracketBlock => {
                if !self.is_custom_value() {
                    self.leave_rule();
                }
                self.blocks.push(Block::Other);
            }
            Token::CloseParenthesis | Token::CloseSquareBracket | Token::CloseCurlyBracket => {
                self.close()
            }
            _ => {}
        }
    }

    fn url(&mut self, text: &str, span: Range<usize>) {
        let ancient = self.property.as_ref().is_some_and(|property| property.ancient);
        if ancient || self.muted.is_some() {
            return;
        }
        let elements = self.property.as_ref().is_some_and(|property| property.elements);
        let site = if elements && text.contains('#') { Site::SameOrigin } else { Site::Plain };
        let property = self.property.as_ref().and_then(|property| property.custom.as_deref());
        (self.see)(Seen::Url(Found { text, span, property, site }));
    }

    fn use_property(&mut self, name: &str) {
        let within = self.property.as_ref().and_then(|property| property.custom.as_deref());
        (self.see)(Seen::Use { name, within });
    }

    /// Whether a `{` here belongs to the value of a custom property: what begins
    /// with a dashed name and a colon is never a selector.
    fn is_custom_value(&self) -> bool {
        self.property.as_ref().is_some_and(|property| property.custom.is_some())
    }

    fn at_rule(&mut self, name: &str) {
        if name.eq_ignore_ascii_case("import") {
            self.last = Last::Import;
        }
        if ["namespace", "document", "-moz-document"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
            self.muted = Some(self.blocks.len());
        }
    }

    fn declare(&mut self, last: Last<'a>) {
        if let (Last::Ident(name), None) = (last, &self.property) {
            let elements = ELEMENT_PROPERTIES.iter().any(|n| name.eq_ignore_ascii_case(n));
            let ancient = ANCIENT_PROPERTIES.iter().any(|n| name.eq_ignore_ascii_case(n));
            let custom = name.starts_with("--").then_some(name);
            self.property = Some(Property { depth: self.blocks.len(), custom, elements, ancient });
        }
    }

    /// A `;` or `{` ends what began at its depth: a declaration, a prelude, or
    /// what looked like a declaration and was a selector (`a:hover {`).
    fn leave_rule(&mut self) {
        let depth = self.blocks.len();
        self.property.take_if(|property| property.depth >= depth);
        self.muted.take_if(|muted| *muted >= depth);
    }

    fn close(&mut self) {
        self.blocks.pop();
        let depth = self.blocks.len();
        self.property.take_if(|property| property.depth > depth);
        self.muted.take_if(|muted| *muted > depth);
    }
}

/// Properties whose `url(file.svg#id)` names an element, as `use` does.
const ELEMENT_PROPERTIES: [&str; 11] = [
    "-webkit-clip-path",
    "-webkit-filter",
    "backdrop-filter",
    "clip-path",
    "fill",
    "filter",
    "marker",
    "marker-end",
    "marker-mid",
    "marker-start",
    "stroke",
];

/// Internet Explorer's scripts by style.
const ANCIENT_PROPERTIES: [&str; 2] = ["-ms-behavior", "behavior"];

fn block(function: &CowRcStr<'_>) -> Block {
    let takes_urls = ["url", "src", "image-set", "-webkit-image-set"];
    if takes_urls.iter().any(|name| function.eq_ignore_ascii_case(name)) {
        Block::Strings
    } else {
        Block::Other
    }
}

/// The value of the string token at `span`, which the end of the sheet may cut short.
fn quoted(css: &str, span: Range<usize>) -> Range<usize> {
    let token = &css[span.clone()];
    let body = &token[1..];
    let closed = token.chars().next().is_some_and(|quote| body.ends_with(quote))
        && !ends_in_escape(&body[..body.len() - 1]);
    span.start + 1..span.end - usize::from(closed)
}

/// The value of the `url(…)` token at `span`, which the end of the sheet may cut short.
fn unquoted(css: &str, span: Range<usize>) -> Range<usize> {
    let token = &css[span.clone()];
    let open = token.find('(').map_or(token.len(), |at| at + 1);
    let body = &token[open..];
    let closed = body.ends_with(')') && !ends_in_escape(&body[..body.len() - 1]);
    let body = &body[..body.len() - usize::from(closed)];
    let lead = body.len() - body.trim_start_matches(is_space).len();
    let mut end = body.trim_end_matches(is_space).len().max(lead);
    if end < body.len() && ends_in_escape(&body[..end]) {
        // The space is the escaped character.
        end += 1;
    }
    span.start + open + lead..span.start + open + end
}

/// Whether a backslash escapes what follows `text`.
fn ends_in_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

/// Where in a comment the URL of a source map stands.
fn source_map(comment: &str) -> Option<Range<usize>> {
    let value = comment.strip_prefix(['#', '@'])?.trim_start().strip_prefix("sourceMappingURL=")?;
    let value = value.trim_start();
    let start = comment.len() - value.len();
    let end = value.find(char::is_whitespace).unwrap_or(value.len());
    Some(start..start + end)
}
