//! What each format says of one small manifest, whole and literally.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::asset::{Digest, Fingerprint};

/// The fingerprint of every object here.
const FINGERPRINT: &str = "abcdefghijklmn23";

/// The BLAKE3 of every object here: that of no bytes.
const B3: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

fn path(text: &str) -> AssetPath {
    AssetPath::parse(text).unwrap()
}

fn manifest(assets: &[(&str, &[&str])]) -> Manifest {
    let fingerprint = Fingerprint::parse(FINGERPRINT).unwrap();
    let entry = |name: &AssetPath, refs: &[&str]| Entry {
        b3: Digest::of(b""),
        cache: "public".into(),
        content_type: media::content_type(name),
        headers: BTreeMap::new(),
        integrity: format!("sha384-{}", name.file_name()),
        key: ObjectKey::for_asset(name, &fingerprint),
        refs: refs.iter().map(|to| path(to)).collect(),
        size: 7,
        stable: false,
        tags: Vec::new(),
        variants: BTreeMap::new(),
    };
    let entries = assets.iter().map(|(name, refs)| (path(name), entry(&path(name), refs)));
    Manifest::new(entries.collect())
}

/// A page, a style sheet with a picture, and a script; one name is not ASCII.
fn small() -> Manifest {
    manifest(&[
        ("css/app.css", &["img/thé.svg"]),
        ("img/thé.svg", &[]),
        ("index.html", &["css/app.css", "js/app.js"]),
        ("js/app.js", &[]),
    ])
}

const MOUNT: &str = "/static/";

/// `https://cdn.example/` before the name, escaped.
fn url_of(key: &ObjectKey) -> Option<String> {
    let name = path(key.public_name()?);
    Some(format!("https://cdn.example/{}", name.to_url_path()))
}

#[track_caller]
fn says(manifest: &Manifest, format: Format, expected: &Value) {
    let document = write(manifest, &url_of, MOUNT, format);
    assert_eq!(document, *expected, "{document:#}");
    assert_eq!(write(&manifest.clone(), &url_of, MOUNT, format).to_string(), document.to_string());
}

#[test]
fn django_has_names_by_path_and_the_hash_that_django_computes() {
    // The hash is what CPython gives for
    // hashlib.md5(json.dumps(sorted(paths.items())).encode()).hexdigest()[:12].
    let expected = json!({
        "hash": "0604ed5bd764",
        "paths": {
            "css/app.css": "css/app.abcdefghijklmn23.css",
            "img/thé.svg": "img/thé.abcdefghijklmn23.svg",
            "index.html": "index.abcdefghijklmn23.html",
            "js/app.js": "js/app.abcdefghijklmn23.js",
        },
        "version": "1.1",
    });
    says(&small(), Format::Django, &expected);
}

#[test]
fn django_hashes_quotes_and_astral_characters_as_python_does() {
    let expected = json!({
        "hash": "e179c37eeb8f",
        "paths": { "\"𝒜 ~": "\"𝒜 ~.abcdefghijklmn23" },
        "version": "1.1",
    });
    says(&manifest(&[("\"𝒜 ~", &[])]), Format::Django, &expected);
}

#[test]
fn flat_has_public_urls() {
    let expected = json!({
        "css/app.css": "https://cdn.example/css/app.abcdefghijklmn23.css",
        "img/thé.svg": "https://cdn.example/img/th%C3%A9.abcdefghijklmn23.svg",
        "index.html": "https://cdn.example/index.abcdefghijklmn23.html",
        "js/app.js": "https://cdn.example/js/app.abcdefghijklmn23.js",
    });
    says(&small(), Format::Flat, &expected);
}

#[test]
fn an_import_map_has_scripts_by_path_and_by_plain_url_with_integrity() {
    let url = "https://cdn.example/js/app.abcdefghijklmn23.js";
    let expected = json!({
        "imports": {
            "/static/js/app.js": url,
            "https://cdn.example/js/app.js": url,
            "js/app.js": url,
        },
        "integrity": { url: "sha384-app.js" },
    });
    says(&small(), Format::Importmap, &expected);
}

