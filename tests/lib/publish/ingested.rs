//! Trees that a build tool has fingerprinted already.

use awning::clock::Clock;
use awning::manifest::formats::{self, Format};
use awning::publish::Kind;
use awning::shield::Shield;
use awning::shield::metrics::Metrics;
use serde_json::{Value, json};

use super::*;
use crate::harness::release::{SITE, config};
use crate::harness::visit::get;

/// What Vite writes for a script with a style sheet, an image and a later import.
const VITE: &[(&str, &str)] = &[
    (
        ".vite/manifest.json",
        r#"{
        "_shared-B7PI925R.js": {"file": "assets/shared-B7PI925R.js", "name": "shared"},
        "src/late.ts": {"file": "assets/late-Cx82Kd9a.js", "name": "late", "src": "src/late.ts",
            "isDynamicEntry": true, "imports": ["_shared-B7PI925R.js"]},
        "src/main.ts": {"file": "assets/main-BsQK3x9d.js", "name": "main", "src": "src/main.ts", "isEntry": true,
            "imports": ["_shared-B7PI925R.js"], "dynamicImports": ["src/late.ts"],
            "css": ["assets/main-B82i24dw.css"], "assets": ["assets/logo-DiwrgTda.png"]}}"#,
    ),
    ("assets/shared-B7PI925R.js", "export const a = 1"),
    ("assets/late-Cx82Kd9a.js", "import './shared-B7PI925R.js'"),
    ("assets/main-BsQK3x9d.js", "import './shared-B7PI925R.js'; import('./late-Cx82Kd9a.js')"),
    ("assets/main-B82i24dw.css", "a{background:url(/assets/logo-DiwrgTda.png)}"),
    ("assets/logo-DiwrgTda.png", "logo"),
    ("index.html", "<script type=module src=/assets/main-BsQK3x9d.js></script>"),
    ("404.html", "not here"),
];

fn manifest(files: &[(&str, &str)]) -> Manifest {
    build(&tree(files), &options()).unwrap().manifest().clone()
}

/// The names that assets are published under, where they are not their own.
fn renamed(manifest: &Manifest) -> Vec<&str> {
    let own = |(path, entry): &(&awning::asset::AssetPath, &awning::manifest::Entry)| {
        entry.key == ObjectKey::of_public_name(path)
    };
    manifest.iter().filter(|entry| !own(entry)).map(|(path, _)| path.as_str()).collect()
}

fn warnings(files: &[(&str, &str)]) -> Vec<(Kind, String)> {
    let build = build(&tree(files), &options()).unwrap();
    build.warnings().iter().map(|problem| (problem.kind, problem.to_string())).collect()
}

fn with<'a>(path: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut files: Vec<_> = VITE.iter().filter(|file| file.0 != path).copied().collect();
    files.push((path, text));
    files
}

#[tokio::test]
async fn a_vite_build_keeps_its_names_and_its_bytes() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&tree(VITE), &*store, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
    let manifest = &release.manifest;
    let renamed: Vec<_> =
        renamed(manifest).into_iter().filter(|path| !path.starts_with(".vite")).collect();
    assert_eq!(renamed, ["404.html", "index.html"]);
    let sheet = manifest.get("assets/main-B82i24dw.css").unwrap();
    assert_eq!(text(&*store, &sheet.key).await, VITE[4].1);
    assert_eq!(sheet.refs.len(), 1, "the reference is known all the same");
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let script = "https://cdn.example.nl/assets/main-BsQK3x9d.js";
    assert!(
        page.contains(&format!("crossorigin=\"anonymous\" type=module src={script}></script>"))
    );
    // The map pins what each module holds, and gives none another name.
    let map = page.split_once("</script>").unwrap().0.split_once('>').unwrap().1;
    let map: serde_json::Value = serde_json::from_str(map).unwrap();
    let targets: Vec<_> = map["imports"].as_object().unwrap().values().collect();
    let kept = ["late-Cx82Kd9a", "main-BsQK3x9d", "shared-B7PI925R"]
        .map(|name| format!("https://cdn.example.nl/assets/{name}.js"));
    assert_eq!(targets, kept.iter().collect::<Vec<_>>());
    assert_eq!(
        map["integrity"].as_object().unwrap().keys().collect::<Vec<_>>(),
        kept.iter().collect::<Vec<_>>()
    );
    assert_eq!(warnings(VITE), []);
}

