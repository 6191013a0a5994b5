//! The PROXY protocol, versions 1 and 2: how a proxy that passes bytes on
//! says whose they are.
//!
//! The address it names is the peer from then on: it counts against that
//! address's share of connections, and what it says in `X-Forwarded-*` is
//! believed only if that address is itself a trusted proxy. A visitor whose
//! address the proxy does not tell is believed nothing: only a connection that
//! is the proxy's own has its trust.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest line of version 1, its end included.
const LINE_MAX: usize = 107;
/// Bytes of version 2 before its addresses.
const FIXED: usize = 16;
/// Bytes of addresses and extensions; a certificate is not among those in use.
const REST_MAX: usize = 2048;
/// Bytes that tell one version from the other; no header is shorter.
const FIRST: usize = 12;

/// Who a visitor is that the proxy knows no address of. No peer has this one
/// (RFC 1122 §3.2.1.3), so it is not among the trusted proxies either.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Reads a header and not a byte more. `None` when the proxy speaks for
/// itself, as in a health check.
pub(super) async fn read<I: AsyncRead + Unpin>(io: &mut I) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; FIRST];
    io.read_exact(&mut header).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        binary(io, header).await
    } else if header.starts_with(b"PROXY ") {
        line(io, header).await
    } else {
        Err(malformed())
    }
}

async fn binary<I: AsyncRead + Unpin>(
    io: &mut I,
    mut header: Vec<u8>,
) -> io::Result<Option<IpAddr>> {
    header.resize(FIXED, 0);
    io.read_exact(&mut header[FIRST..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > REST_MAX {
        return Err(malformed());
    }
    header.resize(FIXED + rest, 0);
    io.read_exact(&mut header[FIXED..]).await?;
    let header = v2::Header::try_from(&*header).map_err(|_| malformed())?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Local, _) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => {
            Some(addresses.source_address.into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => {
            Some(addresses.source_address.into())
        }
        (v2::Command::Proxy, _) => Some(UNKNOWN),
    })
}

async fn line<I: AsyncRead + Unpin>(io: &mut I, mut header: Vec<u8>) -> io::Result<Option<IpAddr>> {
    while !header.ends_with(b"\r\n") {
        if header.len() == LINE_MAX {
            return Err(malformed());
        }
        header.push(io.read_u8().await?);
    }
    let header = v1::Header::try_from(&*header).map_err(|_| malformed())?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => Some(UNKNOWN),
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
    })
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header
    }

    #[tokio::test]
    async fn a_header_names_an_address_or_none_and_nothing_behind_it_is_read() {
        let four = [203, 0, 113, 9, 10, 0, 0, 1, 1, 2, 0, 80];
        let mut six = [0; 36];
        six[15] = 1;
        let long = format!("PROXY TCP4 {}\r\n", "1".repeat(LINE_MAX));
        let mut extended = four.to_vec();
        extended.extend([4, 0, 1, 0]);
        for (header, address) in [
            (binary(1, 0x11, &four), Some(Some("203.0.113.9"))),
            (binary(1, 0x11, &extended), Some(Some("203.0.113.9"))),
            (binary(1, 0x21, &six), Some(Some("::1"))),
            (binary(0, 0x11, &four), Some(None)),
            (binary(0, 0, &[]), Some(None)),
            (binary(1, 0, &[]), Some(Some("0.0.0.0"))),
            (binary(1, 0x31, &[0; 216]), Some(Some("0.0.0.0"))),
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 80\r\n".to_vec(), Some(Some("203.0.113.9"))),
            (b"PROXY TCP6 ::1 ::2 5000 80\r\n".to_vec(), Some(Some("::1"))),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(Some("0.0.0.0"))),
            (binary(1, 0x11, &four[..8]), None),
            (binary(7, 0x11, &four), None),
            (binary(1, 0x11, &[0; REST_MAX + 1]), None),
            (b"PROXY TCP4 nonsense\r\n".to_vec(), None),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), None),
            (b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\0".to_vec(), None),
            (long.into_bytes(), None),
        ] {
            let mut bytes = header.clone();
            bytes.extend(b"GET /");
            let mut rest = &*bytes;
            let found = read(&mut rest).await.ok();
            let address = address.map(|address| address.map(|text| text.parse().unwrap()));
            assert_eq!(found, address, "{header:?}");
            if found.is_some() {
                assert_eq!(rest, b"GET /", "{header:?}");
            }
        }
    }
}
