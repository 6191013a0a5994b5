//! What a trusted proxy says of its visitor, and how far it is believed.
//!
//! `Forwarded` (RFC 7239) is never read: Traefik passes a visitor's own one.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// `X-Forwarded-For`.
pub(crate) const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Host`.
pub(crate) const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Proto`.
pub(crate) const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Most addresses of a chain that are looked at.
const CHAIN_MAX: usize = 32;

/// Whether `address` belongs to a trusted proxy.
pub(crate) fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| net.contains(&address))
}

/// The visitor's address: the rightmost one that is not a trusted proxy's,
/// since everything left of it is the visitor's own claim.
pub(super) fn client(trusted: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer.to_canonical();
    for element in elements_from_the_right(headers, &FOR).take(CHAIN_MAX) {
        if !is_trusted(trusted, client) {
            break;
        }
        match address(element) {
            Some(next) => client = next.to_canonical(),
            None => break,
        }
    }
    client
}

/// The scheme the visitor used, as the nearest proxy saw it.
pub(super) fn scheme(headers: &HeaderMap) -> Option<&'static str> {
    let nearest = elements_from_the_right(headers, &PROTO).next()?;
    Some(if nearest.eq_ignore_ascii_case("https") { "https" } else { "http" })
}

/// The host the visitor named, as the nearest proxy saw it.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    elements_from_the_right(headers, &HOST).next()
}

fn elements_from_the_right<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let elements = lines.flat_map(|line| line.split(','));
    // Only the lines are double-ended; the few elements are turned round here.
    let elements = elements.map(str::trim).filter(|element| !element.is_empty());
    elements.collect::<Vec<_>>().into_iter().rev()
}

fn address(element: &str) -> Option<IpAddr> {
    let bare = element.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let plain = bare.unwrap_or(element).parse().ok();
    plain.or_else(|| element.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &HeaderName, lines: &[&'static str]) -> HeaderMap {
        let value = |line: &&'static str| http::HeaderValue::from_static(line);
        lines.iter().map(|line| (name.clone(), value(line))).collect()
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_trusted() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, lines, client) in [
            ("10.0.0.1", &["203.0.113.9"][..], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("fd00::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
        ] {
            let found = super::client(&trusted, peer.parse().unwrap(), &said(&FOR, lines));
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn the_scheme_is_what_the_nearest_proxy_saw() {
        for (lines, expected) in [
            (&["https"][..], Some("https")),
            (&["HTTPS"], Some("https")),
            (&["https, http"], Some("http")),
            (&["http", "https"], Some("https")),
            (&["gopher"], Some("http")),
            (&[], None),
        ] {
            assert_eq!(scheme(&said(&PROTO, lines)), expected, "{lines:?}");
        }
    }
}
