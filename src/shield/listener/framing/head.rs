//! One head of an HTTP/1 request, read more strictly than hyper reads it.
//!
//! It looks only for what could be read in two ways, or what hyper would
//! answer with a bare status; what a site may be asked is the gate's to say.

use http::Uri;

use crate::shield::gate::Refusal;

/// How many bytes follow a head, and what they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Follows {
    /// As many bytes of a body; often none.
    Body(u64),
    /// A body in chunks.
    Chunks,
}

/// What the framing must know of a head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Outline {
    pub(super) follows: Follows,
    /// Whether the connection may stop being HTTP behind this request.
    pub(super) upgrades: bool,
}

/// What the fields of a head say of its body.
#[derive(Default)]
struct Fields {
    count: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// Reads a head with its empty line, all of whose lines end in CRLF.
pub(super) fn outline(head: &[u8], fields_max: usize) -> Result<Outline, Refusal> {
    let mut lines = Lines(head);
    let old = request_line(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        fields.count += 1;
        if fields.count > fields_max {
            return Err(Refusal::HeadTooLarge);
        }
        fields.read(line, old)?;
    }
    let follows = match (fields.length, fields.chunked) {
        (Some(_), true) => return Err(Refusal::BodyLength),
        (None, true) => Follows::Chunks,
        (length, false) => Follows::Body(length.unwrap_or(0)),
    };
    Ok(Outline { follows, upgrades: fields.upgrade && !old })
}

/// Whether the line is one of HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::HeadMalformed);
    };
    let old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::Version);
        }
        _ => return Err(Refusal::HeadMalformed),
    };
    if !is_token(method) {
        return Err(Refusal::HeadMalformed);
    }
    if method == b"CONNECT" {
        return Err(Refusal::MethodForbidden);
    }
    target_form(target).map(|()| old)
}

/// The origin form, or an absolute form that can be parsed (RFC 9112 §3.2).
fn target_form(target: &[u8]) -> Result<(), Refusal> {
    let fits = match target.first() {
        Some(b'/') => fits_origin_form(target),
        Some(_) if memchr::memmem::find(target, b"://").is_some() => {
            target.iter().all(|byte| *byte != b'#') && Uri::try_from(target).is_ok()
        }
        _ => return Err(Refusal::TargetForm),
    };
    if fits { Ok(()) } else { Err(Refusal::TargetMalformed) }
}

/// Whether [`Uri`] can hold this path and query, without a fragment.
fn fits_origin_form(target: &[u8]) -> bool {
    let (path, query) = target.split_at(memchr::memchr(b'?', target).unwrap_or(target.len()));
    let plain = |byte: u8| byte.is_ascii_graphic() & !matches!(byte, b'<' | b'>' | b'#');
    path.iter().all(|&byte| plain(byte) & (byte != b'`'))
        && query.iter().all(|&byte| plain(byte) & (byte != b'"'))
}

impl Fields {
    fn read(&mut self, line: &[u8], old: bool) -> Result<(), Refusal> {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or(Refusal::HeadMalformed)?);
        let value = &value[1..];
        if !is_token(name) || has_control(value) {
            return Err(Refusal::HeadMalformed);
        }
        // Most names are told from these by their length alone.
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.length(trim(value))?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if old || self.chunked || trim(value) != b"chunked" {
                    return Err(Refusal::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn length(&mut self, digits: &[u8]) -> Result<(), Refusal> {
        // Nineteen digits never exceed what hyper can count.
        let plain = (1..=19).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        if !plain || self.length.is_some() {
            return Err(Refusal::BodyLength);
        }
        let value = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        self.length = Some(value);
        Ok(())
    }
}

/// The lines of a head, without their ends.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.0)?;
        let (line, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// Looks at every byte whatever it finds, so that it can look at many at once.
fn has_control(value: &[u8]) -> bool {
    value
        .iter()
        .fold(false, |found, &byte| found | ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f))
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| TOKEN[usize::from(*byte)])
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
                | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_that_is_let_through_is_one_that_hyper_can_read() {
        for byte in 0..=255 {
            for target in [vec![b'/', byte], vec![b'/', b'?', byte], vec![b'/', b'?', b'a', byte]] {
                if target_form(&target).is_ok() {
                    assert!(Uri::try_from(&*target).is_ok(), "{target:?}");
                }
            }
        }
    }

    #[test]
    fn every_name_and_value_that_is_let_through_is_one_that_hyper_can_read() {
        for byte in 0..=255 {
            if is_token(&[byte]) {
                assert!(http::HeaderName::from_bytes(&[byte]).is_ok(), "{byte}");
                assert!(http::Method::from_bytes(&[byte]).is_ok(), "{byte}");
            }
            let value = http::HeaderValue::from_bytes(&[byte]);
            assert_eq!(value.is_ok(), !has_control(&[byte]), "{byte}");
        }
    }
}
