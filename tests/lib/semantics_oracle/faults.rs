//! Where `http-cache-semantics` 3.0 departs from the standards, or decides
//! what they leave open in another way than awning does.

use std::time::Duration;

use http::{Method, StatusCode};

use super::case::{Case, Lines, NO_TEXT, TARGETED};
use super::{policy, received};

/// One fault.
pub(super) struct Fault {
    pub(super) name: &'static str,
    /// The rule that it breaks, or the choice that differs.
    pub(super) rule: &'static str,
    /// Puts an exchange that meets the fault into other words that mean, by
    /// the rule, the same. Those before it in the list were applied already.
    pub(super) put_plainly: fn(&mut Case),
}

pub(super) const KNOWN: &[Fault] = &[
    Fault {
        name: "targeted fields are not known",
        rule: "RFC 9213 §2.2",
        put_plainly: |case| {
            let target = ["awning-cache-control", "cdn-cache-control"].iter().find_map(|name| {
                let (_, value) = case.response.iter().find(|(other, _)| other == name)?;
                TARGETED.iter().find(|(text, valid)| text == value && *valid)
            });
            let Some((text, _)) = target else { return };
            case.response.retain(|(name, _)| !["cache-control", "expires"].contains(name));
            case.response.push(("cache-control", (*text).to_owned()));
        },
    },
    Fault {
        name: "names of directives are compared by case",
        rule: "RFC 9111 §5.2",
        put_plainly: |case| each_cache_control(case, |text| *text = text.to_ascii_lowercase()),
    },
    Fault {
        name: "a line with a byte that is no text is not read",
        rule: "RFC 9110 §5.5: obs-text is part of a value",
        put_plainly: |case| each_cache_control(case, |text| *text = text.replace(NO_TEXT, "y")),
    },
    Fault {
        name: "commas inside of quoted strings separate directives",
        rule: "RFC 9110 §5.6.4",
        put_plainly: |case| {
            each_cache_control(case, |text| {
                *text = text.replace("\"no-store, max-age=1\"", "y").replace("\"no-cache, \"", "y");
            });
        },
    },
    Fault {
        name: "a qualified directive is about the whole response",
        rule: "RFC 9111 §5.2.2.4, §5.2.2.7",
        put_plainly: |case| {
            each_cache_control(case, |text| {
                *text = text.replace("no-cache=\"x-name, set-cookie\"", "y");
                *text = text.replace("private=\"x-name\"", "y");
            });
        },
    },
    Fault {
        name: "space around the equals sign is allowed",
        rule: "RFC 9111 §5.2: no OWS in cache-directive; §4.2.1: invalid freshness is stale",
        put_plainly: |case| {
            replace_directive(
                case,
                |text| ["max-age =60", "max-age= 60"].contains(&text),
                "max-age=0",
            );
        },
    },
    Fault {
        name: "max-age without an argument is not there",
        rule: "RFC 9111 §4.2.1: invalid freshness is stale",
        put_plainly: |case| replace_directive(case, |text| text == "max-age", "max-age=0"),
    },
    Fault {
        name: "a number may have a sign",
        rule: "RFC 9111 §1.2.2: delta-seconds is digits",
        put_plainly: |case| replace_directive(case, |text| text == "max-age=+60", "max-age=0"),
    },
    Fault {
        name: "a number past 2^64 is zero",
        rule: "RFC 9111 §1.2.2: it is 2^31",
        put_plainly: |case| {
            let too_great = |text: &str| text.starts_with("max-age=9999");
            replace_directive(case, too_great, "max-age=2147483648");
        },
    },
    Fault {
        name: "any directive that is there twice means must-revalidate",
        rule: "RFC 9111 §5.2.3: unknown directives are ignored; this one permits to share",
        put_plainly: |case| replace_directive(case, |text| text.starts_with("x="), "y"),
    },
    Fault {
        name: "of two different numbers the first counts",
        rule: "RFC 9111 §4.2.1 leaves the first or stale; awning takes stale",
        put_plainly: |case| one_of_each(case, &["max-age", "s-maxage"]),
    },
    Fault {
        name: "must-understand is not known",
        rule: "RFC 9111 §5.2.2.3",
        put_plainly: |case| {
            if !has(&case.response, "must-understand") {
                return;
            }
            let understood = ![299, 451, 499, 599].contains(&case.status.as_u16());
            if understood {
                replace_directive(case, |text| text == "no-store", "y");
            } else {
                case.response.push(("cache-control", "no-store".to_owned()));
            }
        },
    },
    Fault {
        name: "proxy-revalidate ends freshness",
        rule: "RFC 9111 §5.2.2.8: it is about stale responses, like must-revalidate",
        put_plainly: |case| {
            if has(&case.response, "proxy-revalidate") && add_must_revalidate(case) {
                replace_directive(case, |text| text == "proxy-revalidate", "y");
            }
        },
    },
    Fault {
        name: "s-maxage lets stale responses be used",
        rule: "RFC 9111 §5.2.2.10: it means proxy-revalidate",
        put_plainly: |case| {
            if value(&case.response, "s-maxage").is_some() {
                add_must_revalidate(case);
            }
        },
    },
    Fault {
        name: "max-stale lets no-cache responses be used",
        rule: "RFC 9111 §4.2.4",
        put_plainly: |case| {
            if has(&case.response, "no-cache") {
                add_must_revalidate(case);
            }
        },
    },
    Fault {
        name: "Set-Cookie ends freshness",
        rule: "RFC 9111 §7.3: it does not inhibit caching",
        put_plainly: |case| case.response.retain(|(name, _)| *name != "set-cookie"),
    },
    Fault {
        name: "Pragma counts in responses",
        rule: "RFC 9111 §5.4: it is defined for requests",
        put_plainly: |case| case.response.retain(|(name, _)| *name != "pragma"),
    },
    Fault {
        name: "Pragma counts beside Cache-Control",
        rule: "RFC 9111 §5.4",
        put_plainly: |case| {
            if case.later.iter().any(|(name, _)| *name == "cache-control") {
                case.later.retain(|(name, _)| *name != "pragma");
            }
        },
    },
    Fault {
        name: "a date has other forms than it may",
        rule: "RFC 9110 §5.6.7: three forms, whose words awning reads in any case",
        put_plainly: |case| {
            let dates = &case.dates;
            for (_, value) in &mut case.response {
                if let Some((_, plain)) = dates.iter().find(|(written, _)| written == value) {
                    value.clone_from(plain);
                }
            }
        },
    },
    Fault {
        name: "of two Expires the first counts",
        rule: "RFC 9111 §4.2.1 leaves the first or stale; awning takes stale",
        put_plainly: |case| {
            if case.response.iter().filter(|(name, _)| *name == "expires").count() > 1 {
                case.response.retain(|(name, _)| *name != "expires");
                case.response.push(("expires", "0".to_owned()));
            }
        },
    },
    Fault {
        name: "a status without rules of its own is not stored",
        rule: "RFC 9111 §3: any final status may be, with explicit freshness or public",
        put_plainly: |case| {
            let refused = [304, 412, 416, 429, 511].contains(&case.status.as_u16());
            if !refused && (is_explicit(case) || has(&case.response, "public")) {
                case.status = StatusCode::OK;
            }
        },
    },
    Fault {
        name: "the response to a POST does not answer a GET",
        rule: "RFC 9110 §9.3.3: it does, with explicit freshness and its own Content-Location",
        put_plainly: |case| {
            let located = case.response.iter().any(|(name, _)| *name == "content-location");
            if case.method == Method::POST && located && is_explicit(case) {
                case.method = Method::GET;
            }
        },
    },
    Fault {
        name: "a guessed lifetime has no bound",
        rule: "RFC 9111 §4.2.2 leaves it open; awning takes a day at most",
        put_plainly: |case| {
            let longest = Duration::from_secs(864_000);
            let earliest = date(case, "date").unwrap_or(received()) - longest;
            if date(case, "last-modified").is_some_and(|modified| modified < earliest) {
                set(&mut case.response, "last-modified", httpdate::fmt_http_date(earliest));
            }
        },
    },
    Fault {
        name: "an Age that is not one number is not read as its first",
        rule: "RFC 9111 §5.1, §1.2.2",
        put_plainly: |case| {
            let plain = match field(&case.response, "age") {
                Some("20, 0") => "20",
                Some("+20") => "0",
                Some("99999999999999999999") => "2147483648",
                _ => return,
            };
            set(&mut case.response, "age", plain.to_owned());
        },
    },
    Fault {
        name: "a response is not as old as its date",
        rule: "RFC 9111 §4.2.3: apparent_age",
        put_plainly: |case| {
            let made = date(case, "date").unwrap_or(received());
            let apparent = received().duration_since(made).unwrap_or_default().as_secs();
            let age = field(&case.response, "age").and_then(|age| age.parse().ok()).unwrap_or(0);
            set(&mut case.response, "age", apparent.max(age).to_string());
        },
    },
    Fault {
        name: "immutable gives a lifetime, and does not end reloads",
        rule: "RFC 8246 §2: it gives none, and answers reloads while fresh",
        put_plainly: |case| {
            if has(&case.response, "immutable") {
                replace_directive(case, |text| text == "immutable", "y");
                let reload = |text: &str| text.starts_with("max-age=");
                if !policy(case).is_stale(received() + case.delay) {
                    replace_in(&mut case.later, reload, "y");
                }
            }
        },
    },
    Fault {
        name: "only the first line of a selecting field counts, and space does",
        rule: "RFC 9111 §4.1: lines are joined, and space around commas is nothing",
        put_plainly: |case| {
            for lines in [&mut case.request, &mut case.later] {
                let values: Vec<String> =
                    all(lines, "foo").map(|text| text.replace(' ', "")).collect();
                if !values.is_empty() {
                    set(lines, "foo", values.join(","));
                }
            }
        },
    },
    Fault {
        name: "languages have case and order",
        rule: "RFC 4647 §2.1, RFC 9110 §12.4.2",
        put_plainly: |case| {
            for lines in [&mut case.request, &mut case.later] {
                let Some(list) = field(lines, "accept-language") else {
                    continue;
                };
                let list = list.to_ascii_lowercase();
                let mut languages: Vec<&str> = list.split(',').map(str::trim).collect();
                languages.sort_unstable();
                set(lines, "accept-language", languages.join(","));
            }
        },
    },
    Fault {
        name: "each way to write Accept-Encoding is a variant",
        rule: "RFC 9111 §4.1; awning asks its upstreams in three ways",
        put_plainly: |case| {
            for lines in [&mut case.request, &mut case.later] {
                let asked = match field(lines, "accept-encoding") {
                    Some("gzip" | "x-gzip, br;q=0") => "gzip",
                    Some("br, gzip" | "gzip, deflate, br, zstd") => "br",
                    _ => "identity",
                };
                set(lines, "accept-encoding", asked.to_owned());
            }
        },
    },
    Fault {
        name: "max-stale with an argument that is no number accepts anything",
        rule: "RFC 9111 §5.2.1.2, §1.2.2",
        put_plainly: |case| replace_in(&mut case.later, |text| text == "max-stale=x", "y"),
    },
    Fault {
        name: "max-stale accepts a second less than it says",
        rule: "RFC 9111 §5.2.1.2: no more than the number of seconds",
        put_plainly: |case| {
            replace_in(&mut case.later, |text| text == "max-stale=20", "max-stale=21");
        },
    },
    Fault {
        name: "what could only ever be used stale is stored",
        rule: "RFC 9111 §3 leaves it open; awning does not store it",
        put_plainly: |case| {
            let of_use =
                ["etag", "last-modified"].iter().any(|name| field(&case.response, name).is_some())
                    || value(&case.response, "stale-while-revalidate").is_some()
                    || policy(case).time_to_live(received()) > Duration::ZERO;
            if !of_use {
                case.response.push(("cache-control", "no-store".to_owned()));
            }
        },
    },
    Fault {
        name: "stale-while-revalidate is not known",
        rule: "RFC 5861 §3",
        put_plainly: |case| {
            let accepts = has(&case.later, "max-stale");
            if value(&case.response, "stale-while-revalidate").is_some() && !accepts {
                replace_in(&mut case.later, |text| text.starts_with("max-stale="), "y");
                case.later.push(("cache-control", "max-stale=31".to_owned()));
            }
        },
    },
];

