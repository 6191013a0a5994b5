//! The end of a body in chunks (RFC 9112 §7.1), found by its grammar alone:
//! no whitespace, no line feed without a carriage return, bounded extensions.

use super::head::is_token;

/// Bytes of all extensions of a body's chunks, and of its trailers.
const EXTRA_MAX: usize = 16 * 1024;
/// Hexadecimal digits of a chunk's size.
const DIGITS_MAX: u8 = 15;

/// Where in a body in chunks the next byte is.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    at: At,
    size: u64,
    digits: u8,
    extra: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Size,
    Extension,
    SizeEnd,
    Content,
    ContentCr,
    ContentLf,
    /// At the beginning of a trailer's line.
    Line,
    TrailerName,
    Trailer,
    TrailerEnd,
    LastLf,
    Done,
}

/// It is no body in chunks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

impl Chunks {
    pub(super) fn begin() -> Self {
        Self { at: At::Size, size: 0, digits: 0, extra: 0 }
    }

    /// Whether the body is over.
    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Goes on over `bytes`; returns how many of them belong to the body.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut used = 0;
        while used < bytes.len() && !self.is_done() {
            if self.at == At::Content {
                let rest = u64::try_from(bytes.len() - used).unwrap_or(u64::MAX);
                let taken = rest.min(self.size);
                self.size -= taken;
                used += usize::try_from(taken).unwrap_or(usize::MAX);
                if self.size == 0 {
                    self.at = At::ContentCr;
                }
                continue;
            }
            match self.next(bytes[used]) {
                Ok(at) => self.at = at,
                // What is before it goes on; it is met again.
                Err(Malformed) if used > 0 => return Ok(used),
                Err(malformed) => return Err(malformed),
            }
            used += 1;
        }
        Ok(used)
    }

    fn next(&mut self, byte: u8) -> Result<At, Malformed> {
        match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (At::Size, b'\r') if self.digits > 0 => Ok(At::SizeEnd),
            (At::Size, b';') if self.digits > 0 => Ok(At::Extension),
            (At::Extension, b'\r') => Ok(At::SizeEnd),
            (At::Extension, _) => self.extra(byte, At::Extension),
            (At::SizeEnd, b'\n') if self.size > 0 => Ok(At::Content),
            (At::SizeEnd, b'\n') => Ok(At::Line),
            (At::ContentCr, b'\r') => Ok(At::ContentLf),
            (At::ContentLf, b'\n') => {
                self.digits = 0;
                Ok(At::Size)
            }
            (At::Line, b'\r') => Ok(At::LastLf),
            (At::Trailer, b'\r') => Ok(At::TrailerEnd),
            (At::TrailerName, b':') => self.extra(byte, At::Trailer),
            // hyper ends the connection over a line that is no field, and what
            // is behind it would be framed here and read by nobody.
            (At::Line | At::TrailerName, _) if !is_token(&[byte]) => Err(Malformed),
            (At::Line | At::TrailerName, _) => self.extra(byte, At::TrailerName),
            (At::Trailer, _) => self.extra(byte, At::Trailer),
            (At::TrailerEnd, b'\n') => Ok(At::Line),
            (At::LastLf, b'\n') => Ok(At::Done),
            _ => Err(Malformed),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, Malformed> {
        if self.digits == DIGITS_MAX {
            return Err(Malformed);
        }
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.digits += 1;
        self.size = self.size << 4 | u64::from(value);
        Ok(At::Size)
    }

    /// A byte that is no content: neither a control character nor too many.
    fn extra(&mut self, byte: u8, at: At) -> Result<At, Malformed> {
        self.extra += 1;
        let control = byte == 0x7f || byte < 0x20 && byte != b'\t';
        if control || self.extra > EXTRA_MAX { Err(Malformed) } else { Ok(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(body: &[u8]) -> Result<Option<usize>, Malformed> {
        let (mut chunks, mut used) = (Chunks::begin(), 0);
        while used < body.len() && !chunks.is_done() {
            used += chunks.advance(&body[used..])?;
        }
        Ok(chunks.is_done().then_some(used))
    }

    #[test]
    fn a_body_in_chunks_ends_in_one_place_or_is_none() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(EXTRA_MAX + 1));
        for (body, end) in [
            ("0\r\n\r\nGET", Ok(Some(5))),
            ("1\r\na\r\n0\r\n\r\n", Ok(Some(11))),
            ("1;a=b\r\na\r\n0\r\nX: y\r\n\r\nrest", Ok(Some(21))),
            ("A\r\n0123456789\r\n0\r\n\r\n", Ok(Some(20))),
            ("5\r\na", Ok(None)),
            ("1\na\r\n0\r\n\r\n", Err(Malformed)),
            ("1;\n\r\na\r\n0\r\n\r\n", Err(Malformed)),
            ("0x1\r\na\r\n0\r\n\r\n", Err(Malformed)),
            ("1 \r\na\r\n0\r\n\r\n", Err(Malformed)),
            (" 1\r\na\r\n0\r\n\r\n", Err(Malformed)),
            ("\r\n\r\n", Err(Malformed)),
            ("-1\r\n", Err(Malformed)),
            ("ffffffffffffffff\r\n", Err(Malformed)),
            ("1\r\nab\r\n0\r\n\r\n", Err(Malformed)),
            ("1\r\naX\n0\r\n\r\n", Err(Malformed)),
            ("0\r\nX: y\n\r\n", Err(Malformed)),
            ("0\r\n\rX", Err(Malformed)),
            ("0\r\nX\r\n\r\n", Err(Malformed)),
            ("0\r\n: y\r\n\r\n", Err(Malformed)),
            ("0\r\nX : y\r\n\r\n", Err(Malformed)),
            ("0\r\nX:\r\n\r\n", Ok(Some(9))),
            (&long, Err(Malformed)),
        ] {
            assert_eq!(end_of(body.as_bytes()), end, "{:?}", &body[..body.len().min(40)]);
        }
    }
}
