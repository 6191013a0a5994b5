//! `[[site]]`: which hosts get what.

use std::collections::BTreeSet;

use awning::manifest::Channel;
use awning::manifest::field::FieldValue;
use awning::rewrite::PublicBase;
use awning::shield::config::{Cookies, MountedChannel, PageRule, Pages, Serve, SiteConfig};
use toml::de::DeTable;
use url::Url;

use super::PublishSettings;
use super::publish::mount;
use super::reader::{Document, Reader};

/// Reads all sites. `has_store` tells whether a bucket is configured.
pub(crate) fn read(
    document: &mut Document<'_>,
    has_store: bool,
    publish: &PublishSettings,
) -> Vec<SiteConfig> {
    let mut sites = Vec::new();
    let mut hosts_seen = BTreeSet::new();
    for (index, (table, line)) in document.take_tables("site").into_iter().enumerate() {
        let mut reader = document.read(table, format!("site[{index}]"));
        let site = read_one(&mut reader, line, publish);
        if let Some(site) = &site {
            check(&mut reader, line, site, has_store, &mut hosts_seen);
        }
        reader.finish();
        sites.extend(site);
    }
    sites
}

fn read_one(
    table: &mut Reader<'_, '_>,
    line: usize,
    publish: &PublishSettings,
) -> Option<SiteConfig> {
    let named = table.has("hosts") && table.has("serve");
    let hosts = table.list("hosts").map(|hosts| hosts.iter().map(|host| plain(host)).collect());
    let kind = table.parsed("serve", kind);
    let upstream = table.parsed("upstream", upstream);
    let channel = table.parsed("channel", Channel::parse);
    let mount_at = table.parsed("mount", mount);
    let rewrite = table.flag("rewrite");
    let public = table.parsed("public_url", PublicBase::parse);
    let mut assets = read_assets(table, publish);
    let pages = read_pages(table);

    if !named {
        table.problem(Some(line), "a site needs `hosts` and `serve`");
    }
    let (hosts, kind) = (hosts?, kind?);
    let serve = match (kind, upstream) {
        (Kind::Assets, None) => Serve::Assets,
        (Kind::Release, None) => Serve::Release,
        (Kind::Storefront, Some(upstream)) => Serve::Storefront { upstream },
        (Kind::Storefront, None) => {
            table.problem(Some(line), "a storefront needs `upstream`, as in http://cmsx:8000");
            return None;
        }
        (_, Some(_)) => {
            table.problem(Some(line), "`upstream` belongs to `serve = \"storefront\"` only");
            return None;
        }
    };
    // A storefront without a channel has pages only; the other sites have nothing else.
    let implied = !matches!(serve, Serve::Storefront { .. });
    let channel = channel.or_else(|| implied.then(|| publish.channel.clone()));
    if assets.is_empty()
        && let Some(channel) = channel
    {
        let mount = mount_at.unwrap_or_else(|| publish.mount.clone());
        assets.push(MountedChannel { mount, channel });
    }
    let public = public.unwrap_or_else(|| publish.public.clone());
    Some(SiteConfig { hosts, serve, assets, public, rewrite: rewrite.unwrap_or(true), pages })
}

/// What is kept of an upstream's responses.
fn read_pages(table: &mut Reader<'_, '_>) -> Pages {
    let cache = table.flag("cache_pages").unwrap_or(false);
    let cookies = table.parsed("cookies", cookies).unwrap_or_default();
    let mut rules = Vec::new();
    for (index, (inner, line)) in table.tables("rule").into_iter().enumerate() {
        let mut reader = table.inner(inner, format!("site.rule[{index}]"));
        let complete = reader.has("match") && reader.has("cache_control");
        if !complete {
            reader.problem(Some(line), "a rule of a site needs `match` and `cache_control`");
        }
        let pattern =
            reader.parsed("match", |text| PageRule::new(text, "").map(|_| text.to_owned()));
        let value = reader.parsed("cache_control", FieldValue::cache_control);
        if let (Some(pattern), Some(value)) = (pattern, value) {
            rules.extend(PageRule::new(&pattern, value.as_str()));
        }
        reader.finish();
    }
    Pages { cache, cookies, rules }
}

fn read_assets(table: &mut Reader<'_, '_>, publish: &PublishSettings) -> Vec<MountedChannel> {
    let tables: Vec<(DeTable<'_>, usize)> = table.tables("assets");
    let mut assets = Vec::new();
    for (inner, line) in tables {
        let mut reader = table.inner(inner, "site.assets".to_owned());
        let mount = reader.parsed("mount", mount).unwrap_or_else(|| publish.mount.clone());
        let channel = reader.parsed("channel", Channel::parse);
        if channel.is_none() {
            reader.problem(Some(line), "`[[site.assets]]` needs a `channel`");
        }
        reader.finish();
        assets.extend(channel.map(|channel| MountedChannel { mount, channel }));
    }
    assets
}

fn check(
    table: &mut Reader<'_, '_>,
    line: usize,
    site: &SiteConfig,
    has_store: bool,
    hosts_seen: &mut BTreeSet<String>,
) {
    if site.hosts.is_empty() {
        table.problem(Some(line), "`hosts` is empty: name a host, or [\"*\"] for any");
    }
    for host in &site.hosts {
        if !hosts_seen.insert(host.clone()) {
            table.problem(Some(line), format!("host `{host}` belongs to an earlier site already"));
        }
    }
    if !site.assets.is_empty() && !has_store {
        table.problem(Some(line), "the site names a channel, so `[store]` must name a bucket");
    }
}

enum Kind {
    Assets,
    Release,
    Storefront,
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "assets" => Ok(Kind::Assets),
        "release" => Ok(Kind::Release),
        "storefront" => Ok(Kind::Storefront),
        other => Err(format!("`{other}` is none of assets, release, storefront")),
    }
}

fn cookies(text: &str) -> Result<Cookies, String> {
    match text {
        "safe" => Ok(Cookies::Safe),
        "rfc" => Ok(Cookies::Rfc),
        other => Err(format!("`{other}` is none of safe, rfc")),
    }
}

/// An upstream is named by its origin: a path would be dropped in silence.
pub(crate) fn upstream(text: &str) -> Result<Url, String> {
    let refuse =
        || format!("`{text}` is no upstream: write scheme, host and port, as in http://cmsx:8000");
    let url = Url::parse(text).map_err(|_| refuse())?;
    let plain = url.scheme() == "http"
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.username().is_empty();
    if plain { Ok(url) } else { Err(refuse()) }
}

/// A host as requests are matched: lower case, no port, no trailing dot.
fn plain(host: &str) -> String {
    let host = host.trim().to_ascii_lowercase();
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => &host,
    };
    without_port.trim_end_matches('.').to_owned()
}
