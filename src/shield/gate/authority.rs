//! The host and port a visitor names, checked against the only forms that a
//! site can have: a registered name of letters, digits, `-`, `_` and `.`, an
//! IPv4 address, or an IPv6 address in brackets.

use std::net::Ipv6Addr;

/// Longest name DNS knows, plus brackets or a port.
const LENGTH_MAX: usize = 262;

/// A host with an optional port, as a visitor named it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Authority {
    text: String,
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host[:port]`; user information is refused like anything else
    /// that is not a host.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > LENGTH_MAX {
            return None;
        }
        let (host, rest) = match text.strip_prefix('[') {
            Some(inside) => {
                let (address, rest) = inside.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (format!("[{}]", address.to_ascii_lowercase()), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (registered_name(&text[..end])?, &text[end..])
            }
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { text: text.to_owned(), host, port })
    }

    /// The host, and exactly what the visitor wrote.
    pub(super) fn into_texts(self) -> (String, String) {
        (self.host, self.text)
    }

    /// In lower case, without port and trailing dot.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether both name the same host and, under `scheme`, the same port.
    pub(super) fn same_as(&self, other: &Self, scheme: &str) -> bool {
        let default = if scheme == "https" { 443 } else { 80 };
        let port = |authority: &Self| authority.port.unwrap_or(default);
        self.host == other.host && port(self) == port(other)
    }
}

fn registered_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| !label.is_empty() && label.bytes().all(known);
    (name.len() <= 253 && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_compared_without_case_port_and_trailing_dot() {
        for (text, host) in [
            ("www.example.nl", "www.example.nl"),
            ("WWW.Example.NL:8080", "www.example.nl"),
            ("www.example.nl.", "www.example.nl"),
            ("www.example.nl.:443", "www.example.nl"),
            ("localhost:", "localhost"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("my_shop", "my_shop"),
        ] {
            let authority = Authority::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(authority.host(), host);
            assert_eq!(authority.into_texts(), (host.to_owned(), text.to_owned()));
        }
    }

    #[test]
    fn anything_but_a_host_and_port_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a@b",
            "a/b",
            "a?b",
            "a,b",
            "a#b",
            "a\\b",
            "a%41",
            "é.nl",
            "a:b",
            "a:80:80",
            "a:99999",
            "a:+80",
            "::1",
            "[::1",
            "[::1]x",
            "[x]",
            "[]",
            &"a".repeat(300),
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_scheme_decides_which_port_may_be_left_out() {
        let parse = |text| Authority::parse(text).unwrap();
        assert!(parse("a.nl").same_as(&parse("A.nl:80"), "http"));
        assert!(parse("a.nl").same_as(&parse("a.nl.:443"), "https"));
        assert!(!parse("a.nl").same_as(&parse("a.nl:443"), "http"));
        assert!(!parse("a.nl").same_as(&parse("b.nl"), "http"));
    }
}
