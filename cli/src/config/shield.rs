//! `[shield]`: addresses, memory and whom to trust.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::reader::Document;
use super::unit;

const DEFAULT_MEMORY: u64 = 256 << 20;

/// Less than this leaves no room for a single verified object and its fill.
const MEMORY_MIN: u64 = 16 << 20;

/// The shield itself, as configured.
#[derive(Clone, Debug)]
pub(crate) struct ShieldSettings {
    /// Where visitors are served.
    pub(crate) listen: SocketAddr,
    /// Where operators are served.
    pub(crate) admin_listen: SocketAddr,
    /// Bound on cached and in-flight bodies together, in bytes.
    pub(crate) memory_bytes_max: u64,
    /// Peers whose `X-Forwarded-*` fields are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// Reads the table, and the one of the fleet.
pub(crate) fn read(document: &mut Document<'_>) -> ShieldSettings {
    let (mut table, _) = document.table("shield");
    let settings = ShieldSettings {
        listen: table.parsed("listen", address).unwrap_or(([127, 0, 0, 1], 8080).into()),
        admin_listen: table
            .parsed("admin_listen", address)
            .unwrap_or(([127, 0, 0, 1], 9080).into()),
        memory_bytes_max: table.parsed("memory", memory).unwrap_or(DEFAULT_MEMORY),
        trusted_proxies: table.parsed_list("trusted_proxies", network).unwrap_or_default(),
    };
    table.without_effect("disk");
    table.without_effect("disk_max");
    table.finish();

    let (mut fleet, _) = document.table("fleet");
    fleet.without_effect("redis");
    fleet.finish();
    settings
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is no address: write one like 127.0.0.1:8080"))
}

fn memory(text: &str) -> Result<u64, String> {
    match unit::size(text)? {
        bytes if bytes < MEMORY_MIN => Err(format!("`{text}` is too little: give at least 16MiB")),
        bytes => Ok(bytes),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("`{text}` is no network: write one like 10.0.0.0/8"))
}
