//! Release sites: their pages, how a channel is switched, and what keeps the
//! last good release in place.

use std::sync::Arc;
use std::time::Duration;

use awning::asset::{Digest, KeyLayout};
use awning::clock::Clock;
use awning::manifest::ReleaseId;
use awning::shield::config::Serve;
use awning::shield::metrics::Metrics;
use awning::shield::{ConfigError, RefreshOutcome, Shield};
use awning::store::{ObjectHeaders, ObjectWrite as _, StoreErrorKind};
use tokio_util::sync::CancellationToken;

use crate::harness::origin::Script;
use crate::harness::release::{
    CDN, Release, SHOP, SITE, Street, channel, config, put_head, put_head_bytes, site,
};
use crate::harness::visit::get;

fn named(word: &str) -> Release {
    Release::default()
        .with("index.html", format!("<link rel=stylesheet href=/css/app.css><p>{word}</p>"))
        .with("about.html", "<p>about</p>")
        .with("shop/index.html", "<img src=../img/foto.jpg>")
        .with("css/app.css", format!("{word}{{}}"))
        .with("img/foto.jpg", "jpeg")
        .with("404.html", "<a href=css/app.css>missing</a>")
}

fn head_key() -> String {
    KeyLayout::default().head(channel())
}

async fn outcome(street: &Street) -> RefreshOutcome {
    street.shield.refresh().await.channels.remove(0).outcome
}

#[tokio::test]
async fn a_page_names_the_assets_of_its_release() {
    let release = named("one");
    let street = Street::with(&release).await;
    let css = format!("https://{CDN}{}", release.name("css/app.css"));
    for told in ["awning; fwd=uri-miss; fwd-status=200; stored; ttl=0", "awning; hit; ttl=0"] {
        let seen = get(SITE, "/").of(&street.shield).await;
        assert_eq!(seen.status, 200);
        assert_eq!(seen.text(), format!("<link rel=stylesheet href={css}><p>one</p>"));
        let tag = format!("\"{}\"", Digest::of(seen.text().as_bytes()).fingerprint());
        for (field, expected) in [
            ("cache-control", "no-cache"),
            ("cache-status", told),
            ("content-type", "text/html; charset=utf-8"),
            ("content-length", &seen.text().len().to_string()),
            ("content-security-policy", ""),
            ("access-control-allow-origin", ""),
            ("x-content-type-options", "nosniff"),
            ("etag", &tag),
        ] {
            assert_eq!(seen.header(field), expected, "{field}");
        }
        let again = get(SITE, "/").header("if-none-match", &tag).of(&street.shield).await;
        assert_eq!((again.status, again.header("etag")), (304, tag.as_str()));
    }
    assert_eq!(street.metric("awning_references_rewritten_total"), 1.0);
}

#[tokio::test]
async fn a_page_changes_with_its_release_whatever_the_date_of_its_object() {
    let page = "<link rel=stylesheet href=/css/app.css>";
    let release =
        |css: &'static str| Release::default().with("index.html", page).with("css/app.css", css);
    let street = Street::with(&release("one{}")).await;
    assert_eq!(get(SITE, "/").of(&street.shield).await.header("last-modified"), "");
    release("two{}").publish(&street.origin, 2).await;
    street.shield.refresh().await;
    let since = "Wed, 25 Nov 2026 00:00:00 GMT";
    let seen = get(SITE, "/").header("if-modified-since", since).of(&street.shield).await;
    assert_eq!(seen.status, 200);
    assert!(seen.text().contains(&release("two{}").name("css/app.css")), "{seen:?}");
}

#[tokio::test]
async fn names_of_a_site_lead_to_its_files() {
    let release = named("one");
    let street = Street::with(&release).await;
    let foto = format!("<img src=https://{CDN}{}>", release.name("img/foto.jpg"));
    let missing = format!("<a href={}>missing</a>", "css/app.css");
    let table = [
        ("/about.html", 200, "<p>about</p>"),
        ("/about", 200, "<p>about</p>"),
        ("/shop/", 200, &foto),
        ("/shop/index.html", 200, &foto),
        ("/css/app.css", 200, "one{}"),
        ("/css/", 404, &missing),
        ("/css", 404, &missing),
        ("/about/", 404, &missing),
        ("//evil.example/", 404, &missing),
        ("//shop", 404, &missing),
        ("/%2e%2e/shop", 404, &missing),
    ];
    for (path, status, body) in table {
        let seen = get(SITE, path).of(&street.shield).await;
        assert_eq!((seen.status, seen.text()), (status, body), "{path}");
        assert_eq!(seen.header("location"), "", "{path}");
    }
}

