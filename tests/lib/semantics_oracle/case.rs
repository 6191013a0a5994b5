//! Made-up exchanges: a request, its response, and a later request.

use std::time::{Duration, SystemTime};

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::received;

/// The URI of all requests.
pub(super) const TARGET: &str = "https://shop.nl/a";

/// Stands for a byte that is no text.
pub(super) const NO_TEXT: char = '\u{ff}';

/// Lines of a message, in order.
pub(super) type Lines = Vec<(&'static str, String)>;

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) method: Method,
    pub(super) request: Lines,
    pub(super) status: StatusCode,
    pub(super) response: Lines,
    pub(super) later: Lines,
    /// The time between the response and the later request.
    pub(super) delay: Duration,
    /// The dates of the response: as they are written, and as they are in the
    /// preferred form; `0` for what is no date.
    pub(super) dates: Vec<(String, String)>,
}

/// Of the directives, the first ones.
const ORDINARY: usize = 9;

const RESPONSE_DIRECTIVES: &[&str] = &[
    "max-age=60",
    "max-age=60",
    "max-age=60",
    "max-age=60",
    "max-age=600",
    "max-age=600",
    "public",
    "public",
    "no-transform",
    "max-age=0",
    "Max-Age=60",
    "max-age=\"60\"",
    "max-age='60'",
    "max-age=060",
    "max-age=abc",
    "max-age=-60",
    "max-age=+60",
    "max-age",
    "max-age =60",
    "max-age= 60",
    "max-age=99999999999999999999999",
    "max-age=60, max-age=600",
    "s-maxage=60",
    "S-MaxAge=600",
    "Private",
    "private=\"x-name\"",
    "no-cache",
    "No-Cache",
    "no-cache=\"x-name, set-cookie\"",
    "no-store",
    "NO-STORE",
    "must-revalidate",
    "Must-Revalidate",
    "proxy-revalidate",
    "no-store, must-understand",
    "must-understand",
    "immutable",
    "stale-while-revalidate=30",
    "x=\"no-store, max-age=1\"",
    "x=\"no-cache\"",
    "z=\u{ff}",
];

/// Targeted fields: what they say, and whether that is a dictionary.
pub(super) const TARGETED: &[(&str, bool)] = &[
    ("max-age=60", true),
    ("no-store", true),
    ("private", true),
    ("no-cache", true),
    ("max-age=0", true),
    ("max-age=60, stale-while-revalidate=30", true),
    ("max-age=600, &&&", false),
    ("MAX-AGE=600", false),
    ("", false),
];

const LATER_CACHE_CONTROL: &[&str] = &[
    "no-cache",
    "No-Cache",
    "max-age=0",
    "max-age=10",
    "max-age=\"10\"",
    "min-fresh=20",
    "max-stale",
    "Max-Stale",
    "max-stale=20",
    "max-stale=x",
    "max-stale=20, max-age=70",
    "max-stale",
    "no-store",
    "x=\"no-cache, \"",
];

const STATUSES: &[u16] = &[
    203, 204, 301, 302, 308, 404, 410, 501, 201, 299, 303, 400, 403, 451, 499, 500, 503, 599, 304,
    412, 416, 429, 511,
];

const DELAYS: &[u64] = &[
    0, 5, 5, 5, 10, 10, 10, 10, 20, 29, 30, 31, 40, 50, 59, 60, 61, 79, 80, 81, 90, 91, 100, 599,
    600, 601, 90_000, 90_000, 90_000,
];

impl Case {
    pub(super) fn made_up(rng: &mut Rng) -> Self {
        let (request, later) = selecting(rng);
        let mut case = Self {
            method: Method::GET,
            request,
            status: StatusCode::OK,
            response: Vec::new(),
            later,
            delay: Duration::from_secs(pick(rng, DELAYS)),
            dates: Vec::new(),
        };
        case.make_up_request(rng);
        case.make_up_response(rng);
        case.make_up_dates(rng);
        case
    }

    pub(super) fn request(&self) -> HeaderMap {
        fields(&self.request)
    }

    pub(super) fn response(&self) -> HeaderMap {
        fields(&self.response)
    }

    pub(super) fn later(&self) -> HeaderMap {
        fields(&self.later)
    }

    fn make_up_request(&mut self, rng: &mut Rng) {
        match rng.u8(..40) {
            0 => self.method = Method::HEAD,
            1 => self.method = Method::PUT,
            2 => self.method = Method::POST,
            3 | 4 => {
                self.method = Method::POST;
                self.response.push(("content-location", "/a".to_owned()));
            }
            _ => {}
        }
        match rng.u8(..10) {
            0 => self.request.push(("authorization", "Basic x".to_owned())),
            1 => self.request.push(("cache-control", pick(rng, &["no-store", "No-Store"]).into())),
            _ => {}
        }
        let pragma = ("pragma", "no-cache".to_owned());
        match rng.u8(..20) {
            0 => self.later.push(pragma),
            1 | 2 => {
                self.later.push(pragma);
                self.later.push(("cache-control", "max-age=1000".to_owned()));
            }
            3..=9 => {
                let directives = pick(rng, LATER_CACHE_CONTROL).to_owned();
                self.later.push(("cache-control", directives));
            }
            _ => {}
        }
    }

