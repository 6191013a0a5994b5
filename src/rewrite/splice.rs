//! Replacing ranges of bytes, and nothing else.

use std::ops::Range;

/// A range of a document and the text that takes its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Edit {
    /// In bytes from the start of the document.
    pub(super) at: Range<usize>,
    pub(super) text: String,
}

/// The bytes `source`, which begin at `offset` of the document, with `edits`
/// applied. The edits stand in ascending order; one that overlaps its
/// predecessor or the ends of `source` is passed over, so no byte outside of
/// the edits is ever lost.
pub(super) fn splice(source: &[u8], offset: usize, edits: &[Edit]) -> Vec<u8> {
    let mut out =
        Vec::with_capacity(source.len() + edits.iter().map(|e| e.text.len()).sum::<usize>());
    let mut done = 0;
    for edit in edits {
        let Some(start) = edit.at.start.checked_sub(offset) else { continue };
        let end = edit.at.end.saturating_sub(offset);
        if start < done || end < start || end > source.len() {
            continue;
        }
        out.extend_from_slice(&source[done..start]);
        out.extend_from_slice(edit.text.as_bytes());
        done = end;
    }
    out.extend_from_slice(&source[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(at: Range<usize>, text: &str) -> Edit {
        Edit { at, text: text.to_owned() }
    }

    #[test]
    fn only_the_ranges_of_the_edits_change() {
        let edits = [edit(11..12, "B"), edit(13..15, ""), edit(15..15, "+")];
        assert_eq!(splice(b"abcdef", 10, &edits), b"aBc+f");
    }

    #[test]
    fn an_edit_that_does_not_fit_is_passed_over() {
        let edits = [edit(9..11, "x"), edit(11..13, "y"), edit(12..14, "z"), edit(15..17, "w")];
        assert_eq!(splice(b"abcdef", 10, &edits), b"aydef");
    }
}
