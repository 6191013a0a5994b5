use std::path::{Path, PathBuf};

use awning::asset::AssetPath;
use awning::shield::config::{Cookies, Serve};
use secrecy::ExposeSecret as _;

use super::{CONFIG_BYTES_MAX, Credentials, Environment, Settings, admin_tokens};

const WHOLE: &str = r#"
[store]
bucket   = "etalage"
endpoint = "https://s3.eu-central-003.backblazeb2.com"
prefix   = "shop"

[publish]
channel    = "preview-42"
mount      = "/static/"
public_url = "https://cdn.example.nl"
modules    = "rewrite"
ignore     = ["**/*.psd"]
[[publish.rule]]                       # for each property the first matching rule decides
match         = "fonts/**"
cache_control = "public, max-age=31536000, immutable"
headers       = { }
fingerprint   = true
compress      = true
tags          = ["fonts"]
[[publish.rule]]
match        = "downloads/*"
headers      = { Content-Disposition = "attachment", X-Robots-Tag = "noindex" }
content_type = "application/octet-stream"
compress     = ["br", "gzip"]
severity     = { secret = "warning", source-map = "ignore" }
references   = "none"
[[publish.rule]]
match    = "**"
severity = "error"

[shield]
listen       = "0.0.0.0:8080"
admin_listen = "127.0.0.1:9080"
memory       = "64MiB"
disk         = "/var/cache/awning"
trusted_proxies = ["127.0.0.0/8", "10.1.2.3"]

[[site]]
hosts   = ["CDN.example.nl:443", "cdn2.example.nl."]
serve   = "assets"

[[site]]
hosts    = ["www.example.nl"]
serve    = "storefront"
upstream = "http://cmsx:8000"
channel  = "production"
cache_pages = false

[[site]]
hosts = ["*"]
serve = "release"
[[site.assets]]
mount = "/a/"
channel = "one"
[[site.assets]]
mount = "/b/"
channel = "two"

[admin]

[fleet]
redis = "redis://redis:6379/0"
"#;

fn parse(text: &str, environment: &Environment) -> Settings {
    Settings::parse("awning.toml", text, environment).unwrap()
}

/// The problems of a text, as `line: message`.
fn problems(text: &str) -> Vec<String> {
    let error = Settings::parse("awning.toml", text, &Environment::default()).unwrap_err();
    let line = |line: Option<usize>| line.map_or("-".to_owned(), |line| line.to_string());
    error.problems().iter().map(|p| format!("{}: {}", line(p.line), p.message)).collect()
}

#[test]
fn the_whole_interface_is_understood() {
    let settings = parse(WHOLE, &Environment::default());

    let store = settings.store.unwrap();
    assert_eq!((store.bucket.as_str(), store.region.as_str()), ("etalage", "eu-central-003"));
    assert_eq!(store.layout.manifest("x"), "shop/.awning/releases/x.json");
    assert_eq!(settings.publish.channel.as_str(), "preview-42");
    assert_eq!(settings.publish.mount.path(), "/static/");
    let path = AssetPath::parse("downloads/a.bin").unwrap();
    let decided = settings.publish.rules.for_path(&path).properties().into_iter();
    let decided: Vec<_> = decided.filter_map(|p| Some((p.name, p.rule?))).collect();
    let expected = [
        ("content_type", 1),
        ("compress", 1),
        ("references", 1),
        ("headers.content-disposition", 1),
        ("headers.x-robots-tag", 1),
        ("severity.name", 2),
        ("severity.secret", 1),
        ("severity.dangling", 2),
        ("severity.source-map", 1),
        ("severity.property", 2),
        ("severity.unparsed", 2),
        ("severity.rehashed", 2),
    ];
    assert_eq!(decided, expected.map(|(name, rule)| (name.to_owned(), rule)));
    let fonts = AssetPath::parse("fonts/a.woff2").unwrap();
    let fonts = settings.publish.rules.for_path(&fonts);
    assert_eq!(fonts.tags.value[0].as_str(), "fonts");
    assert!(fonts.fingerprint.value && fonts.fingerprint.rule == Some(0));
    assert_eq!(settings.publish.rule_places[1], "awning.toml:20");
    assert_eq!(settings.publish.modules, awning::publish::Modules::Rewrite);
    assert_eq!(settings.shield.memory_bytes_max, 64 << 20);
    assert_eq!(settings.shield.trusted_proxies.len(), 2);
    let disk = settings.shield.disk.unwrap();
    assert_eq!(disk.directory, Path::new("/var/cache/awning"));
    assert_eq!(disk.bytes_max, 10 << 30);

    let [assets, storefront, release] = &settings.sites[..] else { panic!("{:?}", settings.sites) };
    assert_eq!(assets.hosts, ["cdn.example.nl", "cdn2.example.nl"]);
    assert_eq!(assets.assets[0].channel.as_str(), "preview-42");
    assert!(
        matches!(&storefront.serve, Serve::Storefront { upstream } if upstream.port() == Some(8000))
    );
    assert_eq!(storefront.assets[0].channel.as_str(), "production");
    let mounts: Vec<_> = release.assets.iter().map(|mounted| mounted.mount.path()).collect();
    assert_eq!(mounts, ["/a/", "/b/"]);
}