#[test]
fn a_vite_manifest_comes_out_as_it_went_in() {
    let manifest = manifest(VITE);
    assert_eq!(
        manifest.resolve("src/main.ts").map(|found| found.1),
        manifest.get("assets/main-BsQK3x9d.js")
    );
    let url_of = |key: &ObjectKey| options().public.url_of(key);
    let written = formats::write(&manifest, &url_of, "/", Format::Vite);
    let original: Value = serde_json::from_str(VITE[0].1).unwrap();
    for (key, chunk) in original.as_object().unwrap() {
        let mut found = written[key].clone();
        assert!(found.as_object_mut().unwrap().remove("integrity").is_some(), "{key}");
        assert_eq!(found, *chunk, "{key}");
    }
    assert_eq!(written["assets/main-B82i24dw.css"].get("isEntry"), None);
    assert_eq!(written.get("assets/main-BsQK3x9d.js"), None, "it has the key that Vite gave it");
    let flat = formats::write(&manifest, &url_of, "/", Format::Flat);
    assert_eq!(flat["src/late.ts"], json!("https://cdn.example.nl/assets/late-Cx82Kd9a.js"));
    let map = formats::write(&manifest, &url_of, "/", Format::Importmap);
    assert_eq!(map["imports"]["src/late.ts"], flat["src/late.ts"]);
}

