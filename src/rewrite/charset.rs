//! Whether a document's charset can be spliced without decoding it.
//!
//! Splicing needs one property only: a byte below 0x80 that the tokenizers
//! look for means its ASCII character. Every charset of the web has it but
//! UTF-16, ISO-2022-JP and the replacement encoding.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How far browsers look for `<meta charset>`, in bytes.
const PRESCAN_BYTES: usize = 1024;

/// Whether a document with this `Content-Type` and these first bytes can be
/// rewritten. 1,024 bytes of `head` are enough.
///
/// As in browsers, a byte order mark outweighs the header, and the header
/// outweighs what the document says of itself.
pub fn charset_is_safe(content_type: Option<&str>, head: &[u8]) -> bool {
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return encoding.is_ascii_compatible();
    }
    let declared =
        content_type.and_then(label).and_then(|label| Encoding::for_label(label.as_bytes()));
    if let Some(encoding) = declared {
        return encoding.is_ascii_compatible();
    }
    let head = &head[..head.len().min(PRESCAN_BYTES)];
    match prescan(head) {
        Some(encoding) => encoding.is_ascii_compatible(),
        // Browsers guess ISO-2022-JP from its escape sequences.
        None => !head.contains(&0x1b),
    }
}

/// The value of the `charset` parameter.
fn label(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// What the document's own `charset=` says, `<meta>` in both its forms. It is
/// looked for without parsing tags: one that stands in a comment can only make
/// the answer more careful.
fn prescan(head: &[u8]) -> Option<&'static Encoding> {
    let text: String = head.iter().map(|&b| char::from(b).to_ascii_lowercase()).collect();
    let mut found = None;
    for (at, name) in text.match_indices("charset") {
        let Some(value) = text[at + name.len()..].trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start().trim_start_matches(['"', '\'']);
        let end = value.find(|c: char| c.is_ascii_whitespace() || "\"';/>".contains(c));
        let Some(encoding) = Encoding::for_label(&value.as_bytes()[..end.unwrap_or(value.len())])
        else {
            continue;
        };
        // The standard reads UTF-16 in a `<meta>` as UTF-8, for it could not be read otherwise.
        let encoding = if encoding == UTF_16BE || encoding == UTF_16LE { UTF_8 } else { encoding };
        if !encoding.is_ascii_compatible() {
            return Some(encoding);
        }
        found = Some(encoding);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_charsets_that_extend_ascii_are_safe() {
        let table: &[(Option<&str>, &[u8], bool)] = &[
            (None, b"<p>hallo", true),
            (Some("text/html"), b"", true),
            (Some("text/html; charset=utf-8"), b"", true),
            (Some("text/html; charset=\"Windows-1252\""), b"", true),
            (Some("text/html;charset=shift_jis"), b"", true),
            (Some("text/html; charset=utf-16le"), b"", false),
            (Some("text/html; charset=UTF-16"), b"<meta charset=utf-8>", false),
            (Some("text/html; charset=iso-2022-jp"), b"", false),
            (Some("text/html; charset=hz-gb-2312"), b"", false),
            (Some("text/html; charset=no-such"), b"<meta charset=iso-2022-jp>", false),
            (None, b"\xff\xfe<\0p\0", false),
            (None, b"\xfe\xff\0<\0p", false),
            (Some("text/html; charset=utf-16"), b"\xef\xbb\xbf<p>", true),
            (None, b"<meta charset='latin1'>", true),
            (None, b"<META CHARSET = ISO-2022-JP >", false),
            (
                None,
                b"<meta http-equiv=content-type content=\"text/html; charset=ISO-2022-JP\">",
                false,
            ),
            (None, b"<meta charset=utf-16>", true),
            (None, b"<!-- charset=utf-8 --><meta charset=replacement>", false),
            (None, b"\x1b$B\x24\x22", false),
            (Some("text/html; charset=utf-8"), b"\x1b[0m", true),
        ];
        for (content_type, head, safe) in table {
            let head_text = String::from_utf8_lossy(head);
            assert_eq!(
                charset_is_safe(*content_type, head),
                *safe,
                "{content_type:?} {head_text:?}"
            );
        }
    }
}
