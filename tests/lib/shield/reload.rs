//! Another configuration while the shield serves: what changes, what stays,
//! and what a bad one does.

use std::sync::Arc;

use awning::asset::KeyLayout;
use awning::manifest::{Activation, Channel, ReleaseId};
use awning::rewrite::{Mount, PublicBase};
use awning::shield::config::{Config, MountedChannel, Serve, SiteConfig};
use awning::shield::{ConfigError, ReloadError};
use awning::store::{ObjectHeaders, ObjectWrite as _, StoreErrorKind};
use url::Url;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, SHOP, SITE, Street, channel, config, site};
use crate::harness::visit::get;

const MEMORY: u64 = 64 * 1024 * 1024;

fn release() -> Release {
    Release::default()
        .with("index.html", "<link rel=stylesheet href=/css/app.css>")
        .with("css/app.css", "p{}")
}

fn with(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config(MEMORY);
    change(&mut config);
    config
}

async fn put_head_of(street: &Street, channel: &Channel, release: ReleaseId) {
    let head = Activation {
        activated: String::new(),
        by: None,
        channel: channel.clone(),
        expires: None,
        locked: false,
        nonce: "n".into(),
        order: 0,
        release,
        seq: 1,
    };
    let (key, bytes) = (KeyLayout::default().head(channel), serde_json::to_vec(&head).unwrap());
    street.origin.store.put(&key, bytes.into(), &ObjectHeaders::default()).await.unwrap();
}

async fn cache_status(street: &Street, host: &str, path: &str) -> String {
    get(host, path).of(&street.shield).await.header("cache-status").to_owned()
}

