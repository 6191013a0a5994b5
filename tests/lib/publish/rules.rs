//! Rules as they reach the bucket, the manifest and a running shield.

use awning::clock::Clock;
use awning::manifest::field::{FieldName, FieldValue, Tag};
use awning::manifest::formats::{self, Format};
use awning::publish::{Kind, Level, Pattern, References, Rule, Rules};
use awning::shield::Shield;
use awning::shield::metrics::Metrics;

use super::*;
use crate::harness::probe::{Fault, Probe};
use crate::harness::release::{CDN, SITE, config};
use crate::harness::visit::{Seen, get};

fn rule(pattern: &str, set: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = Rule::of(Pattern::parse(pattern).unwrap());
    set(&mut rule);
    rule
}

fn cache(pattern: &str, value: &str) -> Rule {
    rule(pattern, |rule| rule.cache_control = Some(FieldValue::cache_control(value).unwrap()))
}

fn header(pattern: &str, name: &str, value: &str) -> Rule {
    rule(pattern, |rule| {
        let name = FieldName::parse(name).unwrap();
        rule.headers.insert(name, FieldValue::parse(value).unwrap());
    })
}

fn level(pattern: &str, kind: Kind, level: Level) -> Rule {
    rule(pattern, |rule| {
        rule.severity.insert(kind, level);
    })
}

fn stable(pattern: &str) -> Rule {
    rule(pattern, |rule| rule.fingerprint = Some(false))
}

fn ruled(rules: Vec<Rule>) -> Options {
    Options { rules: Rules::new(rules).unwrap(), ..options() }
}

/// The keys that were put, without the prefix.
fn puts(probe: &Probe) -> Vec<String> {
    let calls = probe.calls().into_iter();
    let puts = calls.filter_map(|call| Some(call.strip_prefix("PUT shop/")?.to_owned()));
    puts.filter(|key| !key.starts_with(".awning/intents/")).collect()
}

fn shield(store: &Arc<MemoryStore>) -> Arc<Shield> {
    let origin: Arc<dyn ObjectRead> = store.clone();
    let metrics = Arc::new(Metrics::default());
    Shield::new(config(1 << 20), Some(origin), layout(), Clock::System, metrics).unwrap()
}

async fn seen(shield: &Arc<Shield>, host: &str, path: &str) -> Seen {
    let seen = get(host, path).of(shield).await;
    assert_eq!(seen.status, 200, "{path}");
    seen
}

fn public_path(manifest: &Manifest, path: &str) -> String {
    format!("/{}", manifest.get(path).unwrap().key.public_name().unwrap())
}

#[tokio::test]
async fn an_edit_of_a_cache_policy_sends_again_exactly_what_it_touches() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let first = ruled(vec![cache("img/**", "public, max-age=60"), cache("js/**", "no-cache")]);
    let before = publish_with(&dir, &*store, &first, "n1").await.unwrap();
    let key = before.manifest.get("img/awning.svg").unwrap().key.clone();
    let bytes = text(&*store, &key).await;

    let probe = Probe::new(&store, Fault::None);
    let second = ruled(vec![cache("img/**", "public, max-age=90"), cache("js/**", "no-cache")]);
    let after = publish_with(&dir, &probe, &second, "n2").await.unwrap();
    let id = after.activation.release;
    assert_ne!(id, before.activation.release);
    let expected = [
        key.to_string(),
        format!(".awning/releases/{id}.json"),
        ".awning/channels/production/log/00000000000000000002-n2.json".to_owned(),
        ".awning/channels/production/head.json".to_owned(),
    ];
    assert_eq!(puts(&probe), expected);
    let head = store.head(&layout().object(&key)).await.unwrap();
    assert_eq!(head.headers.cache_control.as_deref(), Some("public, max-age=90"));
    assert_eq!(text(&*store, &key).await, bytes);
    assert_eq!(after.manifest.get("img/awning.svg").unwrap().key, key);

    let again = publish_with(&dir, &probe, &second, "n3").await.unwrap();
    assert!(again.unchanged);
}

#[tokio::test]
async fn a_rule_that_touches_nothing_makes_another_release_of_the_same_objects() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let before = publish_to(&dir, &*store, "n1").await.unwrap();
    assert_eq!(before.manifest.policy(), None);
    let rules = ruled(vec![cache("fonts/**", "no-cache")]);
    let after = publish_with(&dir, &*store, &rules, "n2").await.unwrap();
    assert_ne!(after.activation.release, before.activation.release);
    assert_eq!(after.manifest.policy(), rules.rules.digest());
    assert_eq!(after.sent.0, 0);

    let silent = ruled(vec![level("**", Kind::Dangling, Level::Error)]);
    let silent = publish_with(&dir, &*store, &silent, "n3").await.unwrap();
    assert_eq!(silent.activation.release, before.activation.release);
}

