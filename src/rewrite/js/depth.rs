//! How much stack it takes to parse a script.
//!
//! The parser recurses without a limit of its own, and a stack that overflows
//! ends the process. But it goes one level deeper only for a token that can
//! hold another expression or statement. Their number, strings and comments
//! included, is known without parsing, and more than any script's depth.

/// Stack for one level, in bytes. With the parser as it is pinned, no token of
/// those in the test took 2 KiB and some took more than 1 KiB.
const LEVEL_BYTES: usize = 3072;

/// Stack for a script without any nesting, in bytes.
const BASE_BYTES: usize = 256 * 1024;

/// Words behind which another expression or statement begins.
const PREFIXES: [&[u8]; 16] = [
    b"as",
    b"async",
    b"await",
    b"class",
    b"delete",
    b"do",
    b"else",
    b"extends",
    b"in",
    b"instanceof",
    b"new",
    b"return",
    b"try",
    b"typeof",
    b"void",
    b"yield",
];

/// The stack that parsing `source` takes at most, in bytes.
pub fn script_stack_bytes(source: &[u8]) -> usize {
    BASE_BYTES.saturating_add(levels(source).saturating_mul(LEVEL_BYTES))
}

fn levels(source: &[u8]) -> usize {
    let marks = source.iter().filter(|b| b"([{<`?:=!~+-*/%&|^".contains(b)).count();
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || !b.is_ascii();
    let words = source.split(|b| !is_word(b));
    marks + words.filter(|word| PREFIXES.contains(word)).count()
}
