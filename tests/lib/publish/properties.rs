//! Relative URLs in custom properties, over all documents of a tree.

use super::*;

async fn published(files: &[(&str, &str)]) -> (Arc<MemoryStore>, Release) {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&tree(files), &*store, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
    (store, release)
}

fn warnings(files: &[(&str, &str)]) -> Vec<String> {
    let build = build(&tree(files), &options()).unwrap();
    build.warnings().iter().map(Problem::to_string).collect()
}

#[tokio::test]
async fn a_relative_url_becomes_what_it_names_where_it_is_used() {
    let files = [
        ("css/theme.css", ":root{--hero:url(../img/a.png)}"),
        ("css/app.css", "body{background:var(--hero)}"),
        ("shop/page.html", "<p style=\"background: var(--hero)\">"),
        ("img/a.png", "image"),
    ];
    let (store, release) = published(&files).await;
    let key = |path: &str| release.manifest.get(path).unwrap().key.clone();
    let image = format!("https://cdn.example.nl/{}", key("img/a.png").public_name().unwrap());
    let sheet = text(&*store, &key("css/theme.css")).await;
    assert_eq!(sheet, format!(":root{{--hero:url({image})}}"));
    let refs = &release.manifest.get("css/theme.css").unwrap().refs;
    assert_eq!(refs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["img/a.png"]);
    assert_eq!(warnings(&files), [""; 0]);
}

#[tokio::test]
async fn a_relative_url_that_depends_on_who_uses_it_stays_and_is_reported() {
    let files = [
        ("css/theme.css", "a{}\n:root{--hero:url(a.png)}"),
        ("css/app.css", "body{background:var(--hero)}"),
        ("page.html", "<style>p{background:var(--hero)}</style>"),
        ("a.png", "image"),
        ("css/a.png", "another image"),
    ];
    let (store, release) = published(&files).await;
    let sheet = text(&*store, &release.manifest.get("css/theme.css").unwrap().key).await;
    assert_eq!(sheet, files[0].1);
    let expected = "css/theme.css:2:18: warning: `a.png` in `--hero` is left alone: it names \
        `a.png` from one sheet, `css/a.png` from another";
    assert_eq!(warnings(&files), [expected]);
    // Not a reason to refuse the tree: it works as it is.
    assert!(build(&tree(&files), &Options { strict: true, ..options() }).is_ok());
}

#[test]
fn a_property_in_a_document_counts_from_its_base() {
    let files = [
        ("page.html", "<base href=/img/><div style='--x:url(a.png)'><p style='mask:var(--x)'>"),
        ("img/a.png", "image"),
    ];
    let manifest = build(&tree(&files), &options()).unwrap().manifest().clone();
    let refs = &manifest.get("page.html").unwrap().refs;
    assert_eq!(refs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["img/a.png"]);
    assert_eq!(warnings(&files), [""; 0]);
}

#[test]
fn an_absolute_path_in_a_property_needs_no_user() {
    let files = [("a.css", ":root{--x:url(/i.png)}"), ("i.png", "image")];
    let manifest = build(&tree(&files), &options()).unwrap().manifest().clone();
    assert_eq!(manifest.get("a.css").unwrap().refs.len(), 1);
    assert_eq!(warnings(&files), [""; 0]);
}