#[tokio::test]
async fn a_directory_is_named_with_a_slash_and_stays_on_its_host() {
    let release = named("one").with("é n/index.html", "<p>é</p>");
    let street = Street::with(&release).await;
    let table = [
        ("/shop", "/shop/"),
        ("/shop?a=b&c", "/shop/?a=b&c"),
        ("/%C3%A9%20n", "/%C3%A9%20n/"),
        ("/%73hop", "/shop/"),
    ];
    for (path, location) in table {
        let seen = get(SITE, path).of(&street.shield).await;
        assert_eq!((seen.status, seen.header("location")), (308, location), "{path}");
        assert_eq!(seen.header("cache-status"), "awning; detail=redirect");
    }
}

#[tokio::test]
async fn a_release_without_a_page_for_it_has_neutral_words_for_what_is_missing() {
    let street = Street::with(&Release::default().with("index.html", "")).await;
    let seen = get(SITE, "/<script>").of(&street.shield).await;
    assert_eq!((seen.status, seen.text()), (404, "Not Found\n"));
}

#[tokio::test]
async fn a_switch_is_seen_whole_and_at_once() {
    let (one, two) = (named("one"), named("two"));
    let street = Street::with(&one).await;
    assert!(get(SITE, "/").of(&street.shield).await.text().ends_with("<p>one</p>"));
    let first = street.shield.releases()[&channel()].unwrap();
    let second = two.publish(&street.origin, 2).await;

    assert_eq!(outcome(&street).await, RefreshOutcome::Switched);
    assert_eq!(street.shield.releases()[&channel()], Some(second));
    let page = get(SITE, "/").of(&street.shield).await;
    assert!(page.text().contains(&two.name("css/app.css")), "{page:?}");
    assert!(page.text().ends_with("<p>two</p>"));
    assert_eq!(get(CDN, "/css/app.css").of(&street.shield).await.text(), "two{}");
    // The page of before still names what can be fetched.
    assert_eq!(get(CDN, &one.name("css/app.css")).of(&street.shield).await.text(), "one{}");

    let info = |release| format!("awning_release_info{{site=\"{SITE}\",release=\"{release}\"}}");
    assert_eq!((street.metric(&info(first)), street.metric(&info(second))), (0.0, 1.0));
}

#[tokio::test]
async fn a_page_that_began_before_a_switch_is_of_the_release_before() {
    let (one, two) = (named("one"), named("two"));
    let street = Street::with(&one).await;
    street.origin.script(&one.key("index.html"), Script::WaitsAfter(0));
    street.origin.close();
    let shield = Arc::clone(&street.shield);
    let before = street.origin.gets("");
    let page = tokio::spawn(async move { get(SITE, "/").of(&shield).await });
    street.origin.asked(before + 1).await;

    let second = two.publish(&street.origin, 2).await;
    for key in [head_key(), KeyLayout::default().manifest(second)] {
        street.origin.script(&key, Script::WaitsAfter(usize::MAX));
    }
    assert_eq!(outcome(&street).await, RefreshOutcome::Switched);
    street.origin.open();
    let page = page.await.unwrap();
    assert!(page.text().contains(&one.name("css/app.css")), "{page:?}");
    assert!(page.text().ends_with("<p>one</p>"));
    assert!(get(SITE, "/").of(&street.shield).await.text().ends_with("<p>two</p>"));
}

#[tokio::test]
async fn an_unchanged_head_costs_one_conditional_read() {
    let street = Street::with(&named("one")).await;
    let (heads, manifests) = (street.origin.gets("head.json"), street.origin.gets(".json"));
    assert_eq!(outcome(&street).await, RefreshOutcome::Unchanged);
    assert_eq!(street.origin.gets("head.json"), heads + 1);
    assert_eq!(street.origin.gets(".json"), manifests + 1);
    assert!(street.origin.last_get().if_none_match.is_some());
}

