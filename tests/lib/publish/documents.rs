//! References between published files, and the names that follow from them.

use std::time::Duration;

use awning::publish::{Pattern, References, Rule, Rules};

use super::*;

/// `a.css` and `b.css` import each other, and use an image each.
const CIRCLE: &[(&str, &str)] = &[
    ("a.css", "@import 'b.css'; a{background:url(a.png)}"),
    ("b.css", "@import url(a.css); b{background:url(b.png)}"),
    ("a.png", "image a"),
    ("b.png", "image b"),
    ("index.html", "<link rel=stylesheet href=a.css>"),
];

fn manifest(files: &[(&str, &str)]) -> Manifest {
    build(&tree(files), &options()).unwrap().manifest().clone()
}

fn url(manifest: &Manifest, path: &str) -> String {
    let key = &manifest.get(path).unwrap().key;
    format!("https://cdn.example.nl/{}", key.public_name().unwrap())
}

/// `files` with the text of one of them replaced.
fn with<'a>(files: &[(&'a str, &'a str)], path: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    let replaced = |file: &(&'a str, &'a str)| if file.0 == path { (path, text) } else { *file };
    files.iter().map(replaced).collect()
}

/// The paths whose object is named otherwise in `two` than in `one`.
fn renamed(one: &Manifest, two: &Manifest) -> Vec<String> {
    let key = |manifest: &Manifest, path: &str| manifest.get(path).unwrap().key.clone();
    let paths = one.iter().map(|(path, _)| path.to_string());
    paths.filter(|path| key(one, path) != key(two, path)).collect()
}

#[tokio::test]
async fn references_become_the_names_of_their_assets() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&tree(SHOP), &*store, "n1").await.unwrap();
    let manifest = &release.manifest;
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let (sheet, script) = (url(manifest, "css/app.css"), url(manifest, "js/app.js"));
    let expected = format!("<link rel=stylesheet href={sheet}><script src={script}></script>");
    assert_eq!(page, expected);
    let sheet = text(&*store, &manifest.get("css/app.css").unwrap().key).await;
    assert_eq!(sheet, format!("body{{background:url({})}}", url(manifest, "img/awning.svg")));
    let refs = |path: &str| manifest.get(path).unwrap().refs.clone();
    let names: Vec<_> = refs("index.html").iter().map(ToString::to_string).collect();
    assert_eq!(names, ["css/app.css", "js/app.js"]);
    assert!(refs("js/app.js").is_empty());
}

#[test]
fn a_name_is_the_fingerprint_of_the_published_bytes() {
    let manifest = manifest(SHOP);
    for (path, entry) in manifest.iter() {
        assert_eq!(entry.key, ObjectKey::for_asset(path, &entry.b3.fingerprint()), "{path}");
    }
}

#[tokio::test]
async fn a_mounted_tree_refers_below_its_mount() {
    let dir = tree(&[
        ("app.css", "a{background:url(/static/a.png)} b{background:url(/a.png)}"),
        ("a.png", "image"),
    ]);
    let options = Options { mount: awning::rewrite::Mount::at("/static"), ..options() };
    let store = Arc::new(MemoryStore::default());
    let release = publish_with(&dir, &*store, &options, "n1").await.unwrap();
    let sheet = text(&*store, &release.manifest.get("app.css").unwrap().key).await;
    let image = url(&release.manifest, "a.png");
    assert_eq!(sheet, format!("a{{background:url({image})}} b{{background:url(/a.png)}}"));
}

#[tokio::test]
async fn assets_that_refer_to_each_other_are_published_whole() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&tree(CIRCLE), &*store, "n1").await.unwrap();
    assert_eq!(whole_head(&store).await, Some(release.activation.clone()));
    let manifest = &release.manifest;
    let sheet = text(&*store, &manifest.get("a.css").unwrap().key).await;
    let (b, image) = (url(manifest, "b.css"), url(manifest, "a.png"));
    assert_eq!(sheet, format!("@import '{b}'; a{{background:url({image})}}"));
}

#[test]
fn a_circle_is_renamed_whole_when_any_of_it_changes() {
    let before = manifest(CIRCLE);
    assert_eq!(renamed(&before, &manifest(CIRCLE)), [""; 0]);

    let changed = with(CIRCLE, "a.css", "@import 'b.css'; a{background:url(a.png)} /* new */");
    assert_eq!(renamed(&before, &manifest(&changed)), ["a.css", "b.css", "index.html"]);

    let changed = with(CIRCLE, "b.png", "another image");
    let expected = ["a.css", "b.css", "b.png", "index.html"];
    assert_eq!(renamed(&before, &manifest(&changed)), expected);
}

#[test]
fn another_public_url_makes_other_names_in_a_circle_as_well() {
    let dir = tree(CIRCLE);
    let before = build(&dir, &options()).unwrap().manifest().clone();
    let public = PublicBase::parse("https://other.example.nl").unwrap();
    let after = build(&dir, &Options { public, ..options() }).unwrap().manifest().clone();
    assert_eq!(renamed(&before, &after), ["a.css", "b.css", "index.html"]);
}