#[test]
fn what_has_no_effect_yet_is_told() {
    let settings = parse(WHOLE, &Environment::default());
    let named = |key: &str| settings.warnings.iter().any(|warning| warning.contains(key));
    assert!(named("fleet.redis"), "{:?}", settings.warnings);
    assert_eq!(settings.warnings.len(), 1);
}

#[test]
fn what_a_storefront_keeps_is_read_and_checked() {
    let shop = "[[site]]\nhosts = [\"a\"]\nserve = \"storefront\"\nupstream = \"http://b\"\n";
    let rule = "[[site.rule]]\nmatch = \"/static/**\"\ncache_control = \"max-age=60\"\n";
    let text = format!("{shop}cache_pages = true\ncookies = \"rfc\"\n{rule}");
    let settings = parse(&text, &Environment::default());
    let pages = &settings.sites[0].pages;
    assert!(pages.cache && pages.cookies == Cookies::Rfc && settings.warnings.is_empty());
    assert!(pages.directives("/static/a/b.css").is_some());
    assert!(pages.directives("/a").is_none());

    for wrong in [
        "cache_pages = \"yes\"",
        "cookies = \"some\"",
        "cookie = \"rfc\"",
        "[[site.rule]]\nmatch = \"/a\"",
        "[[site.rule]]\ncache_control = \"max-age=60\"",
        "[[site.rule]]\nmatch = \"[\"\ncache_control = \"max-age=60\"",
        "[[site.rule]]\nmatch = \"/a\"\ncache_control = \"max-age=60\"\nheaders = 1",
    ] {
        assert_eq!(problems(&format!("{shop}{wrong}\n")).len(), 1, "{wrong}");
    }
}

#[test]
fn the_environment_goes_before_the_file() {
    let environment = Environment::from([
        ("AWNING_STORE_BUCKET", "other"),
        ("AWNING_SHIELD_MEMORY", "32MiB"),
        ("AWNING_SHIELD_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.1"),
        ("AWNING_PUBLISH_CHANNEL", ""),
    ]);
    let settings = parse(WHOLE, &environment);
    assert_eq!(settings.store.unwrap().bucket, "other");
    assert_eq!(settings.shield.memory_bytes_max, 32 << 20);
    assert_eq!(settings.shield.trusted_proxies[1].to_string(), "192.168.1.1/32");
    assert_eq!(settings.publish.channel.as_str(), "preview-42", "an empty variable counts");
}

#[test]
fn a_bucket_may_come_from_the_environment_alone() {
    let environment = Environment::from([
        ("AWNING_STORE_BUCKET", "b"),
        ("AWNING_STORE_ENDPOINT", "http://127.0.0.1:9000"),
    ]);
    let settings = parse("", &environment);
    assert_eq!(settings.store.unwrap().region, "us-east-1");
    assert!(parse("", &Environment::default()).store.is_none());
}