fn is_explicit(case: &Case) -> bool {
    let numbers = ["max-age", "s-maxage"];
    numbers.iter().any(|name| value(&case.response, name).is_some())
        || field(&case.response, "expires").is_some()
}

/// Where `Authorization` is in the way, the response is not stored anyway, and
/// must-revalidate would be the permission to.
fn add_must_revalidate(case: &mut Case) -> bool {
    let authorized = field(&case.request, "authorization").is_some();
    let permitted = has(&case.response, "public")
        || has(&case.response, "must-revalidate")
        || value(&case.response, "s-maxage").is_some();
    if authorized && !permitted {
        return false;
    }
    case.response.push(("cache-control", "must-revalidate".to_owned()));
    true
}

/// Leaves one directive of each of these names: equal ones once, and zero for
/// those that disagree.
fn one_of_each(case: &mut Case, names: &[&str]) {
    for name in names {
        let number = |text: &str| {
            let (_, number) = text.split_once('=')?;
            Some(number.trim_matches('"').parse::<u64>().unwrap_or(0))
        };
        let mut numbers: Vec<u64> = directives(&case.response)
            .filter(|text| text.split('=').next() == Some(name))
            .filter_map(number)
            .collect();
        numbers.dedup();
        let agreed = match *numbers {
            [] => continue,
            [number] => number,
            _ => 0,
        };
        replace_directive(case, |text| text.split('=').next() == Some(name), "y");
        case.response.push(("cache-control", format!("{name}={agreed}")));
    }
}

