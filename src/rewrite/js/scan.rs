//! The parser: this is the only place that names oxc.
//!
//! Nothing walks the syntax tree, which may be as deep as the script is long.
//! The parser's module record has the imports, and its tokens, which know a
//! division from a regular expression, have the rest.

use std::collections::BTreeMap;
use std::ops::Range;

use oxc_allocator::Allocator;
use oxc_ast::ast::Comment;
use oxc_parser::config::TokensParserConfig;
use oxc_parser::{Kind, ParseOptions, Parser, ParserReturn, Token};
use oxc_span::{SourceType, Span};

use super::{ScriptFault, ScriptKind, ScriptReference, ScriptUse};

/// What the comment that names a source map begins with.
const SOURCE_MAP: [&str; 2] = ["//# sourceMappingURL=", "//@ sourceMappingURL="];

/// All references, in the order in which they stand.
pub(super) fn scan(source: &str, kind: ScriptKind) -> Result<Vec<ScriptReference>, ScriptFault> {
    let allocator = Allocator::default();
    let first = match kind {
        ScriptKind::Module => SourceType::mjs(),
        ScriptKind::Unknown => SourceType::unambiguous(),
    };
    match parse(&allocator, source, first) {
        Ok(parsed) => Ok(Scan { source, tokens: &parsed.tokens }.references(&parsed)),
        Err(fault) if kind == ScriptKind::Module => Err(fault),
        // A module without imports and exports may still await.
        Err(fault) => {
            let parsed = parse(&allocator, source, SourceType::mjs()).map_err(|_| fault)?;
            Ok(Scan { source, tokens: &parsed.tokens }.references(&parsed))
        }
    }
}

fn parse<'a>(
    allocator: &'a Allocator,
    source: &'a str,
    source_type: SourceType,
) -> Result<ParserReturn<'a>, ScriptFault> {
    // Bundles of other module systems return from what their loader wraps them in.
    let options = ParseOptions { allow_return_outside_function: true, ..ParseOptions::default() };
    let parser = Parser::new(allocator, source, source_type).with_options(options);
    let parsed = parser.with_config(TokensParserConfig).parse();
    if !parsed.panicked && !parsed.diagnostics.has_errors() {
        return Ok(parsed);
    }
    let error = parsed.diagnostics.errors().next();
    let label = error.and_then(|error| error.labels.first());
    let message = error.map_or("it is not JavaScript".to_owned(), |e| e.message.to_string());
    Err(ScriptFault { offset: label.map_or(0, |label| to_usize(label.offset())), message })
}

/// A script that was parsed.
struct Scan<'s> {
    source: &'s str,
    tokens: &'s [Token],
}

/// References by where they begin: a parser that looks ahead may see one twice.
type Found = BTreeMap<usize, ScriptReference>;