#[tokio::test]
async fn a_running_shield_answers_the_fields_of_the_release_it_serves() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let first = ruled(vec![
        cache("js/*", "public, max-age=60"),
        header("js/*", "Content-Disposition", "attachment"),
        header("js/*", "X-Robots-Tag", "noindex"),
    ]);
    let release = publish_with(&dir, &*store, &first, "n1").await.unwrap();
    let name = public_path(&release.manifest, "js/app.js");
    let shield = shield(&store);
    shield.refresh().await;
    let visit = seen(&shield, CDN, &name).await;
    assert_eq!(visit.header("cache-control"), "public, max-age=60");
    assert_eq!(
        visit.header("cache-status"),
        "awning; fwd=uri-miss; fwd-status=200; stored; ttl=60"
    );
    assert_eq!(visit.header("content-disposition"), "attachment");
    assert_eq!(visit.header("x-robots-tag"), "noindex");

    let second = ruled(vec![
        rule("js/*", |rule| rule.content_type = FieldValue::media_type("text/plain").ok()),
        header("js/*", "Content-Language", "nl"),
        header("js/*", "Access-Control-Allow-Origin", "https://www.example.nl"),
    ]);
    publish_with(&dir, &*store, &second, "n2").await.unwrap();
    shield.refresh().await;
    let visit = seen(&shield, CDN, &name).await;
    assert!(visit.header("cache-status").starts_with("awning; hit"), "{visit:?}");
    let table = [
        ("cache-control", "public, max-age=31536000, immutable"),
        ("content-type", "text/plain"),
        ("content-disposition", ""),
        ("content-language", "nl"),
        ("x-robots-tag", ""),
        ("access-control-allow-origin", "https://www.example.nl"),
        ("x-content-type-options", "nosniff"),
    ];
    for (field, expected) in table {
        assert_eq!(visit.header(field), expected, "{field}");
    }
    let tag = visit.header("etag").to_owned();
    let unchanged = get(CDN, &name).header("if-none-match", &tag).of(&shield).await;
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.header("access-control-allow-origin"), "https://www.example.nl");
    assert_eq!(unchanged.header("content-language"), "");
}

#[tokio::test]
async fn what_only_the_shield_adds_is_not_sent_to_the_bucket() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    publish_to(&dir, &*store, "n1").await.unwrap();
    let probe = Probe::new(&store, Fault::None);
    let rules = ruled(vec![header("**", "X-Robots-Tag", "noindex")]);
    let release = publish_with(&dir, &probe, &rules, "n2").await.unwrap();
    assert_eq!(release.sent.0, 0);
    let entry = release.manifest.get("js/app.js").unwrap();
    assert_eq!(entry.headers["x-robots-tag"], "noindex");
    let shield = shield(&store);
    shield.refresh().await;
    let visit = seen(&shield, CDN, "/js/app.js").await;
    assert_eq!(visit.header("x-robots-tag"), "noindex");
}

#[tokio::test]
async fn an_active_document_is_sandboxed_whatever_a_rule_says() {
    let store = Arc::new(MemoryStore::default());
    let rules = ruled(vec![header("**", "Content-Security-Policy", "default-src 'self'")]);
    let release = publish_with(&tree(SHOP), &*store, &rules, "n1").await.unwrap();
    let shield = shield(&store);
    shield.refresh().await;
    let name = public_path(&release.manifest, "img/awning.svg");
    let visit = seen(&shield, CDN, &name).await;
    let policies: Vec<_> = visit.headers.get_all("content-security-policy").iter().collect();
    assert_eq!(policies.len(), 2);
    assert!(policies[1].to_str().unwrap().ends_with("sandbox"));
    let script = seen(&shield, CDN, &public_path(&release.manifest, "js/app.js")).await;
    assert_eq!(script.header("content-security-policy"), "default-src 'self'");
}