#[test]
fn an_import_map_has_each_url_as_it_is_written_and_as_it_is_escaped() {
    let document = write(&manifest(&[("@x/a b.js", &[])]), &url_of, MOUNT, Format::Importmap);
    let keys: Vec<_> = document["imports"].as_object().unwrap().keys().collect();
    let expected = [
        "/static/%40x/a%20b.js",
        "/static/@x/a%20b.js",
        "@x/a b.js",
        "https://cdn.example/%40x/a%20b.js",
        "https://cdn.example/@x/a%20b.js",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn an_import_map_does_not_lead_a_name_that_was_kept_to_itself() {
    let kept = path("js/chunk-9c68.js");
    let mut entry = manifest(&[("js/chunk-9c68.js", &[])]).get(kept.as_str()).unwrap().clone();
    entry.key = ObjectKey::of_public_name(&kept);
    let url = "https://cdn.example/js/chunk-9c68.js";
    let expected = json!({
        "imports": { "/static/js/chunk-9c68.js": url, "js/chunk-9c68.js": url },
        "integrity": { url: "sha384-chunk-9c68.js" },
    });
    says(&Manifest::new(BTreeMap::from([(kept, entry)])), Format::Importmap, &expected);
}

#[test]
fn propshaft_has_names_and_integrity() {
    let entry =
        |name: &str, integrity: &str| json!({ "digested_path": name, "integrity": integrity });
    let expected = json!({
        "css/app.css": entry("css/app.abcdefghijklmn23.css", "sha384-app.css"),
        "img/thé.svg": entry("img/thé.abcdefghijklmn23.svg", "sha384-thé.svg"),
        "index.html": entry("index.abcdefghijklmn23.html", "sha384-index.html"),
        "js/app.js": entry("js/app.abcdefghijklmn23.js", "sha384-app.js"),
    });
    says(&small(), Format::Propshaft, &expected);
}

#[test]
fn sprockets_has_names_and_what_is_known_of_each_file() {
    let expected = json!({
        "assets": { "js/app.js": "js/app.abcdefghijklmn23.js" },
        "files": {
            "js/app.abcdefghijklmn23.js": {
                "digest": B3,
                "integrity": "sha384-app.js",
                "logical_path": "js/app.js",
                "mtime": "1970-01-01T00:00:00Z",
                "size": 7,
            },
        },
    });
    says(&manifest(&[("js/app.js", &[])]), Format::Sprockets, &expected);
}

#[test]
fn vite_has_a_chunk_for_each_asset_with_what_it_refers_to() {
    let expected = json!({
        "css/app.css": {
            "assets": ["img/thé.abcdefghijklmn23.svg"],
            "file": "css/app.abcdefghijklmn23.css",
            "integrity": "sha384-app.css",
            "isEntry": true,
            "src": "css/app.css",
        },
        "img/thé.svg": {
            "file": "img/thé.abcdefghijklmn23.svg",
            "integrity": "sha384-thé.svg",
            "src": "img/thé.svg",
        },
        "index.html": {
            "assets": ["css/app.abcdefghijklmn23.css", "js/app.abcdefghijklmn23.js"],
            "file": "index.abcdefghijklmn23.html",
            "integrity": "sha384-index.html",
            "src": "index.html",
        },
        "js/app.js": {
            "file": "js/app.abcdefghijklmn23.js",
            "integrity": "sha384-app.js",
            "isEntry": true,
            "src": "js/app.js",
        },
    });
    says(&small(), Format::Vite, &expected);
}

#[test]
fn vite_tells_the_references_of_a_script_apart() {
    let manifest = manifest(&[
        ("a.css", &["b.css"]),
        ("a.js", &["a.css", "a.js", "a.svg", "dep.js", "gone.js"]),
        ("a.svg", &[]),
        ("b.css", &[]),
        ("dep.js", &[]),
    ]);
    let document = write(&manifest, &url_of, MOUNT, Format::Vite);
    let script = json!({
        "assets": ["a.abcdefghijklmn23.svg"],
        "css": ["a.abcdefghijklmn23.css"],
        "file": "a.abcdefghijklmn23.js",
        "imports": ["dep.js"],
        "integrity": "sha384-a.js",
        "isEntry": true,
        "src": "a.js",
    });
    assert_eq!(document["a.js"], script, "{document:#}");
    assert_eq!(document["a.css"]["assets"], json!(["b.abcdefghijklmn23.css"]), "{document:#}");
    for inner in ["a.css", "b.css", "dep.js"] {
        assert_eq!(document[inner].get("isEntry"), None, "{inner}");
    }
}

#[test]
fn webpack_has_names_by_path() {
    let expected = json!({
        "css/app.css": "css/app.abcdefghijklmn23.css",
        "img/thé.svg": "img/thé.abcdefghijklmn23.svg",
        "index.html": "index.abcdefghijklmn23.html",
        "js/app.js": "js/app.abcdefghijklmn23.js",
    });
    says(&small(), Format::Webpack, &expected);
}

#[test]
fn no_format_names_an_object_that_is_not_an_assets() {
    let other = path("js/other.js");
    let mut entry = small().get("js/app.js").unwrap().clone();
    entry.key = ObjectKey::parse("elsewhere/other.js").unwrap();
    let manifest = Manifest::new(BTreeMap::from([(other, entry)]));
    for format in [
        Format::Django,
        Format::Flat,
        Format::Importmap,
        Format::Propshaft,
        Format::Sprockets,
        Format::Vite,
        Format::Webpack,
    ] {
        let document = write(&manifest, &url_of, MOUNT, format).to_string();
        assert!(!document.contains("other.js"), "{format:?}: {document}");
    }
}

#[test]
fn a_stable_asset_has_its_logical_name_and_no_integrity_in_every_format() {
    let stable = |(name, entry): (&AssetPath, &Entry)| {
        (name.clone(), Entry { stable: name.as_str() != "index.html", ..entry.clone() })
    };
    let manifest = Manifest::new(small().iter().map(stable).collect());
    let script = "https://cdn.example/js/app.js";
    let table = [
        (Format::Django, "/paths/js~1app.js", json!("js/app.js")),
        (Format::Flat, "/js~1app.js", json!(script)),
        (
            Format::Importmap,
            "",
            json!({
                "imports": { "/js/app.js": script, "js/app.js": script },
                "integrity": {},
            }),
        ),
        (
            Format::Propshaft,
            "/js~1app.js",
            json!({ "digested_path": "js/app.js", "integrity": null }),
        ),
        (Format::Sprockets, "/assets/js~1app.js", json!("js/app.js")),
        (Format::Sprockets, "/files/js~1app.js/integrity", json!(null)),
        (
            Format::Vite,
            "/js~1app.js",
            json!({ "file": "js/app.js", "isEntry": true, "src": "js/app.js" }),
        ),
        (Format::Vite, "/css~1app.css/assets", json!(["img/thé.svg"])),
        (Format::Webpack, "/js~1app.js", json!("js/app.js")),
    ];
    for (format, pointer, expected) in table {
        let document = write(&manifest, &url_of, "/", format);
        assert_eq!(document.pointer(pointer), Some(&expected), "{format:?}: {document:#}");
    }
}