impl Scan<'_> {
    fn references(&self, parsed: &ParserReturn<'_>) -> Vec<ScriptReference> {
        let mut found = Found::new();
        for (name, requests) in &parsed.module_record.requested_modules {
            for request in requests {
                let span = inside(request.span);
                let text = name.to_string();
                let reference = ScriptReference { span, text, use_: ScriptUse::Import };
                found.insert(reference.span.start, reference);
            }
        }
        for import in &parsed.module_record.dynamic_imports {
            let at = self.tokens.partition_point(|t| t.start() < import.module_request.start);
            let whole = |literal: &&Token| literal.span() == import.module_request;
            let literal = self.tokens.get(at).filter(whole);
            self.add(literal, ScriptUse::DynamicImport, &mut found);
        }
        for at in 0..self.tokens.len() {
            if self.tokens[at].kind() == Kind::Import {
                self.import_meta(at, &mut found);
            }
        }
        self.source_map(&parsed.program.comments, &mut found);
        found.into_values().collect()
    }

    /// What the `import.meta` whose `import` is token `at` is there for.
    fn import_meta(&self, at: usize, found: &mut Found) {
        if !self.are(at + 1, &[Kind::Dot, Kind::Meta, Kind::Dot, Kind::Ident]) {
            return;
        }
        match self.text(at + 4) {
            "resolve" if self.are(at + 5, &[Kind::LParen]) && self.closes(at + 7) => {
                self.add(self.tokens.get(at + 6), ScriptUse::Resolve, found);
            }
            "url" if self.closes(at + 5) => self.new_url(at, found),
            _ => {}
        }
    }

    /// `new URL('…', import.meta.url)`, where token `at` is the `import`.
    fn new_url(&self, at: usize, found: &mut Found) {
        let Some(new) = at.checked_sub(5) else { return };
        let is_call = self.are(new, &[Kind::New, Kind::Ident, Kind::LParen])
            && self.text(new + 1) == "URL"
            && self.are(at - 1, &[Kind::Comma]);
        if !is_call {
            return;
        }
        let base = to_usize(self.tokens[at].start())..to_usize(self.tokens[at + 4].end());
        let use_ = if self.is_worker(new) { ScriptUse::Worker(base) } else { ScriptUse::Asset };
        self.add(self.tokens.get(new + 3), use_, found);
    }

    /// Whether the `new` at token `at` is the first argument of a `new Worker`.
    fn is_worker(&self, at: usize) -> bool {
        let Some(worker) = at.checked_sub(2) else { return false };
        let named = self.are(worker, &[Kind::Ident, Kind::LParen])
            && matches!(self.text(worker), "Worker" | "SharedWorker");
        // `new Worker`, and `new window.Worker`.
        let before = worker.checked_sub(1).map(|before| self.tokens[before].kind());
        named && matches!(before, Some(Kind::New | Kind::Dot))
    }

    /// Whether the arguments end at token `at`; a comma may come before.
    fn closes(&self, at: usize) -> bool {
        self.are(at, &[Kind::RParen]) || self.are(at, &[Kind::Comma, Kind::RParen])
    }

    fn are(&self, at: usize, kinds: &[Kind]) -> bool {
        let tokens = self.tokens.get(at..at + kinds.len());
        tokens.is_some_and(|tokens| tokens.iter().map(Token::kind).eq(kinds.iter().copied()))
    }

    fn text(&self, at: usize) -> &str {
        let span = self.tokens[at].span();
        &self.source[to_usize(span.start)..to_usize(span.end)]
    }

    /// Adds a literal. One with escapes counts as computed.
    fn add(&self, literal: Option<&Token>, use_: ScriptUse, found: &mut Found) {
        let Some(literal) = literal else { return };
        if !matches!(literal.kind(), Kind::Str | Kind::NoSubstitutionTemplate) {
            return;
        }
        let span = inside(literal.span());
        let text = self.source[span.clone()].to_owned();
        if !text.contains('\\') {
            found.insert(span.start, ScriptReference { span, text, use_ });
        }
    }

    /// The source map that the last comment behind the last token names.
    fn source_map(&self, comments: &[Comment], found: &mut Found) {
        let code = self.tokens.iter().rev().find(|token| token.kind() != Kind::Eof);
        let code_end = code.map_or(0, Token::end);
        let trailing = comments.iter().rev().take_while(|comment| comment.span.start >= code_end);
        for comment in trailing {
            let start = to_usize(comment.span.start);
            let text = &self.source[start..to_usize(comment.span.end)];
            let Some(named) = SOURCE_MAP.iter().find_map(|mark| text.strip_prefix(mark)) else {
                continue;
            };
            let url = named.split_ascii_whitespace().next().unwrap_or_default();
            let start = start + text.len() - named.trim_ascii_start().len();
            let (span, text) = (start..start + url.len(), url.to_owned());
            found.insert(start, ScriptReference { span, text, use_: ScriptUse::SourceMap });
            return;
        }
    }
}

/// What stands between the quotes of a literal.
fn inside(literal: Span) -> Range<usize> {
    to_usize(literal.start) + 1..to_usize(literal.end) - 1
}

fn to_usize(offset: u32) -> usize {
    // A document is far shorter than 4 GiB.
    usize::try_from(offset).unwrap_or(usize::MAX)
}