#[tokio::test]
async fn a_stable_asset_keeps_its_url_everywhere() {
    let store = Arc::new(MemoryStore::default());
    let page = "<link rel=stylesheet href=a.css><a href=/sw.js>sw</a><script src=/app.js></script>";
    let dir = tree(&[
        ("a.css", "a{background:url(logo.png)} b{background:url(b.png)}"),
        ("app.js", "navigator.serviceWorker.register('/sw.js')"),
        ("b.png", "b"),
        ("index.html", page),
        ("logo.png", "logo"),
        ("sw.js", "self"),
    ]);
    let rules = ruled(vec![cache("sw.js", "no-cache"), stable("{sw.js,logo.png,app.js}")]);
    let release = publish_with(&dir, &*store, &rules, "n1").await.unwrap();
    let sheet = text(&*store, &release.manifest.get("a.css").unwrap().key).await;
    assert!(sheet.contains("url(logo.png)"), "{sheet}");
    assert!(sheet.contains("url(https://cdn.example.nl/b."), "{sheet}");

    let public = PublicBase::parse("https://cdn.example.nl").unwrap();
    let flat = formats::write(&release.manifest, &|key| public.url_of(key), "/", Format::Flat);
    assert_eq!(flat["sw.js"], "https://cdn.example.nl/sw.js");
    assert_eq!(flat["logo.png"], "https://cdn.example.nl/logo.png");
    assert_ne!(flat["b.png"], "https://cdn.example.nl/b.png");
    let map = formats::write(&release.manifest, &|key| public.url_of(key), "/", Format::Importmap);
    assert_eq!(map["imports"]["sw.js"], "https://cdn.example.nl/sw.js");
    assert_eq!(map["integrity"].as_object().unwrap().len(), 0, "{map}");

    let shield = shield(&store);
    shield.refresh().await;
    for (host, path, cache) in [
        (CDN, "/sw.js", "no-cache"),
        (SITE, "/sw.js", "no-cache"),
        (CDN, "/logo.png", "public, max-age=60"),
        (CDN, "/b.png", "public, max-age=60"),
        (SITE, "/", "no-cache"),
    ] {
        assert_eq!(seen(&shield, host, path).await.header("cache-control"), cache, "{host}{path}");
    }
    let shown = seen(&shield, SITE, "/").await;
    assert!(shown.text().contains("src=/app.js"), "{}", shown.text());
    assert!(shown.text().contains("href=https://cdn.example.nl/a."), "{}", shown.text());

    // A change of it changes nothing that refers to it.
    write(dir.path(), "logo.png", "new");
    let after = publish_with(&dir, &*store, &rules, "n2").await.unwrap();
    assert_eq!(after.sent.0, 1);
    shield.refresh().await;
    assert_eq!(seen(&shield, CDN, "/logo.png").await.text(), "new");
}

#[tokio::test]
async fn a_stable_page_is_answered_as_its_rule_says() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(&[("index.html", "home"), ("news.html", "news"), ("about.html", "about")]);
    let rules = ruled(vec![cache("news.html", "public, max-age=300"), stable("{news,about}.html")]);
    publish_with(&dir, &*store, &rules, "n1").await.unwrap();
    let shield = shield(&store);
    shield.refresh().await;
    for (path, cache) in
        [("/", "no-cache"), ("/about", "no-cache"), ("/news", "public, max-age=300")]
    {
        assert_eq!(seen(&shield, SITE, path).await.header("cache-control"), cache, "{path}");
    }
}