    fn make_up_response(&mut self, rng: &mut Rng) {
        if rng.u8(..6) == 0 {
            self.status = StatusCode::from_u16(pick(rng, STATUSES)).unwrap();
        }
        // One in three says nothing out of the ordinary.
        let known = &RESPONSE_DIRECTIVES
            [..if rng.u8(..3) == 0 { ORDINARY } else { RESPONSE_DIRECTIVES.len() }];
        let mut directives: Vec<&str> = (0..rng.usize(..4)).map(|_| pick(rng, known)).collect();
        // What immutable means for a stale response is another question.
        if directives.contains(&"immutable") {
            directives.retain(|directive| !directive.starts_with("stale"));
        }
        let (one, other) = directives.split_at(if rng.bool() { directives.len() } else { 0 });
        for line in [one, other].into_iter().filter(|line| !line.is_empty()) {
            self.response.push(("cache-control", line.join(", ")));
        }
        for name in ["cdn-cache-control", "awning-cache-control"] {
            if rng.u8(..10) == 0 {
                self.response.push((name, pick(rng, TARGETED).0.to_owned()));
            }
        }
        let mut sometimes = |name, value: &str| {
            if rng.u8(..8) == 0 {
                self.response.push((name, value.to_owned()));
            }
        };
        sometimes("set-cookie", "a=b");
        sometimes("pragma", "no-cache");
        if rng.bool() {
            self.response.push(("etag", "\"a\"".to_owned()));
        }
        let age: &[&str] = match rng.u8(..20) {
            0 | 1 => &["20"],
            2 => &["20, 0"],
            3 => &["abc"],
            4 => &["+20"],
            5 => &["99999999999999999999"],
            6 => &["0", "500"],
            _ => &[],
        };
        self.response.extend(age.iter().map(|age| ("age", (*age).to_owned())));
        if rng.u8(..4) == 0 {
            let names = ["foo", "Foo", "*", "foo, *", ", *", "accept-language", "accept-encoding"];
            self.response.push(("vary", pick(rng, &names).to_owned()));
        }
    }

    fn make_up_dates(&mut self, rng: &mut Rng) {
        if rng.bool() {
            self.push_date(rng, "date", &[0, 0, -40, 40]);
        }
        if rng.u8(..3) == 0 {
            self.push_date(rng, "expires", &[30, 60, 300, -30, 0]);
            if rng.u8(..8) == 0 {
                self.push_date(rng, "expires", &[300]);
            }
        }
        if rng.u8(..3) == 0 {
            self.push_date(rng, "last-modified", &[-600, -9_000_000, 100]);
        }
    }

    /// A field with a date so many seconds from the receipt, in some form.
    fn push_date(&mut self, rng: &mut Rng, name: &'static str, offsets: &[i64]) {
        let offset = pick(rng, offsets);
        let distance = Duration::from_secs(offset.unsigned_abs());
        let instant = if offset < 0 { received() - distance } else { received() + distance };
        let plain = httpdate::fmt_http_date(instant);
        let (written, means) = match rng.u8(..24) {
            0 => (rfc850(instant), plain),
            1 => (asctime(instant), plain),
            2 => (plain.to_lowercase(), plain),
            3 => (plain.to_uppercase(), plain),
            4 => (plain.replace("GMT", "+0000"), "0".to_owned()),
            5 => (plain.replace("GMT", "AEST"), "0".to_owned()),
            6 => (plain.replace(", ", ",  "), "0".to_owned()),
            7 => ("0".to_owned(), "0".to_owned()),
            _ => (plain.clone(), plain),
        };
        self.dates.push((written.clone(), means));
        self.response.push((name, written));
    }
}

/// What the two requests say in the selecting fields: much that means the same
/// in other words, and some that does not.
fn selecting(rng: &mut Rng) -> (Lines, Lines) {
    let mut lines = || {
        let values: &[&str] = match rng.u8(..5) {
            0 => &["1, 2"],
            1 => &["1 ,2"],
            2 => &["1", "2"],
            3 => &["1"],
            _ => &[],
        };
        let languages = ["nl, en", "EN,nl", "en , Nl", "de"];
        let codings = ["gzip", "x-gzip, br;q=0", "br, gzip", "gzip, deflate, br, zstd", "identity"];
        let mut lines: Lines = values.iter().map(|value| ("foo", (*value).to_owned())).collect();
        if rng.u8(..4) > 0 {
            lines.push(("accept-language", pick(rng, &languages).to_owned()));
        }
        if rng.u8(..4) > 0 {
            lines.push(("accept-encoding", pick(rng, &codings).to_owned()));
        }
        lines
    };
    (lines(), lines())
}

fn rfc850(instant: SystemTime) -> String {
    // `Tue, 14 Nov 2023 22:13:20 GMT`
    let plain = httpdate::fmt_http_date(instant);
    let day = match &plain[..3] {
        "Tue" => "Tuesday",
        "Wed" => "Wednesday",
        "Thu" => "Thursday",
        "Sat" => "Saturday",
        "Sun" => "Sunday",
        "Mon" => "Monday",
        _ => "Friday",
    };
    format!("{day}, {}-{}-{} {}", &plain[5..7], &plain[8..11], &plain[14..16], &plain[17..])
}

fn asctime(instant: SystemTime) -> String {
    let plain = httpdate::fmt_http_date(instant);
    let day = plain[5..7].trim_start_matches('0');
    format!("{} {} {day:>2} {} {}", &plain[..3], &plain[8..11], &plain[17..25], &plain[12..16])
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

fn fields(lines: &Lines) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let bytes: Vec<u8> =
            value.chars().map(|c| if c == NO_TEXT { 0xff } else { c as u8 }).collect();
        let name = HeaderName::from_static(name);
        fields.append(name, HeaderValue::from_bytes(&bytes).unwrap());
    }
    fields
}
