//! The URLs of a `srcset`, by the algorithm of the HTML standard ("parse a
//! srcset attribute"): commas belong to a URL unless they end it, and
//! descriptors may hold commas in parentheses.

use std::ops::Range;

/// Where in `srcset` each candidate's URL stands.
pub(super) fn candidates(srcset: &str) -> Vec<Range<usize>> {
    let bytes = srcset.as_bytes();
    let mut urls = Vec::new();
    let mut at = 0;
    loop {
        at = skip(bytes, at, |b| is_space(b) || b == b',');
        if at == bytes.len() {
            return urls;
        }
        let end = skip(bytes, at, |b| !is_space(b));
        let url_end = at + srcset[at..end].trim_end_matches(',').len();
        urls.push(at..url_end);
        at = if url_end < end { end } else { skip_descriptors(bytes, end) };
    }
}

/// The position behind the comma that ends the descriptors which begin at `at`.
fn skip_descriptors(bytes: &[u8], at: usize) -> usize {
    let mut in_parentheses = false;
    for (i, &b) in bytes.iter().enumerate().skip(at) {
        match b {
            b'(' => in_parentheses = true,
            b')' => in_parentheses = false,
            b',' if !in_parentheses => return i + 1,
            _ => {}
        }
    }
    bytes.len()
}

fn skip(bytes: &[u8], at: usize, while_: impl Fn(u8) -> bool) -> usize {
    at + bytes[at..].iter().take_while(|&&b| while_(b)).count()
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After the Web Platform Tests' parse-a-srcset-attribute.html.
    #[test]
    fn candidates_are_those_of_the_standard() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (",", &[]),
            (" ,,, ", &[]),
            ("a", &["a"]),
            ("a 1x", &["a"]),
            ("a,", &["a"]),
            ("a,,,", &["a"]),
            ("a, b 2x", &["a", "b"]),
            ("a,b", &["a,b"]),
            ("a,b 1x,c", &["a,b", "c"]),
            (",a 1x ,\n b\t2x", &["a", "b"]),
            ("data:,a 1x", &["data:,a"]),
            ("data:,a,", &["data:,a"]),
            ("data:,a ( , data:,b 1x, ), data:,c", &["data:,a", "data:,c"]),
            ("a ( , b", &["a"]),
            ("a (, ) 1x, b", &["a", "b"]),
            ("a ((, ), b", &["a", "b"]),
            ("a\u{b}b 1x", &["a\u{b}b"]),
            ("a 100w 20h, b", &["a", "b"]),
            ("https://x.nl/w_2,h_3/a.jpg 2x, /é.jpg", &["https://x.nl/w_2,h_3/a.jpg", "/é.jpg"]),
        ];
        for (srcset, urls) in table {
            let found: Vec<_> = candidates(srcset).into_iter().map(|span| &srcset[span]).collect();
            assert_eq!(found, *urls, "{srcset:?}");
        }
    }
}
