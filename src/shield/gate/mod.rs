//! The gate: one strict parse of a request's head, before anything acts on it.
//!
//! Whatever could be read in two ways is refused, because a cache and its
//! origin that read one request differently can be made to store one page
//! under the name of another. What hyper would hide from here (two equal
//! `Content-Length` lines, one beside `Transfer-Encoding`, `#fragment`, bare
//! line feeds) the listener's framing refuses before hyper sees it.

mod authority;
pub(crate) mod forwarded;
mod refusal;

use std::net::IpAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Version};

pub use refusal::Refusal;

use self::authority::Authority;
use super::GatedRequest;
use super::config::{Config, Limits, Serve, SiteConfig};
use super::listener::{Secure, Tunnel};

/// Longest name of a method; that of the longest registered one has 16 bytes.
const METHOD_BYTES_MAX: usize = 32;

/// Methods that are refused by name: `TRACE` echoes credentials, `CONNECT`
/// asks for a forward proxy, and purging has its own listener.
const METHODS_FORBIDDEN: &[&str] = &["CONNECT", "PURGE", "TRACE"];

/// Fields that `Connection` may not take away from the origin.
const NOT_HOP_BY_HOP: &str = "authorization cache-control content-length content-type cookie \
     expect host range transfer-encoding";

/// Admits the head of `request`, which came from `peer`.
pub fn admit<B>(
    request: &Request<B>,
    peer: IpAddr,
    config: &Config,
) -> Result<GatedRequest, Refusal> {
    let headers = request.headers().clone();
    Ok(GatedRequest { headers, ..without_fields(request, peer, config)? })
}

/// Admits a request whose header fields nobody else needs: they are moved.
pub(crate) fn admit_whole<B>(
    request: &mut Request<B>,
    peer: IpAddr,
    config: &Config,
) -> Result<GatedRequest, Refusal> {
    let admitted = without_fields(request, peer, config)?;
    Ok(GatedRequest { headers: std::mem::take(request.headers_mut()), ..admitted })
}

/// What is known of a request that may pass, but for its header fields.
fn without_fields<B>(
    request: &Request<B>,
    peer: IpAddr,
    config: &Config,
) -> Result<GatedRequest, Refusal> {
    size(request, &config.limits)?;
    method(request.method())?;
    framing(request.headers())?;
    connection_options(request.headers())?;
    expectation(request.headers())?;
    let path = path(request)?;
    let query = request.uri().query().map(plain_query).transpose()?;
    let from_trusted_proxy = forwarded::is_trusted(&config.trusted_proxies, peer);
    let believed = from_trusted_proxy.then_some(request.headers());
    let secure = request.extensions().get::<Secure>();
    let scheme = match believed.and_then(forwarded::scheme) {
        Some(scheme) => scheme,
        None if secure.is_some() => "https",
        None => "http",
    };
    let named = named_authority(request, scheme)?;
    // A proxy may know the shield by another name than its visitors do.
    if !from_trusted_proxy && secure.is_some_and(|secure| !secure.may_ask_for(named.host())) {
        return Err(Refusal::NameDiffers);
    }
    let authority = match believed.and_then(forwarded::host) {
        Some(text) => Authority::parse(text).ok_or(Refusal::HostMalformed)?,
        None => named,
    };
    let (host, authority) = authority.into_texts();
    Ok(GatedRequest {
        method: request.method().clone(),
        scheme,
        host,
        authority,
        path,
        query,
        headers: HeaderMap::new(),
        client: forwarded::client(&config.trusted_proxies, peer, request.headers()),
        peer,
        from_trusted_proxy,
        tunnel: request.extensions().get::<Tunnel>().cloned(),
    })
}

/// What holds only for some sites: a request for an asset has no body, and a
/// path to one means the same before and after decoding. What is asked with
/// another method is the site's to refuse.
pub fn admit_to_site(
    site: &SiteConfig,
    request: &GatedRequest,
    has_body: bool,
) -> Result<(), Refusal> {
    let names_asset = match site.serve {
        Serve::Assets | Serve::Release => true,
        Serve::Storefront { .. } => request.path.starts_with("/_a/"),
    };
    let reads = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if names_asset && reads && has_body {
        return Err(Refusal::BodyUnwelcome);
    }
    if names_asset && encodes_separator(&request.path) {
        return Err(Refusal::PathEncoded);
    }
    Ok(())
}