#[tokio::test]
async fn a_record_that_names_the_same_release_needs_no_manifest() {
    let release = named("one");
    let street = Street::with(&release).await;
    let id = street.shield.releases()[&channel()].unwrap();
    put_head(&street.origin, id, 2).await;
    let reads = street.origin.gets("");
    assert_eq!(outcome(&street).await, RefreshOutcome::Unchanged);
    assert_eq!(street.origin.gets("") - reads, 1);
}

#[tokio::test]
async fn what_cannot_be_believed_keeps_the_last_good_release() {
    let one = named("one");
    let street = Street::with(&one).await;
    let good = street.shield.releases()[&channel()];
    let kept = |outcome: RefreshOutcome, why: &str| {
        assert_eq!(outcome, RefreshOutcome::Kept(why.to_owned()));
        assert_eq!(street.shield.releases()[&channel()], good);
        assert!(street.shield.readiness().ready);
    };

    put_head_bytes(&street.origin, "{").await;
    kept(outcome(&street).await, "the head cannot be believed");
    put_head_bytes(&street.origin, "x".repeat(4097)).await;
    kept(outcome(&street).await, "the head cannot be read");
    put_head(&street.origin, ReleaseId::new(Digest::of(b"none")), 2).await;
    kept(outcome(&street).await, "the manifest cannot be read");
    put_head(&street.origin, good.unwrap(), 0).await;
    kept(outcome(&street).await, "the head is older than the release that is served");

    let two = named("two").publish(&street.origin, 3).await;
    let manifest = KeyLayout::default().manifest(two);
    street.origin.script(&manifest, Script::Lies(40));
    kept(outcome(&street).await, "the manifest cannot be believed");
    street.origin.script(&head_key(), Script::Fails(StoreErrorKind::Unavailable));
    kept(outcome(&street).await, "the head cannot be read");
    assert_eq!(get(CDN, "/css/app.css").of(&street.shield).await.text(), "one{}");

    street.origin.recover(&manifest);
    street.origin.recover(&head_key());
    assert_eq!(outcome(&street).await, RefreshOutcome::Switched);
    assert_eq!(get(CDN, "/css/app.css").of(&street.shield).await.text(), "two{}");
}

#[tokio::test]
async fn a_head_of_another_channel_is_not_this_ones() {
    let street = Street::with(&named("one")).await;
    let text = serde_json::json!({
        "activated": "", "channel": "preview", "nonce": "n", "seq": 9,
        "release": Digest::of(b"").to_string(),
    });
    put_head_bytes(&street.origin, text.to_string()).await;
    let why = "the head cannot be believed";
    assert_eq!(outcome(&street).await, RefreshOutcome::Kept(why.to_owned()));
}

#[tokio::test]
async fn until_a_release_is_read_the_shield_is_not_ready_and_says_why() {
    let street = Street::unpublished(1024 * 1024);
    assert_eq!(street.shield.readiness().reasons[0].reason, "not read yet");
    street.shield.refresh().await;
    let readiness = serde_json::to_value(street.shield.readiness()).unwrap();
    let lacking = |site: &str| {
        serde_json::json!({
            "site": site, "channel": "production", "reason": "the channel has no release yet",
        })
    };
    let expected = serde_json::json!({
        "ready": false, "reasons": [lacking(CDN), lacking(SITE), lacking(SHOP)],
    });
    assert_eq!(readiness, expected);
    for (host, path) in [(CDN, "/css/app.css"), (SITE, "/")] {
        let seen = get(host, path).of(&street.shield).await;
        assert_eq!((seen.status, seen.header("retry-after")), (503, "1"));
        assert_eq!(seen.header("cache-status"), "awning; detail=no-release");
    }
    // Fingerprinted names need no release.
    let one = named("one");
    one.publish(&street.origin, 1).await;
    assert_eq!(get(CDN, &one.name("css/app.css")).of(&street.shield).await.text(), "one{}");
}