#[tokio::test]
async fn tags_are_in_the_manifest() {
    let tags = |rule: &mut Rule| rule.tags = Some(vec![Tag::parse("art").unwrap()]);
    let rules = ruled(vec![rule("img/**", tags)]);
    let built = build(&tree(SHOP), &rules).unwrap();
    assert_eq!(built.manifest().get("img/awning.svg").unwrap().tags, ["art"]);
    assert_eq!(built.manifest().get("js/app.js").unwrap().tags, [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_not_read_for_references_is_published_byte_for_byte() {
    let store = Arc::new(MemoryStore::default());
    let rules = ruled(vec![rule("css/*", |rule| rule.references = Some(References::None))]);
    let release = publish_with(&tree(SHOP), &*store, &rules, "n1").await.unwrap();
    let entry = release.manifest.get("css/app.css").unwrap();
    assert_eq!(text(&*store, &entry.key).await, SHOP[1].1);
    assert_eq!(entry.refs, []);
}

#[test]
fn rules_say_how_bad_a_problem_is() {
    let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw");
    let dir = tree(&[
        ("a#b.css", "a{background:url(gone.png)}"),
        ("docs/.env", "EXAMPLE=1"),
        ("docs/key.md", &key),
        ("key.md", &key),
        ("vendor/a.css", "a{background:url(gone.png)}"),
    ]);
    let rules = ruled(vec![
        level("docs/**", Kind::Secret, Level::Warning),
        level("vendor/**", Kind::Dangling, Level::Ignore),
        level("**", Kind::Dangling, Level::Error),
    ]);
    let found = problems(&dir, &rules);
    let expected = [
        "a#b.css: warning: `#` has a meaning of its own",
        "a#b.css:1:18: error: `gone.png` names no asset",
        "docs/.env: warning: `.env` usually holds a secret",
        "docs/key.md:1:1: warning: holds a private key",
        "key.md:1:1: error: holds a private key",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} instead of {expected}");
    }

    fs::remove_file(dir.path().join("key.md")).unwrap();
    let lenient = ruled(vec![
        level("docs/**", Kind::Secret, Level::Ignore),
        level("**", Kind::Dangling, Level::Ignore),
    ]);
    let built = build(&dir, &lenient).unwrap();
    assert!(built.manifest().get("docs/.env").is_some());
    assert_eq!(built.warnings().len(), 1, "{:?}", built.warnings());
    let strict = Options { strict: true, ..lenient };
    assert_eq!(problems(&dir, &strict).len(), 1);
}

#[test]
fn a_secret_is_found_in_any_file_however_deep_it_lies() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw";
    let token = format!("ghp_{}", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xY3zA5");
    let far = "x\n".repeat(100_000);
    let dir = tree(&[
        ("a.css", &format!("/*{far}{token}*/")),
        ("app.js", &format!("{far}{token}")),
        ("key.json", &format!(r#"{{"private_key": "-----BEGIN PRIVATE KEY-----\n{line}\n"}}"#)),
        ("index.html", &format!("{far}<script>t='{token}'</script>")),
        ("map.js", &format!("key='AIza{}'", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xY3z_")),
    ]);
    fs::write(dir.path().join("store.bin"), b"\xfe\xed\xfe\xed\0\0\0\x02").unwrap();
    let found = problems(&dir, &options());
    let expected = [
        "a.css:100001:1: error: holds a GitHub token",
        "app.js:100001:1: error: holds a GitHub token",
        "index.html:100001:12: error: holds a GitHub token",
        "key.json:1:18: error: holds a private key",
        "map.js:1:6: warning: holds a Google API key",
        "store.bin:1:1: error: holds a store of private keys",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} instead of {expected}");
        assert!(!found.contains("aB3d"), "{found} repeats the secret");
    }
}

#[tokio::test]
async fn what_is_uploaded_is_what_the_manifest_says_even_when_files_change_meanwhile() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let one_by_one = Options { concurrency: 1, ..options() };
    let plan = planned(&dir, &*store, &one_by_one).await.unwrap();
    let manifest = plan.manifest().clone();
    let mut stored = 0;
    let mut change = |event| {
        if let awning::publish::Event::Uploaded { objects, .. } = event {
            stored = objects;
            for (path, text) in SHOP {
                write(dir.path(), path, &text.to_uppercase());
            }
        }
    };
    let outcome = publish::upload(plan, &*store, &layout(), &one_by_one, &mut change).await;
    assert!(matches!(outcome, Err(PublishError::Changed { .. })), "{outcome:?}");
    let mut keys = keys(&store).await;
    keys.retain(|key| key.starts_with("a/"));
    assert_eq!((stored, keys.len()), (1, 1));
    for (path, entry) in manifest.iter().filter(|(_, entry)| keys.contains(&entry.key.to_string()))
    {
        let bytes = read(&*store, &layout().object(&entry.key)).await.unwrap();
        assert_eq!(Digest::of(&bytes), entry.b3, "{path}");
    }
}

#[tokio::test]
async fn a_policy_that_a_rule_sends_holds_for_what_a_page_names() {
    let page = "<!doctype html><meta charset=utf-8><img src=/i.png>\
                <script type=module src=/js/a.js></script>";
    let files = [("index.html", page), ("free.html", page), ("i.png", "image"), ("js/a.js", "1")];
    let rules = vec![header("index.html", "Content-Security-Policy", "default-src 'self'")];
    let store = Arc::new(MemoryStore::default());
    let release = publish_with(&tree(&files), &*store, &ruled(rules), "n1").await.unwrap();
    let stored = async |path| text(&*store, &release.manifest.get(path).unwrap().key).await;
    assert_eq!(stored("index.html").await, page, "nothing that it names may be elsewhere");
    assert!(stored("free.html").await.contains("<img src=https://cdn.example.nl/i."));

    let shield = shield(&store);
    shield.refresh().await;
    let seen = seen(&shield, SITE, "/index.html").await;
    assert_eq!(seen.header("content-security-policy"), "default-src 'self'");
    assert_eq!(seen.body.unwrap(), page);
}
