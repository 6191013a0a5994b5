use super::*;
use crate::publish::source::Stamp;
use crate::rewrite::{Mount, PublicBase};

/// A tree of these files; names that end with `!` are not among the scanned.
fn ingested(files: &[(&str, &str)]) -> Ingested {
    let dir = tempfile::tempdir().unwrap();
    let mut scanned = Vec::new();
    for (name, text) in files {
        let hidden = name.ends_with('!');
        let name = name.trim_end_matches('!');
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        let stamp = Stamp::of(&fs::metadata(&file).unwrap());
        if !hidden {
            scanned.push(SourceFile { asset: AssetPath::parse(name).unwrap(), file, stamp });
        }
    }
    let public = PublicBase::parse("https://cdn.example.nl").unwrap();
    let space = UrlSpace::new(&Mount::at("/"), &public, &PublicBase::default()).unwrap();
    ingest(dir.path(), &scanned, &space)
}

fn hashed(ingested: &Ingested) -> Vec<&str> {
    ingested.hashed.iter().map(AssetPath::as_str).collect()
}

fn aliases(ingested: &Ingested) -> Vec<(&str, &str)> {
    let aliases = &ingested.logical.aliases;
    aliases.iter().map(|(name, asset)| (name.as_str(), asset.as_str())).collect()
}

#[test]
fn what_a_manifest_names_by_content_is_hashed() {
    let found = ingested(&[
        (
            ".vite/manifest.json!",
            r#"{"src/main.ts":{"file":"assets/main-BsQK3x9d.js","name":"main","src":"src/main.ts","isEntry":true,"css":["assets/main-B82i24dw.css"]},
                "src/MyWidget2.ts":{"file":"assets/MyWidget2.js","name":"MyWidget2"}}"#,
        ),
        ("assets/main-BsQK3x9d.js", ""),
        ("assets/main-B82i24dw.css", ""),
        ("assets/other-B82i24dw.css", ""),
        ("assets/MyWidget2.js", ""),
    ]);
    assert_eq!(hashed(&found), ["assets/main-B82i24dw.css", "assets/main-BsQK3x9d.js"]);
    let expected =
        [("src/MyWidget2.ts", "assets/MyWidget2.js"), ("src/main.ts", "assets/main-BsQK3x9d.js")];
    assert_eq!(aliases(&found), expected);
    let chunk = &found.logical.chunks["src/main.ts"];
    assert_eq!((chunk.css.len(), chunk.is_entry), (1, true));
}

#[test]
fn names_may_be_relative_to_the_manifest_or_urls() {
    let main = "build/main.9c68a1b2.js";
    for written in [
        "main.9c68a1b2.js",
        "/build/main.9c68a1b2.js",
        "build/main.9c68a1b2.js",
        "https://cdn.example.nl/x/build/main.9c68a1b2.js?v=1",
        "//cdn.example.nl/main.9c68a1b2.js",
    ] {
        let manifest = format!(r#"{{"build/main.js":"{written}"}}"#);
        let found = ingested(&[("build/manifest.json", &manifest), (main, "")]);
        assert_eq!(hashed(&found), [main], "{written}");
        assert_eq!(aliases(&found), [("build/main.js", main)]);
    }
    let found = ingested(&[("manifest.json", r#"{"a.js":"../main.9c68a1b2.js"}"#), (main, "")]);
    assert_eq!((hashed(&found).len(), aliases(&found).len()), (0, 0), "it leads out of the tree");
}

#[test]
fn a_file_with_the_name_of_its_source_is_not_hashed() {
    let found = ingested(&[
        ("manifest.json", r#"{"roboto-v30-latin.woff2":"roboto-v30-latin.woff2","a.js":"b.js"}"#),
        ("roboto-v30-latin.woff2", ""),
        ("b.js", ""),
    ]);
    assert!(hashed(&found).is_empty());
    assert_eq!(aliases(&found), [("a.js", "b.js")]);
}

#[test]
fn a_file_that_is_called_like_a_variant_is_not_hashed() {
    let files =
        ["main.9c68a1b2.js", "main.9c68a1b2.js.gz", "main.9c68a1b2.js.br", "a-9c68a1b2.zst"];
    let lines = files.map(|name| format!("\"{name}\":\"{name}\"").replacen("9c68a1b2.", "", 1));
    let manifest = format!("{{{}}}", lines.join(","));
    let mut tree: Vec<(&str, &str)> = files.map(|name| (name, "")).into();
    tree.push(("manifest.json", &manifest));
    assert_eq!(hashed(&ingested(&tree)), ["main.9c68a1b2.js"]);
}

#[test]
fn a_name_that_two_manifests_give_means_neither() {
    let found = ingested(&[
        ("a/manifest.json", r#"{"app.js":"app-9c68a1b2.js"}"#),
        ("a/app-9c68a1b2.js", ""),
        ("b/manifest.json", r#"{"app.js":"app-11111111.js"}"#),
        ("b/app-11111111.js", ""),
    ]);
    assert_eq!(hashed(&found), ["a/app-9c68a1b2.js", "b/app-11111111.js"]);
    assert!(aliases(&found).is_empty());
    assert_eq!(found.problems.len(), 1);
}

#[test]
fn the_path_of_an_asset_is_nobody_elses_name() {
    let django = r#"{"paths":{"a.css":"a.9a9f5f18de69.css"},"version":"1.1"}"#;
    let files = [("staticfiles.json", django), ("a.css", ""), ("a.9a9f5f18de69.css", "")];
    let found = ingested(&files);
    assert_eq!((hashed(&found), aliases(&found)), (vec!["a.9a9f5f18de69.css"], vec![]));
}

#[test]
fn manifests_beyond_the_limit_are_not_read() {
    let names: Vec<String> =
        (0..=MANIFESTS_MAX).map(|n| format!("{n:04}/app-9c68a1b2.js")).collect();
    let manifests: Vec<String> =
        (0..=MANIFESTS_MAX).map(|n| format!("{n:04}/manifest.json")).collect();
    let text = r#"{"app.js":"app-9c68a1b2.js"}"#;
    let files = names.iter().map(|name| (name.as_str(), ""));
    let files: Vec<_> = files.chain(manifests.iter().map(|name| (name.as_str(), text))).collect();
    let found = ingested(&files);
    assert_eq!(found.hashed.len(), MANIFESTS_MAX);
}

#[test]
#[cfg(unix)]
fn a_link_or_a_large_file_is_no_manifest() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("other"), "{}").unwrap();
    std::os::unix::fs::symlink("other", dir.path().join("manifest.json")).unwrap();
    assert_eq!(read(&dir.path().join("manifest.json")), None);
    let large = File::create(dir.path().join("staticfiles.json")).unwrap();
    large.set_len(MANIFEST_BYTES_MAX + 1).unwrap();
    assert_eq!(read(&dir.path().join("staticfiles.json")), None);
    assert_eq!(read(&dir.path().join("other")).as_deref(), Some(&b"{}"[..]));
}