#[tokio::test(start_paused = true)]
async fn a_watched_channel_is_switched_by_itself_until_shutdown() {
    let street = Street::unpublished(1024 * 1024);
    let shutdown = CancellationToken::new();
    let every = Duration::from_secs(5);
    let watch = tokio::spawn(Arc::clone(&street.shield).watch(every, shutdown.clone()));
    street.origin.asked(1).await;
    let id = named("one").publish(&street.origin, 1).await;
    // The head and the manifest are read, and then the head of the next round.
    street.origin.asked(4).await;
    assert_eq!(street.shield.releases()[&channel()], Some(id));
    shutdown.cancel();
    watch.await.unwrap();
    assert!(street.shield.readiness().ready);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_says_nothing_holds_up_a_refresh_for_half_a_minute() {
    let street = Street::with(&named("one")).await;
    street.origin.script(&head_key(), Script::Hangs);
    let started = tokio::time::Instant::now();
    let why = "the bucket took too long";
    assert_eq!(outcome(&street).await, RefreshOutcome::Kept(why.to_owned()));
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn what_the_bucket_has_lost_of_a_release_is_not_said_to_be_missing() {
    let release = named("one");
    let street = Street::with(&release).await;
    for path in ["index.html", "css/app.css", "404.html"] {
        street.origin.script(&release.key(path), Script::Fails(StoreErrorKind::NotFound));
    }
    let told = "awning; fwd=uri-miss; fwd-status=404; detail=lost";
    for path in ["/", "/css/app.css", "/none"] {
        let seen = get(SITE, path).of(&street.shield).await;
        assert_eq!((seen.status, seen.header("cache-status")), (502, told), "{path}");
    }
}

#[tokio::test]
async fn the_object_of_an_asset_may_keep_a_name_another_tool_gave_it() {
    let street = Street::with(&Release::default().with("index.html", "")).await;
    let b3 = Digest::of(b"vite");
    let manifest = serde_json::json!({ "schema": "awning.manifest/v1", "entries": {
        "js/app-Bx8.js": {
            "b3": b3.to_string(), "cache": "public, max-age=31536000, immutable",
            "integrity": "", "key": "a/js/app-Bx8.js", "size": 4, "type": "text/javascript",
        },
    }});
    let bytes = manifest.to_string().into_bytes();
    let release = ReleaseId::new(Digest::of(&bytes));
    let headers = ObjectHeaders::default();
    let store = &street.origin.store;
    store.put("a/js/app-Bx8.js", "vite".into(), &headers).await.unwrap();
    store.put(&KeyLayout::default().manifest(release), bytes.into(), &headers).await.unwrap();
    put_head(&street.origin, release, 2).await;
    assert_eq!(outcome(&street).await, RefreshOutcome::Switched);
    for (host, path) in [(CDN, "/js/app-Bx8.js"), (SHOP, "/_a/js/app-Bx8.js")] {
        let seen = get(host, path).of(&street.shield).await;
        assert_eq!(seen.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(seen.text(), "vite");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_is_refused() {
    let shield = |config, with_store: bool| {
        let street = Street::unpublished(1024 * 1024);
        let store = with_store.then_some(street.origin as _);
        let metrics = Arc::new(Metrics::default());
        Shield::new(config, store, KeyLayout::default(), Clock::System, metrics).unwrap_err()
    };
    let good = || config(1024 * 1024);
    let with = |change: fn(&mut awning::shield::config::Config)| {
        let mut config = good();
        change(&mut config);
        config
    };
    assert_eq!(shield(good(), false), ConfigError::NoStore(CDN.into()));
    assert_eq!(shield(config(1000), true), ConfigError::Memory(1000));
    let no_channel = with(|config| config.sites[1].assets.clear());
    assert_eq!(shield(no_channel, true), ConfigError::NoChannel(SITE.into()));
    let no_hosts = with(|config| config.sites[1].hosts.clear());
    assert_eq!(shield(no_hosts, true), ConfigError::NoHosts(1));
    let shared = with(|config| config.sites.push(site(CDN, Serve::Release, "/")));
    assert_eq!(shield(shared, true), ConfigError::SharedHost(CDN.into()));
    let bad = with(|config| config.sites[0].hosts[0] = "a b".into());
    assert_eq!(shield(bad, true), ConfigError::Host("a b".into()));
}

#[tokio::test]
async fn a_site_may_be_for_every_host() {
    let one = named("one");
    let origin = Street::with(&one).await.origin;
    let mut config = config(1024 * 1024);
    config.sites.push(site("*", Serve::Release, "/"));
    let metrics = Arc::new(Metrics::default());
    let shield =
        Shield::new(config, Some(origin), KeyLayout::default(), Clock::System, metrics).unwrap();
    shield.refresh().await;
    let seen = get("anything.example", "/").of(&shield).await;
    assert!(seen.text().contains(&one.name("css/app.css")), "{seen:?}");
    assert_eq!(get(CDN, "/").of(&shield).await.status, 404);
}
