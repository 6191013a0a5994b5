//! Targeted cache control (RFC 9213): fields for one kind of cache, in strict
//! structured syntax. A field with any error counts as if it were not there.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::response::{DecidedBy, Reader, ResponseDirectives};
use super::syntax::Directive;

/// The target list (RFC 9213 §2.2): ours first.
const TARGETS: [(HeaderName, DecidedBy); 2] = [
    (HeaderName::from_static("awning-cache-control"), DecidedBy::AwningCacheControl),
    (HeaderName::from_static("cdn-cache-control"), DecidedBy::CdnCacheControl),
];

/// The directives of the first field of the list that is valid and not empty.
pub(super) fn of(headers: &HeaderMap) -> Option<ResponseDirectives> {
    TARGETS.iter().find_map(|(name, decided_by)| {
        let dictionary = dictionary(headers, name)?;
        let mut found = Reader::new(*decided_by);
        for (name, entry) in &dictionary {
            // A list of values is nothing that a directive takes.
            let ListEntry::Item(value) = entry else { continue };
            take(&mut found, name.as_str(), &value.bare_item);
        }
        Some(found.directives)
    })
}

fn dictionary(headers: &HeaderMap, name: &HeaderName) -> Option<Dictionary> {
    let mut lines = headers.get_all(name).into_iter();
    let mut whole = lines.next()?.as_bytes().to_vec();
    for line in lines {
        whole.extend_from_slice(b", ");
        whole.extend_from_slice(line.as_bytes());
    }
    let dictionary: Dictionary = Parser::new(&whole).parse().ok()?;
    (!dictionary.is_empty()).then_some(dictionary)
}

/// The types that a directive's value may have (RFC 9213 §2.1): an integer
/// where it is a time, a string or token where it lists fields, else `true`.
///
/// A value of another type leaves the directive without a readable argument.
fn take(found: &mut Reader, name: &str, value: &BareItem) {
    let argument = match value {
        BareItem::Boolean(true) => None,
        BareItem::Boolean(false) => return,
        BareItem::Integer(number) => Some(i64::from(*number).to_string()),
        BareItem::String(text) => Some(text.as_str().to_owned()),
        BareItem::Token(text) => Some(text.as_str().to_owned()),
        _ => Some(String::new()),
    };
    let numeric = matches!(value, BareItem::Integer(_));
    // Digits in quotes are no time here, as they are in `Cache-Control`.
    let argument = argument.map(|text| if numeric { text } else { not_a_number(text) });
    found.take(&Directive { name: name.to_owned(), argument: argument.map(Cow::Owned) });
}

fn not_a_number(text: String) -> String {
    if text.bytes().all(|b| b.is_ascii_digit()) { String::new() } else { text }
}