#[tokio::test]
async fn another_configuration_is_served_at_once_and_keeps_what_is_stored() {
    let release = release();
    let street = Street::with(&release).await;
    let name = release.name("css/app.css");
    assert_eq!(get(CDN, &name).of(&street.shield).await.status, 200);
    assert_eq!(get(SITE, "/").of(&street.shield).await.status, 200);

    let renamed = with(|config| {
        config.sites[0].hosts = vec!["static.example.nl".into()];
        config.sites[1].hosts.push("example.nl".into());
        config.sites.remove(2);
        config.sites.swap(0, 1);
    });
    let reloaded = street.shield.reload(renamed, Vec::new()).await.unwrap();
    assert_eq!(reloaded.needs_restart, Vec::<&str>::new());
    assert!(street.shield.readiness().ready);
    for (host, path, expected) in [
        ("static.example.nl", &*name, "awning; hit; ttl=31536000"),
        (SITE, "/", "awning; hit; ttl=0"),
        ("example.nl", "/", "awning; hit; ttl=0"),
        (CDN, &*name, "awning; detail=unknown-host"),
        (SHOP, "/", "awning; detail=unknown-host"),
    ] {
        assert_eq!(cache_status(&street, host, path).await, expected, "{host}");
    }
    assert_eq!(street.metric(r#"awning_config_reloads_total{outcome="applied"}"#), 1.0);
}

#[tokio::test]
async fn a_page_is_never_that_of_a_site_with_another_policy() {
    let street = Street::with(&release()).await;
    let before = get(SITE, "/").of(&street.shield).await.text().to_owned();
    let public = |url: &str| PublicBase::parse(url).unwrap();
    // Each has in its first place, under another policy, what was a site before.
    for change in [
        |site: &mut SiteConfig, base| site.public = base,
        |site: &mut SiteConfig, base| {
            site.public = base;
            site.hosts.insert(0, "other.example.nl".into());
        },
    ] {
        let changed = with(|config| {
            change(&mut config.sites[1], public("https://other.example"));
            config.sites.remove(0);
        });
        street.shield.reload(changed, Vec::new()).await.unwrap();
        let seen = get(SITE, "/").of(&street.shield).await;
        assert!(seen.text().contains("https://other.example/"), "{seen:?}");
        assert!(seen.header("cache-status").starts_with("awning; fwd="), "{seen:?}");
    }
    street.shield.reload(config(MEMORY), Vec::new()).await.unwrap();
    let seen = get(SITE, "/").of(&street.shield).await;
    assert_eq!((seen.text(), seen.header("cache-status")), (&*before, "awning; hit; ttl=0"));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_changes_nothing() {
    let release = release();
    let street = Street::with(&release).await;
    let unknown = Channel::parse("preview-42").unwrap();
    let on_unknown = MountedChannel { mount: Mount::at("/"), channel: unknown.clone() };
    let unread =
        |reason: &str| ReloadError::Unread { channel: unknown.clone(), reason: reason.into() };
    let upstream = Url::parse("ftp://shop").unwrap();
    for (bad, expected) in [
        (
            with(|config| config.sites[1].hosts = vec![CDN.into()]),
            ReloadError::Config(ConfigError::SharedHost(CDN.into())),
        ),
        (
            with(|config| config.sites[0].assets.clear()),
            ReloadError::Config(ConfigError::NoChannel(CDN.into())),
        ),
        (
            with(|config| config.sites[0].assets = vec![on_unknown.clone()]),
            unread("the channel has no release yet"),
        ),
    ] {
        assert_eq!(street.shield.reload(bad, Vec::new()).await.unwrap_err(), expected);
    }
    let bad = with(|config| config.sites[2].serve = Serve::Storefront { upstream });
    let error = street.shield.reload(bad, Vec::new()).await.unwrap_err();
    assert!(matches!(error, ReloadError::Config(ConfigError::Upstream(_))), "{error:?}");
    street.shield.reject_config("awning.toml:3: unknown key `a`");

    let key = KeyLayout::default().head(&unknown);
    street.origin.script(&key, Script::Fails(StoreErrorKind::Unavailable));
    let down = with(|config| config.sites[0].assets = vec![on_unknown]);
    let error = street.shield.reload(down, Vec::new()).await.unwrap_err();
    assert_eq!(error, unread("the head cannot be read"));

    assert!(street.shield.readiness().ready);
    assert_eq!(get(CDN, &release.name("css/app.css")).of(&street.shield).await.status, 200);
    assert_eq!(get(SITE, "/").of(&street.shield).await.status, 200);
    let standing = street.shield.standing();
    assert_eq!((standing.applied, standing.rejected), (0, 6));
    assert!(standing.problems.unwrap().contains("`preview-42` is new"));
    assert_eq!(street.metric(r#"awning_config_reloads_total{outcome="rejected"}"#), 6.0);

    street.shield.reload(config(MEMORY), Vec::new()).await.unwrap();
    assert_eq!(street.shield.standing().problems, None);
}

#[tokio::test]
async fn a_new_channel_is_read_before_it_is_served_and_an_old_one_is_kept() {
    let release = release();
    let street = Street::with(&release).await;
    let new = Channel::parse("next").unwrap();
    let head = KeyLayout::default().head(channel());
    release.publish(&street.origin, 1).await;
    // The old channel cannot be read any more, and need not be.
    street.origin.script(&head, Script::Fails(StoreErrorKind::Unavailable));
    let (id, _) = street.shield.manifest(channel().as_str()).unwrap();
    put_head_of(&street, &new, id).await;
    let grown = with(|config| {
        let mut next = site("next.example.nl", Serve::Release, "/");
        next.assets[0].channel = new.clone();
        config.sites.push(next);
    });
    street.shield.reload(grown, Vec::new()).await.unwrap();
    assert!(street.shield.readiness().ready);
    assert_eq!(get("next.example.nl", "/").of(&street.shield).await.status, 200);
    assert_eq!(get(SITE, "/").of(&street.shield).await.status, 200);
    let served = street.shield.releases();
    assert_eq!((served[&new], served[&channel()]), (Some(id), Some(id)));
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_named_and_stays() {
    let street = Street::with(&release()).await;
    let changed = with(|config| {
        config.memory_bytes_max *= 2;
        config.limits.connections_max = 1;
        config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    });
    let reloaded = street.shield.reload(changed, vec!["shield.listen"]).await.unwrap();
    assert_eq!(reloaded.needs_restart, ["shield.memory", "shield.limits", "shield.listen"]);
    let config = street.shield.config();
    assert_eq!(config.memory_bytes_max, MEMORY);
    assert_ne!(config.limits.connections_max, 1);
    assert_eq!(config.trusted_proxies.len(), 1);
    assert_eq!(street.shield.standing().needs_restart.len(), 3);
}

#[tokio::test]
async fn a_request_in_progress_ends_by_the_configuration_it_began_with() {
    let release = release();
    let street = Street::with(&release).await;
    let shield = Arc::clone(&street.shield);
    let name = release.name("css/app.css");
    let key = release.key("css/app.css");
    street.origin.close();
    let asked = tokio::spawn(async move { get(CDN, &name).of(&shield).await });
    // The head and the manifest, and then the object.
    street.origin.asked(3).await;
    assert_eq!(street.origin.gets(&key), 1);
    let without = with(|config| drop(config.sites.remove(0)));
    street.shield.reload(without, Vec::new()).await.unwrap();
    street.origin.open();
    let seen = asked.await.unwrap();
    assert_eq!((seen.status, seen.text()), (200, "p{}"));
    assert_eq!(get(CDN, &release.name("css/app.css")).of(&street.shield).await.status, 421);
}
