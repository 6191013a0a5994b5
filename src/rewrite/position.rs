//! Line and column of a place in a document, for messages to its author.

/// The line and the column of the byte at `offset`, both counted from 1.
///
/// Lines end at `\n`. Columns count characters, and each byte that is not
/// part of well-formed UTF-8 as one; editors count the same way. An offset
/// behind the end names the end.
pub fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
    let line = before[..line_start].iter().filter(|&&b| b == b'\n').count() + 1;
    (line, characters(&before[line_start..]) + 1)
}

/// Places of many offsets in one document, told in ascending order without
/// counting from its beginning each time.
#[derive(Clone, Debug)]
pub struct Positions<'a> {
    bytes: &'a [u8],
    offset: usize,
    line: usize,
    column: usize,
}

impl<'a> Positions<'a> {
    /// At the beginning of a document.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, line: 1, column: 1 }
    }

    /// As [`position`]. One that lies before the last that was asked for is
    /// counted anew.
    pub fn at(&mut self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.bytes.len());
        if offset < self.offset {
            *self = Self::new(self.bytes);
        }
        let passed = &self.bytes[self.offset..offset];
        match passed.iter().rposition(|&b| b == b'\n') {
            None => self.column += characters(passed),
            Some(newline) => {
                self.line += passed.iter().filter(|&&b| b == b'\n').count();
                self.column = characters(&passed[newline + 1..]) + 1;
            }
        }
        self.offset = offset;
        (self.line, self.column)
    }
}

fn characters(bytes: &[u8]) -> usize {
    let chunk =
        |chunk: std::str::Utf8Chunk<'_>| chunk.valid().chars().count() + chunk.invalid().len();
    bytes.utf8_chunks().map(chunk).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one() {
        let text = "één\r\ntwee drie\n\nvier".as_bytes();
        let place = |needle: &str| {
            let hay = std::str::from_utf8(text).unwrap();
            position(text, hay.find(needle).unwrap())
        };
        assert_eq!(place("één"), (1, 1));
        assert_eq!(place("n\r"), (1, 3));
        assert_eq!(place("drie"), (2, 6));
        assert_eq!(place("vier"), (4, 1));
        assert_eq!(position(text, usize::MAX), (4, 5));
        assert_eq!(position(b"", 0), (1, 1));
    }

    #[test]
    fn places_told_one_after_another_are_the_same() {
        let text = "één\r\ntwee drie\n\nvier".as_bytes();
        let ends: Vec<usize> =
            (0..=text.len()).filter(|at| std::str::from_utf8(&text[..*at]).is_ok()).collect();
        let mut positions = Positions::new(text);
        for at in ends.iter().chain(ends.iter().rev()).copied().chain([usize::MAX]) {
            assert_eq!(positions.at(at), position(text, at), "{at}");
        }
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_one_column() {
        assert_eq!(position(b"caf\xe9 x", 5), (1, 6));
    }
}
