//! Modules: import maps, integrity, workers, and the names that follow.

use awning::publish::{Modules, Pattern, Rule, Rules};
use serde_json::Value;

use super::*;

/// `a.js` and `b.js` import each other; both import `c.js`.
const GRAPH: &[(&str, &str)] = &[
    (
        "index.html",
        "<!doctype html><meta charset=utf-8><script type=module src=js/a.js></script>\
         <script type=module>import '/js/b.js'; import('./js/later.js')</script>",
    ),
    ("js/a.js", "import './b.js'; import './c.js'; new URL('../i.png', import.meta.url)"),
    ("js/b.js", "import './a.js'; import { c } from \"./c.js?v=1\"; import 'bare'"),
    ("js/c.js", "export const c = 1"),
    ("js/later.js", "import.meta.resolve('./@x/d.js')"),
    ("js/@x/d.js", ""),
    ("js/alone.js", "import './c.js'"),
    ("i.png", "image"),
];

/// A page, a worker, and a module that both import.
const WORKER: &[(&str, &str)] = &[
    ("index.html", "<script type=module src=main.js></script>"),
    ("main.js", "import './both.js'; new Worker(new URL('./w.js', import.meta.url))"),
    ("w.js", "import './both.js'; import './deep/only.js'"),
    ("both.js", "import './leaf.js'"),
    ("leaf.js", "1"),
    ("deep/only.js", "import '../w.js'"),
];

fn public(manifest: &Manifest, path: &str) -> String {
    let key = &manifest.get(path).unwrap().key;
    options().public.url_of(key).unwrap()
}

fn names(files: &[(&str, &str)], options: &Options) -> Manifest {
    build(&tree(files), options).unwrap().manifest().clone()
}

fn renamed(one: &Manifest, other: &Manifest) -> Vec<String> {
    let moved =
        one.iter().filter(|(path, entry)| other.get(path.as_str()).unwrap().key != entry.key);
    moved.map(|(path, _)| path.to_string()).collect()
}

/// The tree with a comment added to one of its files.
fn edited<'a>(files: &[(&'a str, &'a str)], path: &str) -> Vec<(&'a str, String)> {
    let edit = |(name, text): &(&'a str, &'a str)| {
        let more = if *name == path { "\n/* edited */" } else { "" };
        (*name, format!("{text}{more}"))
    };
    files.iter().map(edit).collect()
}

fn renamed_by_edit(files: &[(&str, &str)], path: &str, options: &Options) -> Vec<String> {
    let after = edited(files, path);
    let after: Vec<_> = after.iter().map(|(name, text)| (*name, text.as_str())).collect();
    renamed(&names(files, options), &names(&after, options))
}

async fn published(files: &[(&str, &str)], options: &Options) -> (Manifest, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::default());
    let release = publish_with(&tree(files), &*store, options, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
    (release.manifest, store)
}

