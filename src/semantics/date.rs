//! `HTTP-date` (RFC 9110 §5.6.7): the three legal forms and nothing else.
//!
//! Days, months and `GMT` are read in any case, because the obsolete forms are
//! found in the wild in any; zones, missing commas and short hours are not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The first second after what four digits of a year can say.
const END_OF_DATES: u64 = 253_402_300_800;

/// The instant that a text names; `None` when it is none of the three forms.
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim_matches([' ', '\t']);
    httpdate::parse_http_date(&canonical_case(text)).ok()
}

/// The instant that a field of its own names. A field that is there several
/// times names none (RFC 9110 §5.3: it is not a list).
pub fn field(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut lines = headers.get_all(name).into_iter();
    let only = lines.next().filter(|_| lines.next().is_none())?;
    parse(only.to_str().ok()?)
}

/// An instant as a field's value, in whole seconds. What lies outside of the
/// years that can be written is moved to their edge.
pub fn to_header(instant: SystemTime) -> HeaderValue {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let written = UNIX_EPOCH + Duration::from_secs(since.min(END_OF_DATES - 1));
    // Letters, digits and punctuation of ASCII are always a value.
    HeaderValue::from_str(&httpdate::fmt_http_date(written))
        .unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Words as the standard spells them: `Sun`, `Nov`, `GMT`.
fn canonical_case(text: &str) -> String {
    let mut inside = false;
    let mut spelled: String = text
        .chars()
        .map(|c| {
            let first = !std::mem::replace(&mut inside, c.is_ascii_alphabetic());
            if first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
        })
        .collect();
    if let Some(zone) = spelled.strip_suffix("Gmt") {
        spelled = format!("{zone}GMT");
    }
    spelled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_three_forms_are_dates_and_their_case_does_not_matter() {
        let at = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", at),
            ("Sunday, 06-Nov-94 08:49:37 GMT", at),
            ("Sun Nov  6 08:49:37 1994", at),
            ("sun, 06 NOV 1994 08:49:37 gmt", at),
            ("SUNDAY, 06-nov-94 08:49:37 Gmt", at),
            ("sun nov  6 08:49:37 1994", at),
            ("  Sun, 06 Nov 1994 08:49:37 GMT\t", at),
            ("Sun, 06 Nov 1994 08:49:37 UTC", None),
            ("Sun, 06 Nov 1994 08:49:37 AEST", None),
            ("Sun, 06 Nov 1994 08:49:37 +0000", None),
            ("Sun, 06 Nov 94 08:49:37 GMT", None),
            ("Sun 06 Nov 1994 08:49:37 GMT", None),
            ("Sun,  06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06-Nov-1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08.49.37 GMT", None),
            ("Sun, 6 Nov 1994 08:49:37 GMT", None),
            ("Mon, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("784111777", None),
            ("0", None),
            ("-1", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_date_that_is_there_twice_is_none() {
        let value = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        let mut headers = HeaderMap::new();
        assert_eq!(field(&headers, &http::header::DATE), None);
        headers.append("date", value.clone());
        assert!(field(&headers, &http::header::DATE).is_some());
        headers.append("date", value);
        assert_eq!(field(&headers, &http::header::DATE), None);
    }

    #[test]
    fn instants_outside_of_the_calendar_are_written_as_its_edges() {
        let table = [
            (UNIX_EPOCH - Duration::from_secs(5), "Thu, 01 Jan 1970 00:00:00 GMT"),
            (UNIX_EPOCH + Duration::from_secs(END_OF_DATES), "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (instant, expected) in table {
            assert_eq!(to_header(instant), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,40}") {
            let _read = parse(&text);
        }

        #[test]
        fn what_is_written_is_read_again(seconds in 0..END_OF_DATES) {
            let instant = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(parse(to_header(instant).to_str().unwrap()), Some(instant));
        }
    }
}
