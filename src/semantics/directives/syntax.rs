//! The syntax of `Cache-Control` (RFC 9111 §5.2): names in any case, arguments
//! as tokens or quoted strings, numbers that may be greater than any cache's.

use std::borrow::Cow;
use std::time::Duration;

use crate::semantics::field;

/// The longest time that a directive can say. Greater numbers are taken for
/// this one (RFC 9111 §1.2.2: 2^31 seconds, 68 years).
pub const DELTA_MAX: Duration = Duration::from_secs(1 << 31);

/// One directive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Directive<'a> {
    /// In lower case.
    pub(super) name: String,
    pub(super) argument: Option<Cow<'a, str>>,
}

impl<'a> Directive<'a> {
    /// The directives of one line. What has no name is left out.
    pub(super) fn all(line: &'a str) -> impl Iterator<Item = Directive<'a>> {
        field::split(line).filter_map(Self::parse)
    }

    /// Space around `=` is not allowed, and belongs to the argument, which it
    /// makes invalid; the name is known all the same, so that `no-store =1`
    /// forbids as it was meant to.
    fn parse(member: &'a str) -> Option<Self> {
        let (name, argument) = match member.split_once('=') {
            Some((name, argument)) if name.ends_with([' ', '\t']) => {
                (name.trim_end_matches([' ', '\t']), Some(Cow::Owned(format!(" {argument}"))))
            }
            Some((name, argument)) => (name, Some(unquoted(argument))),
            None => (member, None),
        };
        let name = name.to_ascii_lowercase();
        (!name.is_empty()).then_some(Self { name, argument })
    }

    /// The argument as `delta-seconds` (RFC 9111 §1.2.2): digits alone.
    /// `Err` where there is no such argument.
    pub(super) fn seconds(&self) -> Result<Duration, Unreadable> {
        delta_seconds(self.argument.as_deref().unwrap_or_default()).ok_or(Unreadable)
    }
}

/// An argument that is not what its directive wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unreadable;

/// Digits as seconds, at most [`DELTA_MAX`].
pub(in crate::semantics) fn delta_seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Digits that are no number are too many of them.
    digits.then(|| text.parse().map_or(DELTA_MAX, Duration::from_secs).min(DELTA_MAX))
}

/// The content of a quoted string (RFC 9110 §5.6.4); any other text as it is.
fn unquoted(text: &str) -> Cow<'_, str> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let Some(inner) = inner else { return Cow::Borrowed(text) };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut content = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        content.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn directives_are_read_in_all_their_forms() {
        let table = [
            ("Max-Age=5", "max-age", Some("5")),
            ("max-age=\"5\"", "max-age", Some("5")),
            ("max-age='5'", "max-age", Some("'5'")),
            ("max-age =5", "max-age", Some(" 5")),
            ("max-age= 5", "max-age", Some(" 5")),
            ("max-age=", "max-age", Some("")),
            ("max-age", "max-age", None),
            ("no-cache=\"a, \\\"b\"", "no-cache", Some("a, \"b")),
            ("x=\"y", "x", Some("\"y")),
            ("x=\"", "x", Some("\"")),
        ];
        for (text, name, argument) in table {
            let found: Vec<_> = Directive::all(text).collect();
            assert_eq!(found.len(), 1, "{text:?}");
            assert_eq!(found[0].name, name, "{text:?}");
            assert_eq!(found[0].argument.as_deref(), argument, "{text:?}");
        }
        assert_eq!(Directive::all("=5, ,").count(), 0);
    }

    #[test]
    fn seconds_are_digits_and_saturate() {
        let table = [
            ("0", Some(0)),
            ("003600", Some(3600)),
            ("2147483648", Some(1 << 31)),
            ("2147483649", Some(1 << 31)),
            ("99999999999999999999999", Some(1 << 31)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
            ("١", None),
        ];
        for (text, expected) in table {
            assert_eq!(delta_seconds(text), expected.map(Duration::from_secs), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_a_panic(line in "[ -~\u{e9}]{0,60}") {
            for directive in Directive::all(&line) {
                prop_assert!(!directive.name.is_empty());
                let _read = directive.seconds();
            }
        }
    }
}