/// The first import map of a page.
fn map_of(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"importmap\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[tokio::test]
async fn a_page_maps_every_module_it_can_reach_from_every_url_that_leads_to_it() {
    let (manifest, store) = published(GRAPH, &options()).await;
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let map = map_of(&page);
    let reached = ["js/a.js", "js/b.js", "js/c.js", "js/later.js", "js/@x/d.js"];
    let mut targets = std::collections::BTreeSet::new();
    for path in reached {
        let url = public(&manifest, path);
        let plain = path.replace("js/@x", "js/%40x");
        assert_eq!(map["imports"][format!("/{plain}")], url, "{path}");
        assert_eq!(map["imports"][format!("/{path}")], url, "{path}");
        assert_eq!(map["imports"][format!("https://cdn.example.nl/{path}")], url, "{path}");
        let integrity = &manifest.get(path).unwrap().integrity;
        assert_eq!(map["integrity"][&url], *integrity, "{path}");
        targets.insert(url);
    }
    assert_eq!(map["imports"]["https://cdn.example.nl/js/c.js?v=1"], public(&manifest, "js/c.js"));
    let all = map["imports"].as_object().unwrap().values();
    assert!(all.map(|url| url.as_str().unwrap()).all(|url| targets.contains(url)));
    assert_eq!(map["integrity"].as_object().unwrap().len(), reached.len());

    let a = public(&manifest, "js/a.js");
    let integrity = &manifest.get("js/a.js").unwrap().integrity;
    let tag =
        format!("<script integrity=\"{integrity}\" crossorigin=\"anonymous\" type=module src={a}>");
    assert!(page.contains(&tag), "{page}");
    assert!(page.starts_with("<!doctype html><meta charset=utf-8><script type=\"importmap\">"));
    assert!(
        page.ends_with("<script type=module>import '/js/b.js'; import('./js/later.js')</script>")
    );
}

#[tokio::test]
async fn modules_keep_their_bytes_and_the_manifest_their_edges() {
    let (manifest, store) = published(GRAPH, &options()).await;
    let source = |path: &str| GRAPH.iter().find(|(name, _)| *name == path).unwrap().1;
    for path in ["js/b.js", "js/c.js", "js/later.js"] {
        assert_eq!(text(&*store, &manifest.get(path).unwrap().key).await, source(path));
    }
    let a = text(&*store, &manifest.get("js/a.js").unwrap().key).await;
    assert_eq!(a, source("js/a.js").replace("../i.png", &public(&manifest, "i.png")));
    let refs = |path: &str| -> Vec<String> {
        manifest.get(path).unwrap().refs.iter().map(ToString::to_string).collect()
    };
    assert_eq!(refs("js/a.js"), ["i.png", "js/b.js", "js/c.js"]);
    assert_eq!(refs("js/b.js"), ["js/a.js", "js/c.js"]);
    assert_eq!(refs("index.html"), ["js/a.js", "js/b.js", "js/later.js"]);
}

#[test]
fn one_edit_renames_one_module_and_the_pages_that_reach_it() {
    let renamed = |path| renamed_by_edit(GRAPH, path, &options());
    assert_eq!(renamed("js/c.js"), ["index.html", "js/c.js"]);
    assert_eq!(renamed("js/b.js"), ["index.html", "js/b.js"]);
    assert_eq!(renamed("js/alone.js"), ["js/alone.js"]);
}

#[tokio::test]
async fn rewritten_specifiers_need_no_map_and_circles_are_named_together() {
    let options = Options { modules: Modules::Rewrite, ..options() };
    let (manifest, store) = published(GRAPH, &options).await;
    let b = text(&*store, &manifest.get("js/b.js").unwrap().key).await;
    let (a, c) = (public(&manifest, "js/a.js"), public(&manifest, "js/c.js"));
    assert_eq!(b, format!("import '{a}'; import {{ c }} from \"{c}\"; import 'bare'"));
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    assert!(!page.contains("importmap"), "{page}");
    assert!(page.contains(&format!("src={a}")), "{page}");
    let renamed = renamed_by_edit(GRAPH, "js/b.js", &options);
    assert_eq!(renamed, ["index.html", "js/a.js", "js/b.js"]);
}

#[tokio::test]
async fn what_only_a_worker_reaches_is_rewritten_and_what_a_page_shares_is_not() {
    let (manifest, store) = published(WORKER, &options()).await;
    let of = |path: &'static str| {
        let (manifest, store) = (&manifest, &store);
        async move { text(&**store, &manifest.get(path).unwrap().key).await }
    };
    let own = |path| public(&manifest, path).replace("https://cdn.example.nl", "/_a");
    let (only, w) = (own("deep/only.js"), own("w.js"));
    assert_eq!(of("w.js").await, format!("import './both.js'; import '{only}'"));
    assert_eq!(of("deep/only.js").await, format!("import '{w}'"));
    assert_eq!(of("both.js").await, "import './leaf.js'");
    let main = format!("import './both.js'; new Worker(new URL('{w}', globalThis.location.href))");
    assert_eq!(of("main.js").await, main);
    let map = map_of(&of("index.html").await);
    let mapped: Vec<_> = map["integrity"].as_object().unwrap().keys().cloned().collect();
    let mut expected = ["both.js", "leaf.js", "main.js"].map(|path| public(&manifest, path));
    expected.sort();
    assert_eq!(mapped, expected, "what runs in the worker only is not the page's");

    let renamed = |path| renamed_by_edit(WORKER, path, &options());
    assert_eq!(renamed("leaf.js"), ["index.html", "leaf.js"]);
    assert_eq!(renamed("deep/only.js"), ["deep/only.js", "index.html", "main.js", "w.js"]);
}