fn size<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let headers = request.headers();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let bytes = request.method().as_str().len() + target + fields.sum::<usize>();
    if headers.len() > limits.header_fields_max || bytes > limits.head_bytes_max {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(())
}

/// Any method goes to a storefront (RFC 9110 §9.1 leaves the list open), as
/// long as it is written as registered ones are. Names differ by case, and an
/// origin that takes `get` for GET would do what was not admitted as that.
fn method(method: &Method) -> Result<(), Refusal> {
    let name = method.as_str();
    if METHODS_FORBIDDEN.contains(&name) {
        return Err(Refusal::MethodForbidden);
    }
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
    if name.len() <= METHOD_BYTES_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Refusal::MethodUnknown)
}

fn framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (coding, length) = (codings.next(), lengths.next());
    if coding.is_some_and(|coding| coding != "chunked") || codings.next().is_some() {
        return Err(Refusal::TransferEncoding);
    }
    let digits = |value: &http::HeaderValue| value.as_bytes().iter().all(u8::is_ascii_digit);
    let twice = lengths.next().is_some() || (coding.is_some() && length.is_some());
    if twice || length.is_some_and(|length| length.is_empty() || !digits(length)) {
        return Err(Refusal::BodyLength);
    }
    Ok(())
}

fn connection_options(headers: &HeaderMap) -> Result<(), Refusal> {
    let refused = |option: &str| {
        let option = option.to_ascii_lowercase();
        NOT_HOP_BY_HOP.split(' ').any(|name| name == option) || option.starts_with("x-forwarded-")
    };
    for value in headers.get_all(CONNECTION) {
        let text = value.to_str().map_err(|_| Refusal::ConnectionOption)?;
        if text.split(',').map(str::trim).any(refused) {
            return Err(Refusal::ConnectionOption);
        }
    }
    Ok(())
}

fn expectation(headers: &HeaderMap) -> Result<(), Refusal> {
    let known = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get_all(EXPECT).iter().all(known) { Ok(()) } else { Err(Refusal::Expectation) }
}

fn path<B>(request: &Request<B>) -> Result<String, Refusal> {
    let uri = request.uri();
    if uri.authority().is_some() && uri.scheme().is_none() || uri.path() == "*" {
        return Err(Refusal::TargetForm);
    }
    let path = uri.path();
    if !path.starts_with('/') {
        return Err(Refusal::TargetForm);
    }
    if path.starts_with("//") {
        return Err(Refusal::PathOfHost);
    }
    if path.bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'\\' | b'#')) {
        return Err(Refusal::TargetMalformed);
    }
    Ok(path.to_owned())
}

/// Browsers send backslashes and some other odd bytes raw in a query, but
/// never bytes outside ASCII.
fn plain_query(query: &str) -> Result<String, Refusal> {
    if query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        Ok(query.to_owned())
    } else {
        Err(Refusal::TargetMalformed)
    }
}

/// The authority of the target and of `Host`, which must agree.
fn named_authority<B>(request: &Request<B>, scheme: &str) -> Result<Authority, Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::HostRepeated);
    }
    let parse = |text: &str| Authority::parse(text).ok_or(Refusal::HostMalformed);
    let read = |value: &http::HeaderValue| {
        value.to_str().map_err(|_| Refusal::HostMalformed).and_then(parse)
    };
    let host = host.map(read).transpose()?;
    let target = request.uri().authority().map(|target| parse(target.as_str())).transpose()?;
    if request.uri().scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(Refusal::TargetForm);
    }
    match (host, target) {
        (Some(host), None) => Ok(host),
        (Some(host), Some(target)) if host.same_as(&target, scheme) => Ok(host),
        (Some(_), Some(_)) => Err(Refusal::HostDiffers),
        // HTTP/2 clients send `:authority` instead of `Host` (RFC 9113 §8.3.1).
        (None, Some(target)) if request.version() == Version::HTTP_2 => Ok(target),
        (None, _) => Err(Refusal::HostMissing),
    }
}

fn encodes_separator(path: &str) -> bool {
    let path = path.as_bytes();
    memchr::memchr_iter(b'%', path).any(|percent| {
        let pair = path.get(percent + 1..percent + 3).unwrap_or_default();
        [b"2f", b"5c", b"00"].iter().any(|separator| pair.eq_ignore_ascii_case(*separator))
    })
}

#[cfg(test)]
mod tests;