#[test]
fn the_tools_of_others_are_understood() {
    let trees: [&[(&str, &str)]; 4] = [
        &[
            (
                "assets/.manifest.json",
                r#"{"application.css":{"digested_path":"application-6d58c9e6.css","integrity":null}}"#,
            ),
            ("assets/application-6d58c9e6.css", "a{background:url(awning-0a1b2c3d.png)}"),
            ("assets/awning-0a1b2c3d.png", ""),
        ],
        &[
            (
                "staticfiles.json",
                r#"{"paths":{"application.css":"application.9a9f5f18de69.css"},"version":"1.1"}"#,
            ),
            ("application.9a9f5f18de69.css", ""),
        ],
        &[
            ("build/manifest.json", r#"{"application.css":"/build/main.9c68a1b2.css"}"#),
            (
                "build/entrypoints.json",
                r#"{"entrypoints":{"app":{"js":["/build/runtime.0a1b2c3d.js"]}}}"#,
            ),
            ("build/main.9c68a1b2.css", ""),
            ("build/runtime.0a1b2c3d.js", ""),
        ],
        &[
            (
                ".sprockets-manifest-0a1b.json",
                r#"{"files":{"app-6d58c9e6.css":{},"app-11111111.css":{}},"assets":{"application.css":"app-6d58c9e6.css"}}"#,
            ),
            ("app-6d58c9e6.css", ""),
            ("app-11111111.css", ""),
        ],
    ];
    for files in trees {
        let manifest = manifest(files);
        let mut renamed = renamed(&manifest);
        renamed.retain(|path| !path.ends_with(".json") && !path.ends_with(".png"));
        let first = files[0].0;
        let expected: &[&str] =
            if first.starts_with("assets/") { &["assets/application-6d58c9e6.css"] } else { &[] };
        assert_eq!(renamed, expected, "{first}");
        assert!(manifest.resolve("application.css").is_some(), "{first}");
    }
}

#[test]
fn the_entrypoints_of_webpack_are_chunks_for_vites_readers() {
    let files = [
        (
            "assets-manifest.json",
            r#"{"app.js":"app.9c68a1b2.js","entrypoints":{"app":{"assets":{"js":["runtime.0a1b2c3d.js","app.9c68a1b2.js"],"css":["app.1a1b2c3d.css"]}}}}"#,
        ),
        ("app.9c68a1b2.js", ""),
        ("runtime.0a1b2c3d.js", ""),
        ("app.1a1b2c3d.css", ""),
    ];
    let manifest = manifest(&files);
    let written = formats::write(&manifest, &|key| options().public.url_of(key), "/", Format::Vite);
    let mut app = written["app"].clone();
    app.as_object_mut().unwrap().remove("integrity").unwrap();
    let expected = json!({
        "css": ["app.1a1b2c3d.css"],
        "file": "app.9c68a1b2.js",
        "imports": ["runtime.0a1b2c3d.js"],
        "isEntry": true,
        "name": "app",
    });
    assert_eq!(app, expected);
    assert_eq!(written["runtime.0a1b2c3d.js"]["file"], "runtime.0a1b2c3d.js");
}

#[test]
fn a_name_that_no_manifest_gives_is_fingerprinted() {
    let files = [("assets/app-BsQK3x9d.js", ""), ("manifest.json", r#"{"a.js":"b-BsQK3x9d.js"}"#)];
    assert_eq!(renamed(&manifest(&files)).len(), 2);
}

#[test]
fn a_document_that_refers_to_what_is_renamed_is_rewritten_and_reported() {
    let sheet = "assets/main-B82i24dw.css";
    let files = with(sheet, "@import '../plain.css';");
    let mut files = files;
    files.push(("plain.css", ""));
    let manifest = manifest(&files);
    assert_ne!(manifest.get(sheet).unwrap().key.public_name(), Some(sheet));
    let expected = format!(
        "{sheet}: warning: its name is by its content already, but it refers to `plain.css`, which \
         gets a fingerprint: it is rewritten, and gets a fingerprint of its own"
    );
    assert_eq!(warnings(&files), [(Kind::Rehashed, expected)]);
    assert!(build(&tree(&files), &Options { strict: true, ..options() }).is_ok());
}

#[test]
fn a_path_that_does_not_lead_below_the_public_url_is_rewritten() {
    let sheet = "assets/main-B82i24dw.css";
    let public = PublicBase::parse("https://cdn.example.nl/shop").unwrap();
    let below = Options { public, ..options() };
    let manifest = build(&tree(VITE), &below).unwrap().manifest().clone();
    assert_ne!(manifest.get(sheet).unwrap().key.public_name(), Some(sheet));
    let relative = with(sheet, "a{background:url(./logo-DiwrgTda.png?v=1#x)}");
    let manifest = build(&tree(&relative), &below).unwrap().manifest().clone();
    assert_eq!(manifest.get(sheet).unwrap().key.public_name(), Some(sheet));
}

#[test]
fn a_source_map_keeps_no_name_and_holds_none_up() {
    let sheet = "assets/main-B82i24dw.css";
    let mut files = with(sheet, "a{}/*# sourceMappingURL=main-B82i24dw.css.map */");
    files.push(("assets/main-B82i24dw.css.map", "{}"));
    let manifest = manifest(&files);
    assert_eq!(manifest.get(sheet).unwrap().key.public_name(), Some(sheet));
    assert_eq!(warnings(&files), []);
}

#[tokio::test]
async fn one_name_for_two_contents_is_refused() {
    let store = Arc::new(MemoryStore::default());
    publish_to(&tree(VITE), &*store, "n1").await.unwrap();
    let script = "assets/shared-B7PI925R.js";
    let other = tree(&with(script, "export const a = 2"));
    let error = publish_to(&other, &*store, "n2").await.unwrap_err();
    let Failure::Refused(refused) = error else { panic!("{error:?}") };
    assert!(refused.to_string().contains("the build gave two contents one name"), "{refused}");

    // Not even where the channel's head has the name no more.
    let without: Vec<_> = VITE.iter().filter(|file| file.0 != script).copied().collect();
    publish_to(&tree(&without), &*store, "n3").await.unwrap();
    let error = publish_to(&other, &*store, "n4").await.unwrap_err();
    let Failure::Publish(error) = error else { panic!("{error:?}") };
    assert!(matches!(error, PublishError::Occupied { .. }), "{error:?}");
    publish_to(&tree(VITE), &*store, "n5").await.unwrap();
    whole_head(&store).await.unwrap();
}

#[tokio::test]
async fn two_files_never_share_a_name() {
    let plain = ("app.css", "a{}");
    let fingerprint = Digest::of(b"a{}").fingerprint();
    let twin = format!("app.{fingerprint}.css");
    let written = format!(r#"{{"x.css":"{twin}"}}"#);
    let files = [plain, (&twin, "b{}"), ("manifest.json", &written)];
    let dir = tree(&files);
    let found = problems(&dir, &options());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("which has other bytes"), "{found:?}");
}

#[tokio::test]
async fn a_shield_serves_kept_names_for_good_and_unknown_ones_not_at_all() {
    let store = Arc::new(MemoryStore::default());
    publish_to(&tree(VITE), &*store, "n1").await.unwrap();
    let origin: Arc<dyn ObjectRead> = store.clone();
    let metrics = Arc::new(Metrics::default());
    let shield =
        Shield::new(config(1 << 20), Some(origin), layout(), Clock::System, metrics).unwrap();
    shield.refresh().await;
    let forever = "public, max-age=31536000, immutable";
    let (script, gone) = ("/assets/late-Cx82Kd9a.js", "/assets/late-Cx82Kd9b.js");
    for (path, status, cache_control) in [
        (script, 200, forever),
        ("/_a/assets/late-Cx82Kd9a.js", 200, forever),
        (gone, 404, "no-store"),
        ("/_a/assets/late-Cx82Kd9b.js", 404, "no-store"),
    ] {
        let seen = get(SITE, path).of(&shield).await;
        assert_eq!(seen.status, status, "{path}");
        assert_eq!(seen.header("cache-control"), cache_control, "{path}");
    }

    let seen = get(SITE, script).method("OPTIONS").of(&shield).await;
    assert_eq!(seen.header("access-control-allow-origin"), "*", "a module is fetched with CORS");

    for path in ["/nieuws/artikel-12345678", "/nieuws-12345678.html"] {
        let seen = get(SITE, path).of(&shield).await;
        assert_eq!((seen.status, seen.text()), (404, "not here"), "{path}");
    }

    // An older release's page still finds what it names.
    let without: Vec<_> = VITE.iter().filter(|file| !file.0.contains("late-")).copied().collect();
    publish_to(&tree(&without), &*store, "n2").await.unwrap();
    shield.refresh().await;
    let seen = get(SITE, script).of(&shield).await;
    assert_eq!((seen.status, seen.header("cache-control")), (200, forever));
}