fn each_cache_control(case: &mut Case, change: impl Fn(&mut String)) {
    for lines in [&mut case.request, &mut case.response, &mut case.later] {
        for (_, text) in lines.iter_mut().filter(|(name, _)| *name == "cache-control") {
            change(text);
        }
    }
}

fn replace_directive(case: &mut Case, which: impl Fn(&str) -> bool, by: &str) {
    replace_in(&mut case.response, which, by);
}

fn replace_in(lines: &mut Lines, which: impl Fn(&str) -> bool, by: &str) {
    for (_, text) in lines.iter_mut().filter(|(name, _)| *name == "cache-control") {
        let directives = text.split(',').map(str::trim);
        let replaced: Vec<&str> =
            directives.map(|directive| if which(directive) { by } else { directive }).collect();
        *text = replaced.join(", ");
    }
}

fn directives(lines: &Lines) -> impl Iterator<Item = &str> {
    all(lines, "cache-control").flat_map(|text| text.split(',')).map(str::trim)
}

fn has(lines: &Lines, directive: &str) -> bool {
    directives(lines).any(|text| text == directive)
}

/// A directive that has an argument, or should.
fn value<'a>(lines: &'a Lines, name: &str) -> Option<&'a str> {
    directives(lines).find(|text| text.split('=').next() == Some(name))
}

fn all<'a>(lines: &'a Lines, name: &str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_str())
}

fn field<'a>(lines: &'a Lines, name: &str) -> Option<&'a str> {
    all(lines, name).next()
}

fn set(lines: &mut Lines, name: &'static str, value: String) {
    lines.retain(|(other, _)| *other != name);
    lines.push((name, value));
}

fn date(case: &Case, name: &str) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(field(&case.response, name)?).ok()
}