#[tokio::test]
async fn an_asset_that_refers_to_itself_is_published_whole() {
    let store = Arc::new(MemoryStore::default());
    let files = [("icons.css", "a{fill:url(icons.css#dot)}"), ("page.html", "<img src=page.html>")];
    let release = publish_to(&tree(&files), &*store, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
    let page = text(&*store, &release.manifest.get("page.html").unwrap().key).await;
    assert_eq!(page, format!("<img src={}>", url(&release.manifest, "page.html")));
}

#[test]
fn the_order_of_files_and_their_times_do_not_matter() {
    let one = tree(CIRCLE);
    let backwards: Vec<_> = CIRCLE.iter().rev().copied().collect();
    let other = tree(&backwards);
    for (path, _) in CIRCLE {
        let file = fs::File::options().write(true).open(other.path().join(path)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    }
    let bytes = |dir: &TempDir| build(dir, &options()).unwrap().manifest().to_bytes().unwrap();
    assert_eq!(bytes(&one), bytes(&other));
}

#[test]
fn references_that_name_no_asset_are_reported_with_their_place() {
    let dir = tree(&[
        ("index.html", "<p>\n<img src=gone.png><a href=/nowhere>x</a>\n<img src=//x.nl/a.png>"),
        ("css/app.css", "/* é */ a{}\n\n  b{background:url(\"../gone.png?v=1#x\")}"),
    ]);
    let build = build(&dir, &options()).unwrap();
    let found: Vec<_> = build.warnings().iter().map(Problem::to_string).collect();
    let expected = [
        "css/app.css:3:21: warning: `../gone.png?v=1#x` names no asset",
        "index.html:2:10: warning: `gone.png` names no asset",
    ];
    assert_eq!(found, expected);

    let strict = Options { strict: true, ..options() };
    assert_eq!(problems(&dir, &strict), expected.map(|p| p.replace("warning", "error")));
}

#[test]
fn a_document_too_large_to_be_read_is_published_as_it_is_and_reported() {
    let dir = tree(&[("a.css", "@import 'b.css';"), ("b.css", "")]);
    let large = fs::File::options().write(true).open(dir.path().join("a.css")).unwrap();
    large.set_len(32 * 1024 * 1024 + 1).unwrap();
    let build = build(&dir, &options()).unwrap();
    let found: Vec<_> = build.warnings().iter().map(Problem::to_string).collect();
    assert_eq!(found, ["a.css: warning: more than 33554432 bytes: published unread"]);
    let entry = build.manifest().get("a.css").unwrap();
    assert_eq!((entry.size, entry.refs.len()), (32 * 1024 * 1024 + 1, 0));
}

#[tokio::test]
async fn an_svg_file_is_a_document() {
    let svg =
        "<svg xmlns='http://www.w3.org/2000/svg'><image href='a.png'/><use href='b.svg#x'/></svg>";
    let files = [("img/c.svg", svg), ("img/b.svg", "<svg/>"), ("img/a.png", "image")];
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&tree(&files), &*store, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
    let found = text(&*store, &release.manifest.get("img/c.svg").unwrap().key).await;
    let own = release.manifest.get("img/b.svg").unwrap().key.public_name().unwrap();
    let image = url(&release.manifest, "img/a.png");
    let expected = svg.replace("a.png", &image).replace("b.svg", &format!("/_a/{own}"));
    assert_eq!(found, expected);
}

#[test]
fn an_svg_file_that_is_broken_stays_and_is_reported() {
    let files = [
        ("a.svg", "<svg><image href='a.png'></svg>"),
        ("b.svg", "<!DOCTYPE svg [<!ENTITY x 'a'>]><svg><image href='&x;.png'/></svg>"),
        ("a.png", "image"),
    ];
    let build = build(&tree(&files), &options()).unwrap();
    let found: Vec<_> = build.warnings().iter().map(Problem::to_string).collect();
    let left = "warning: references in it may be left as they are";
    let expected = [
        format!("a.svg:1:26: {left}: it is not well-formed"),
        format!("b.svg:1:51: {left}: an entity of its own is not expanded"),
    ];
    assert_eq!(found, expected);
    assert!(build.manifest().get("a.svg").unwrap().refs.is_empty());
}

#[tokio::test]
async fn json_is_read_where_it_is_named_and_never_dangles() {
    let json = r#"{"img/a.png":"img/a.png","text":"hello","list":["\/img\/a.png","gone.png"]}"#;
    let files = [("shop.json", json), ("other.json", json), ("img/a.png", "image")];
    let mut as_json = Rule::of(Pattern::parse("shop.json").unwrap());
    as_json.references = Some(References::Json);
    let json_named = Options { rules: Rules::new(vec![as_json]).unwrap(), ..options() };
    let store = Arc::new(MemoryStore::default());
    let dir = tree(&files);
    let release = publish_with(&dir, &*store, &json_named, "n1").await.unwrap();
    let read = async |path: &str| text(&*store, &release.manifest.get(path).unwrap().key).await;
    let image = url(&release.manifest, "img/a.png");
    let expected =
        format!(r#"{{"img/a.png":"{image}","text":"hello","list":["{image}","gone.png"]}}"#);
    assert_eq!(read("shop.json").await, expected);
    assert_eq!(read("other.json").await, json);
    assert!(build(&dir, &json_named).unwrap().warnings().is_empty());
}

#[test]
fn a_missing_source_map_never_stops_a_publish() {
    let dir = tree(&[
        ("a.css", "a{}\n/*# sourceMappingURL=gone.css.map */"),
        ("b.css", "a{}/*# sourceMappingURL=b.css.map */"),
        ("b.css.map", r#"{"version":3,"file":"b.css","sources":["b.scss"],"sourceRoot":"/"}"#),
    ]);
    let strict = build(&dir, &Options { strict: true, ..options() }).unwrap();
    let found: Vec<_> = strict.warnings().iter().map(Problem::to_string).collect();
    assert_eq!(found, ["a.css:2:22: warning: the source map `gone.css.map` is not in the tree"]);
    assert_eq!(strict.warnings()[0].kind, awning::publish::Kind::SourceMap);
    let refs = |path: &str| strict.manifest().get(path).unwrap().refs.len();
    assert_eq!((refs("b.css"), refs("b.css.map")), (1, 0), "a map refers to nothing");
}