#[tokio::test]
async fn a_pages_own_map_is_kept_and_names_modules() {
    let files = [
        (
            "index.html",
            "<script type=importmap>{\"imports\": {\"app\": \"/app.js\", \"lib/\": \"/vendor/lib/\"}}</script>\
             <script type=module>import 'app'</script>",
        ),
        ("app.js", "import 'lib/a.js'; import 'gone/b.js'"),
        ("vendor/lib/a.js", "import './b.js'"),
        ("vendor/lib/b.js", ""),
    ];
    let (manifest, store) = published(&files, &options()).await;
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let map = page.split_once('{').unwrap().1.split_once("</script>").unwrap().0;
    let map: Value = serde_json::from_str(&format!("{{{map}")).unwrap();
    assert_eq!(page.matches("<script type").count(), 2, "{page}");
    assert_eq!(map["imports"]["app"], public(&manifest, "app.js"));
    assert_eq!(map["imports"]["lib/"], "/vendor/lib/");
    assert_eq!(map["imports"]["lib/a.js"], public(&manifest, "vendor/lib/a.js"));
    let b = public(&manifest, "vendor/lib/b.js");
    assert_eq!(map["imports"]["https://cdn.example.nl/vendor/lib/b.js"], b);
    assert_eq!(map["integrity"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn what_a_pages_own_map_takes_for_another_is_taken_for_it_everywhere() {
    let files = [
        (
            "index.html",
            "<script type=importmap>{\"imports\":{\"/lib/a.css\":\"./style.js\"}}</script>\
             <script type=module src=lib/a.js></script>",
        ),
        ("lib/a.js", "import './a.css'"),
        ("lib/a.css", "a{}"),
        ("style.js", ""),
    ];
    let (manifest, store) = published(&files, &options()).await;
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let style = public(&manifest, "style.js");
    assert!(page.contains(&format!("\"https://cdn.example.nl/lib/a.css\":\"{style}\"")), "{page}");
    assert!(page.contains(&format!("\"/lib/a.css\":\"{style}\"}}")), "{page}");
    assert!(!page.contains(&public(&manifest, "lib/a.css")), "{page}");
}

#[tokio::test]
async fn a_module_that_an_author_pins_keeps_its_url_everywhere() {
    let files = [
        (
            "index.html",
            "<script type=module src=a.js integrity=sha384-x></script><script type=module src=b.js></script>",
        ),
        ("a.js", ""),
        ("b.js", "import './a.js'"),
    ];
    let (manifest, store) = published(&files, &options()).await;
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let map = map_of(&page);
    assert!(page.contains("<script type=module src=a.js integrity=sha384-x>"), "{page}");
    assert_eq!(map["imports"]["https://cdn.example.nl/a.js"], "/a.js");
    assert_eq!(map["integrity"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_page_that_cannot_have_a_map_keeps_logical_urls_and_says_so() {
    let csp = "<meta http-equiv=content-security-policy content=\"script-src https: 'self'\">";
    let page =
        format!("{csp}<link rel=stylesheet href=a.css><script type=module src=a.js></script>");
    let files =
        [("index.html", page.as_str()), ("a.js", "import './b.js'"), ("b.js", ""), ("a.css", "")];
    let (manifest, store) = published(&files, &options()).await;
    let published = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let sheet = public(&manifest, "a.css");
    assert_eq!(published, page.replace("href=a.css", &format!("href={sheet}")));
    let build = build(&tree(&files), &options()).unwrap();
    let found: Vec<_> = build.warnings().iter().map(Problem::to_string).collect();
    let expected = "index.html: warning: no import map: its Content-Security-Policy does not let \
                    one of ours count, so its modules keep their logical URLs";
    assert_eq!(found, [expected]);
}

#[tokio::test]
async fn a_classic_script_that_imports_has_a_map_as_well() {
    let files = [
        ("index.html", "<p><script src=old.js></script>"),
        ("old.js", "import('./new.js')"),
        ("new.js", "export {}"),
    ];
    let (manifest, store) = published(&files, &options()).await;
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    let map = map_of(&page);
    assert!(page.starts_with("<p><script type=\"importmap\">"), "{page}");
    assert_eq!(map["imports"]["https://cdn.example.nl/new.js"], public(&manifest, "new.js"));
    assert_eq!(map["integrity"].as_object().unwrap().len(), 1);

    let plain = [("index.html", "<script src=old.js></script>"), ("old.js", "1")];
    let (manifest, store) = published(&plain, &options()).await;
    let page = text(&*store, &manifest.get("index.html").unwrap().key).await;
    assert!(!page.contains("importmap"), "{page}");
}

#[tokio::test]
async fn a_circle_through_a_page_is_published_whole() {
    let files = [
        ("index.html", "<script type=module src=a.js></script>"),
        ("a.js", "import './b.js'; new URL('s.svg', import.meta.url)"),
        ("b.js", ""),
        ("s.svg", ""),
        ("o.css", "a{background:url(index.html)}"),
        ("p.html", "<script type=module src=w.js></script>"),
        ("w.js", "new URL('./o2.css', import.meta.url)"),
        ("o2.css", "a{background:url(p.html)}"),
    ];
    let (manifest, store) = published(&files, &options()).await;
    let page = text(&*store, &manifest.get("p.html").unwrap().key).await;
    let map = map_of(&page);
    assert_eq!(map["imports"]["/w.js"], public(&manifest, "w.js"));
    assert_eq!(map["integrity"].as_object().unwrap().len(), 0);
}

#[test]
fn scripts_are_reported_with_their_places() {
    let files = [
        ("index.html", "<p>\n<script type=module>\nimport './gone.js'</script>"),
        ("a.js", "import './gone.js'\n//# sourceMappingURL=a.js.map"),
        ("b.js", "let a = ;"),
    ];
    let build = build(&tree(&files), &options()).unwrap();
    let found: Vec<_> = build.warnings().iter().map(Problem::to_string).collect();
    let expected = [
        "a.js:1:9: warning: `./gone.js` names no asset",
        "a.js:2:22: warning: the source map `a.js.map` is not in the tree",
        "b.js:1:9: warning: published unread: Unexpected token",
        "index.html:3:9: warning: `./gone.js` names no asset",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_script_that_nests_too_deeply_is_published_unread() {
    let deep = "[".repeat(3_000_000);
    let files = [
        ("deep.js", deep.as_str()),
        ("nested.js", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
    ];
    let build = build(&tree(&files), &options()).unwrap();
    let found: Vec<_> = build.warnings().iter().map(Problem::to_string).collect();
    assert_eq!(found, ["deep.js:1:1: warning: published unread: it may nest too deeply"]);
}

#[tokio::test]
async fn a_module_that_keeps_its_url_has_that_url_alone_in_a_page() {
    let mut rule = Rule::of(Pattern::parse("js/c.js").unwrap());
    rule.fingerprint = Some(false);
    let options = Options { rules: Rules::new(vec![rule]).unwrap(), ..options() };
    let (manifest, store) = published(GRAPH, &options).await;
    let map = map_of(&text(&*store, &manifest.get("index.html").unwrap().key).await);
    // Beside the modules that import it, and as one of them writes it.
    for url in ["https://cdn.example.nl/js/c.js", "https://cdn.example.nl/js/c.js?v=1"] {
        assert_eq!(map["imports"][url], "/js/c.js", "{url}");
    }
    assert_eq!(map["imports"].get("/js/c.js"), None);
    assert_eq!(map["integrity"].get(public(&manifest, "js/c.js")), None, "nobody asks for it");
}