#[test]
fn a_wrong_value_is_one_mistake_and_not_a_missing_one_too() {
    let site = "[[site]]\nhosts = [\"a.example\"]\nserve = \"assets\"\n";
    let table: &[(&str, &str)] = &[
        ("[store]\nbucket = \"b\"\nendpoint = \"ftp://x\"\n", "3: `store.endpoint`: `ftp://x`"),
        ("[store]\nendpoint = \"http://x\"\nbucket = \"\"\n", "3: `store.bucket`: `` is no bucket"),
        ("[store]\nendpoint = \"http://x\"\nbucket = \"a/b\"\n", "3: `store.bucket`: `a/b`"),
        ("[store]\nendpoint = \"http://x\"\n", "-: `store.bucket` is missing"),
    ];
    for (text, expected) in table {
        let found = problems(&format!("{text}{site}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
    let found = problems("[[site]]\nhosts = [\"a.example\"]\nserve = \"foo\"\n");
    assert_eq!(found, ["3: `site[0].serve`: `foo` is none of assets, release, storefront"]);
}

#[test]
fn mistakes_stand_with_their_line_and_what_to_write() {
    let table: &[(&str, &str)] = &[
        ("[stroe]\n", "1: unknown table `stroe`: did you mean `store`?"),
        ("[publish]\nmount = \"static\"\n", "2: `publish.mount`: `static` is no mount"),
        ("[publish]\nchannel = \"a/b\"\n", "2: `publish.channel`: `a/b` is not a channel"),
        ("[publish]\nignore = \"*.psd\"\n", "2: `publish.ignore` must be a list of texts"),
        ("[publish]\nignore = [\"a[b\"]\n", "2: `publish.ignore`: `a[b` is not a pattern"),
        ("[shield]\nlisten = \"8080\"\n", "2: `shield.listen`: `8080` is no address"),
        ("[shield]\nmemory = \"1MiB\"\n", "2: `shield.memory`: `1MiB` is too little"),
        ("[shield]\ntrusted_proxies = [\"x\"]\n", "2: `shield.trusted_proxies`: `x` is no network"),
        ("[admin]\ntoken = \"x\"\n", "2: unknown key `admin.token`"),
        ("[[site]]\nserve = \"assets\"\n", "1: a site needs `hosts` and `serve`"),
        ("[[site]]\nhosts=[\"a\"]\nserve = \"cdn\"\n", "3: `site[0].serve`: `cdn` is none of"),
        (
            "[[site]]\nhosts=[\"a\"]\nserve=\"assets\"\n",
            "1: the site names a channel, so `[store]`",
        ),
        ("site = 1\n", "1: `site` must be a list of tables"),
        ("x = \n", "1: "),
    ];
    for (text, expected) in table {
        let found = problems(text);
        assert!(found.iter().any(|found| found.starts_with(expected)), "{text}: {found:?}");
    }
}

#[test]
fn every_mistake_in_a_rule_is_told_at_once_with_its_line() {
    let text = r#"[[publish.rule]]
macth = "a"
[[publish.rule]]
match = "a[b"
cache_control = "max-age=1h"
content_type = "css"
fingerprint = "no"
compress = ["deflate"]
tags = ["two words"]
references = "xml"
[[publish.rule]]
match = "**"
headers = { ETag = "x", "X A" = "y", X-B = "caf\u00e9" }
compress = 1
severity = { sourcemap = "ignore", secret = "warn" }
[[publish.rule]]
match = "**"
severity = "fatal"
headers = ["a"]
"#;
    let expected = [
        "1: a rule needs `match`",
        "2: unknown key `publish.rule[0].macth`: did you mean `match`?",
        "4: `publish.rule[1].match`: `a[b` is not a pattern of paths",
        "5: `publish.rule[1].cache_control`: `max-age=1h` needs a number of seconds",
        "6: `publish.rule[1].content_type`: `css` is no media type",
        "7: `publish.rule[1].fingerprint`: `no` is neither",
        "8: `publish.rule[1].compress`: `deflate` is none of br, zstd, gzip",
        "9: `publish.rule[1].tags`: `two words` is no tag",
        "10: `publish.rule[1].references`: `xml` is none of json, none",
        "13: `publish.rule[2].headers`: `X A` is no name",
        "13: `publish.rule[2].headers`: `caf\u{e9}` is no value",
        "13: `publish.rule[2].headers`: `etag` cannot be set: it follows from the bytes",
        "14: `publish.rule[2].compress`: `1` is none of true, false, or a list",
        "15: `publish.rule[2].severity`: `warn` is none of error, warning, ignore",
        "15: `publish.rule[2].severity`: unknown kind of problem `sourcemap`: did you mean `source-map`?",
        "18: `publish.rule[3].severity`: `fatal` is none of",
        "19: `publish.rule[3].headers` must be a table of texts",
    ];
    let mut found = problems(text);
    found.sort_by_key(|found| found.split(':').next().unwrap().parse::<usize>().unwrap());
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for expected in expected {
        assert!(found.iter().any(|found| found.starts_with(expected)), "{expected}: {found:#?}");
    }
}

#[test]
fn a_prefix_leaves_room_for_the_longest_path() {
    let at = |length: usize| {
        format!(
            "[store]\nbucket = \"b\"\nendpoint = \"http://x\"\nprefix = \"{}\"\n",
            "p".repeat(length)
        )
    };
    assert!(problems(&at(97))[0].starts_with("4: `store.prefix`: a prefix has at most 96 bytes"));
    assert!(parse(&at(96), &Environment::default()).store.is_some());
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let found =
        problems("[shield]\nlisten = \"x\"\nmemory = \"y\"\nz = 1\n[store]\nbucket = \"b\"\n");
    let lines: Vec<_> = found.iter().map(|found| &found[..2]).collect();
    assert_eq!(lines, ["-:", "2:", "3:", "4:"], "{found:?}");
}

#[test]
fn two_sites_cannot_have_one_host() {
    let site = "[[site]]\nhosts = [\"a.nl\"]\nserve = \"storefront\"\nupstream = \"http://x\"\n";
    let found = problems(&format!("{site}{}", site.replace("a.nl", "A.NL.")));
    assert_eq!(found, ["5: host `a.nl` belongs to an earlier site already"]);
}

#[test]
fn an_upstream_is_an_origin() {
    for text in ["cmsx:8000", "http://cmsx/shop", "https://cmsx", "http://u:p@cmsx", "http://c?x"] {
        assert!(super::upstream(text).is_err(), "{text} was accepted");
    }
    assert!(super::upstream("http://[::1]:8000/").is_ok());
}

#[test]
fn credentials_may_lie_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (id, key) = (file("id", "AK1\n"), file("key", "secret\n"));
    let environment = Environment::from([
        ("AWS_ACCESS_KEY_ID_FILE", id.to_str().unwrap()),
        ("AWS_SECRET_ACCESS_KEY_FILE", key.to_str().unwrap()),
    ]);
    let credentials = Credentials::from(&environment).unwrap();
    assert_eq!(credentials.key_id, "AK1");
    assert_eq!(credentials.key.expose_secret(), "secret");
    assert!(!format!("{credentials:?}").contains("secret"), "the key is shown");
    assert_eq!(environment.secret_files(), [id, key]);

    let lost = Environment::from([("B2_APPLICATION_KEY_ID_FILE", "/nonexistent/id")]);
    assert!(Credentials::from(&lost).is_err());
    assert!(Credentials::from(&Environment::default()).is_err());
}

#[test]
fn admin_tokens_are_long_and_one_a_line() {
    let tokens = |text: &str| admin_tokens(&Environment::from([("AWNING_ADMIN_TOKEN", text)]));
    assert_eq!(tokens("0123456789abcdef\n\n fedcba9876543210 \n").unwrap().len(), 2);
    assert!(tokens("short").is_err());
    assert!(admin_tokens(&Environment::default()).unwrap().is_empty());
}

#[test]
fn a_configuration_of_more_than_a_mebibyte_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("awning.toml");
    for (bytes, reads) in [(CONFIG_BYTES_MAX, true), (CONFIG_BYTES_MAX + 1, false)] {
        std::fs::write(&path, " ".repeat(usize::try_from(bytes).unwrap())).unwrap();
        let read = Settings::load(Some(&path), &Environment::default());
        assert_eq!(read.is_ok(), reads, "{bytes}: {read:?}");
    }
}
