//! `[shield]`: addresses, memory, disk and whom to trust.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use awning::shield::DiskConfig;
use ipnet::IpNet;

use super::reader::{Document, Reader, unknown};
use super::unit;

const DEFAULT_MEMORY: u64 = 256 << 20;

/// Less than this leaves no room for a single verified object and its fill.
const MEMORY_MIN: u64 = 16 << 20;

const DEFAULT_DISK_MAX: u64 = 10 << 30;

/// Less than this holds nothing worth keeping.
const DISK_MIN: u64 = 1 << 20;

/// The shield itself, as configured.
#[derive(Clone, Debug)]
pub(crate) struct ShieldSettings {
    /// Where visitors are served.
    pub(crate) listen: SocketAddr,
    /// Where operators are served.
    pub(crate) admin_listen: SocketAddr,
    /// Bound on cached and in-flight bodies together, in bytes.
    pub(crate) memory_bytes_max: u64,
    /// Where responses are kept beyond memory, and how much of them.
    pub(crate) disk: Option<DiskConfig>,
    /// Peers whose `X-Forwarded-*` fields are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whether those begin each connection with a PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    /// The certificate and the key of visitors' connections.
    pub(crate) tls: Option<TlsFiles>,
}

/// PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TlsFiles {
    /// The chain, the site's own certificate first.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// Reads the table, and the one of the fleet.
pub(crate) fn read(document: &mut Document<'_>) -> ShieldSettings {
    let (mut table, _) = document.table("shield");
    let tls = tls(&mut table);
    let line = table.line_of("proxy_protocol");
    let settings = ShieldSettings {
        listen: table.parsed("listen", address).unwrap_or(([127, 0, 0, 1], 8080).into()),
        admin_listen: table
            .parsed("admin_listen", address)
            .unwrap_or(([127, 0, 0, 1], 9080).into()),
        memory_bytes_max: table.parsed("memory", memory).unwrap_or(DEFAULT_MEMORY),
        disk: disk(&mut table),
        trusted_proxies: table.parsed_list("trusted_proxies", network).unwrap_or_default(),
        proxy_protocol: table.flag("proxy_protocol").unwrap_or(false),
        tls,
    };
    if settings.proxy_protocol && settings.trusted_proxies.is_empty() {
        let message = "`shield.proxy_protocol` lets nobody in but `shield.trusted_proxies`: \
                       name the proxy there";
        table.problem(line, message);
    }
    table.finish();

    let (mut fleet, _) = document.table("fleet");
    fleet.without_effect("redis");
    fleet.finish();
    settings
}

fn tls(table: &mut Reader<'_, '_>) -> Option<TlsFiles> {
    let line = table.line_of("tls");
    let (mut certificate, mut key) = (None, None);
    for (name, path, line) in table.texts("tls") {
        match &*name {
            "cert" => certificate = Some(PathBuf::from(path)),
            "key" => key = Some(PathBuf::from(path)),
            _ => {
                let name = format!("shield.tls.{name}");
                table.problem(Some(line), unknown(&name, &["cert", "key"], "key"));
            }
        }
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) if line.is_none() => None,
        _ => {
            let message = "`shield.tls` needs both `cert` and `key`: the paths of PEM files";
            table.problem(line, message);
            None
        }
    }
}

fn disk(table: &mut Reader<'_, '_>) -> Option<DiskConfig> {
    let directory = table.parsed("disk", directory);
    let bytes_max = table.parsed("disk_max", disk_max).unwrap_or(DEFAULT_DISK_MAX);
    directory.map(|directory| DiskConfig { directory, bytes_max })
}

fn directory(text: &str) -> Result<PathBuf, String> {
    match Path::new(text) {
        path if text.is_empty() => Err(format!("`{}` names no directory", path.display())),
        path if path.exists() && !path.is_dir() => Err(format!("`{text}` is not a directory")),
        path => Ok(path.to_owned()),
    }
}

fn disk_max(text: &str) -> Result<u64, String> {
    match unit::size(text)? {
        bytes if bytes < DISK_MIN => Err(format!("`{text}` is too little: give at least 1MiB")),
        bytes => Ok(bytes),
    }
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
