//! One pass over the tokens of a style sheet.

use std::ops::Range;

use cssparser::{CowRcStr, Parser, ParserInput, Token};

use super::Extent;

/// A URL in a style sheet.
pub(super) struct Found<'a> {
    /// Its value, escapes decoded.
    pub(super) text: &'a str,
    /// Where its value stands, without quotes.
    pub(super) span: Range<usize>,
    /// Whether it stands in the value of a `--name`.
    pub(super) in_custom_property: bool,
    /// Whether browsers fetch it from the page's own origin only.
    pub(super) same_origin: bool,
}

/// Calls `see` for each URL in `css`, in order.
pub(super) fn scan(css: &str, extent: Extent, see: impl FnMut(Found<'_>)) {
    let mut scan = Scan {
        css,
        blocks: Vec::new(),
        last: Last::Other,
        muted: None,
        property: None,
        map: None,
        see,
    };
    each_token(css, |token, span| scan.token(token, span));
    if let (Extent::Sheet, Some(map)) = (extent, scan.map.take()) {
        (scan.see)(Found {
            text: &css[map.clone()],
            span: map,
            in_custom_property: false,
            same_origin: false,
        });
    }
}

/// Calls `see` for each token, those inside of blocks included.
///
/// cssparser hands out the content of a block to a nested parser. Beginning
/// anew behind the opening token gives the same tokens without recursion, so
/// no depth of nesting can exhaust the stack.
fn each_token(css: &str, mut see: impl FnMut(&Token<'_>, Range<usize>)) {
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
    property: Option<Property>,
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
    Ident(&'a str),
    Other,
}

/// The declaration that the tokens belong to.
struct Property {
    depth: usize,
    custom: bool,
    /// It takes references to SVG elements, which are bound to the origin.
    elements: bool,
}

impl<'a, F: FnMut(Found<'_>)> Scan<'a, F> {
    fn token(&mut self, token: &Token<'_>, span: Range<usize>) {
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
            Token::Ident(_) => self.last = Last::Ident(&self.css[span]),
            Token::Colon => self.declare(&last),
            Token::Semicolon => self.leave_rule(),
            Token::Function(name) => self.blocks.push(block(name)),
            Token::ParenthesisBlock | Token::SquareBracketBlock => self.blocks.push(Block::Other),
            Token::CurlyBracketBlock => {
                self.leave_rule();
                self.blocks.push(Block::Other);
            }
            Token::CloseParenthesis | Token::CloseSquareBracket | Token::CloseCurlyBracket => {
                self.close()
            }
            _ => {}
        }
    }

    fn url(&mut self, text: &str, span: Range<usize>) {
        if self.muted.is_some() {
            return;
        }
        let property = self.property.as_ref();
        (self.see)(Found {
            text,
            span,
            in_custom_property: property.is_some_and(|p| p.custom),
            same_origin: property.is_some_and(|p| p.elements) && text.contains('#'),
        });
    }

    fn at_rule(&mut self, name: &str) {
        if name.eq_ignore_ascii_case("import") {
            self.last = Last::Import;
        }
        if ["namespace", "document", "-moz-document"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
            self.muted = Some(self.blocks.len());
        }
    }

    fn declare(&mut self, last: &Last<'_>) {
        if let (Last::Ident(name), None) = (last, &self.property) {
            let elements = ELEMENT_PROPERTIES.iter().any(|n| name.eq_ignore_ascii_case(n));
            let custom = name.starts_with("--");
            self.property = Some(Property { depth: self.blocks.len(), custom, elements });
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
