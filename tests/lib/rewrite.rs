//! Rewriting whole pages: the fixtures under `fixtures/pages`, and what holds
//! for every document.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use awning::asset::{AssetPath, Digest, ObjectKey, media};
use awning::manifest::{Entry, Manifest};
use awning::rewrite::{
    HtmlRewriter, Limits, ManifestResolver, Mount, PublicBase, Reason, Reference, Resolver,
    Summary, rewrite_css, rewrite_html, rewrite_web_manifest,
};
use proptest::prelude::*;
use url::Url;

/// What the pages' shop has published, below `/static/`.
const ASSETS: [&str; 17] = [
    "css/app.css",
    "css/druk.css",
    "etalage.webmanifest",
    "favicon.ico",
    "film/hoed.mp4",
    "film/hoed.vtt",
    "folder.pdf",
    "fonts/letter.eot",
    "fonts/letter.woff2",
    "img/bestel.png",
    "img/hoed.jpg",
    "img/hoed.webp",
    "img/hoed@2x.jpg",
    "img/iconen.svg",
    "img/stof.png",
    "js/mand/mand.js",
    "js/winkel.js",
];

fn page() -> Url {
    Url::parse("https://www.example.nl/winkel/").unwrap()
}

/// Resolves against a release of `assets`.
fn resolver(assets: &[&str]) -> Arc<dyn Resolver> {
    Arc::new(ManifestResolver {
        manifest: Arc::new(Manifest::new(assets.iter().map(|path| entry(path)).collect())),
        mount: Mount::at("/static/"),
        public: PublicBase::parse("https://cdn.example.nl").unwrap(),
        same_origin: PublicBase::parse("/_a").unwrap(),
        page: page(),
    })
}

fn entry(path: &str) -> (AssetPath, Entry) {
    let path = AssetPath::parse(path).unwrap();
    let b3 = Digest::of(path.as_str().as_bytes());
    let entry = Entry {
        b3,
        cache: "public, max-age=31536000, immutable".into(),
        content_type: media::content_type(&path),
        headers: BTreeMap::new(),
        integrity: "sha384-x".into(),
        key: ObjectKey::for_asset(&path, &b3.fingerprint()),
        refs: Vec::new(),
        size: path.as_str().len() as u64,
        stable: false,
        tags: Vec::new(),
        variants: BTreeMap::new(),
    };
    (path, entry)
}

/// A page, and what becomes of it.
struct Fixture {
    name: String,
    page: Vec<u8>,
    rewritten: Vec<u8>,
}

fn fixtures() -> Vec<Fixture> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pages");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|found| found.unwrap().path())
        .filter(|path| !path.to_string_lossy().ends_with(".rewritten.html"))
        .collect();
    pages.sort();
    let read = |page: PathBuf| Fixture {
        name: page.file_name().unwrap().to_string_lossy().into_owned(),
        rewritten: std::fs::read(page.with_extension("rewritten.html")).unwrap_or_default(),
        page: std::fs::read(page).unwrap(),
    };
    pages.into_iter().map(read).collect()
}

fn rewrite(html: &[u8], resolver: &dyn Resolver) -> (Vec<u8>, Summary) {
    rewrite_html(html, &page(), resolver, Limits::standard())
}

/// Rewrites a document that arrives in these pieces.
fn rewrite_pieces<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    resolver: &Arc<dyn Resolver>,
) -> Vec<u8> {
    let mut rewriter = HtmlRewriter::new(&page(), resolver.clone(), Limits::standard());
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(rewriter.write(piece));
    }
    out.extend(rewriter.end().0);
    out
}

#[track_caller]
fn assert_same(name: &str, left: &[u8], right: &[u8]) {
    if left != right {
        panic!("{name}:\n{}\n--- is not ---\n{}", left.escape_ascii(), right.escape_ascii());
    }
}

#[test]
fn every_fixture_page_becomes_what_lies_beside_it() {
    let resolver = resolver(&ASSETS);
    let fixtures = fixtures();
    assert!(fixtures.len() >= 9);
    for fixture in fixtures {
        let (rewritten, summary) = rewrite(&fixture.page, &*resolver);
        assert_same(&fixture.name, &rewritten, &fixture.rewritten);
        assert!(summary.rewritten > 0, "{}", fixture.name);
    }
}

#[test]
fn every_split_of_every_page_gives_the_same_bytes() {
    let resolver = resolver(&ASSETS);
    for Fixture { name, page, rewritten } in fixtures() {
        for at in 0..=page.len() {
            let (head, tail) = page.split_at(at);
            let out = rewrite_pieces([head, tail].into_iter(), &resolver);
            assert_same(&format!("{name} at {at}"), &out, &rewritten);
        }
        for size in [1, 2, 3, 7, 64, 1460] {
            let out = rewrite_pieces(page.chunks(size), &resolver);
            assert_same(&format!("{name} in pieces of {size}"), &out, &rewritten);
        }
    }
}

#[test]
fn every_split_of_every_page_of_the_etalage_gives_the_same_bytes() {
    let page = Url::parse("https://schemer.example/").unwrap();
    let resolver: Arc<dyn Resolver> = Arc::new(|reference: &Reference<'_>| {
        let own = reference.url.host_str() == Some("schemer.example");
        own.then(|| format!("/_a{}", reference.url.path()))
    });
    let in_pieces = |pieces: [&[u8]; 2]| {
        let mut rewriter = HtmlRewriter::new(&page, resolver.clone(), Limits::standard());
        let mut out: Vec<u8> = pieces.into_iter().flat_map(|piece| rewriter.write(piece)).collect();
        out.extend(rewriter.end().0);
        out
    };
    let etalage = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sites/etalage");
    for name in ["index.html", "404.html", "over-ons.html", "lampen/wulp.html"] {
        let html = std::fs::read(etalage.join(name)).unwrap();
        let (whole, summary) = rewrite_html(&html, &page, &*resolver, Limits::standard());
        assert!(summary.rewritten >= 8, "{name}: {summary:?}");
        for at in 0..=html.len() {
            let (head, tail) = html.split_at(at);
            assert_same(&format!("{name} at {at}"), &in_pieces([head, tail]), &whole);
        }
    }
}

#[test]
fn an_empty_manifest_changes_no_byte() {
    let empty = resolver(&[]);
    for Fixture { name, page, .. } in fixtures() {
        let (same, summary) = rewrite(&page, &*empty);
        assert_same(&name, &same, &page);
        assert_eq!(summary.rewritten, 0);
        assert_same(&name, &rewrite_pieces(page.chunks(1), &empty), &page);
    }
}

#[test]
fn rewriting_twice_is_rewriting_once() {
    let resolver = resolver(&ASSETS);
    for Fixture { name, rewritten, .. } in fixtures() {
        let (again, summary) = rewrite(&rewritten, &*resolver);
        assert_same(&name, &again, &rewritten);
        assert_eq!(summary.rewritten, 0, "{name}");
    }
}

#[test]
fn limits_that_are_reached_leave_the_rest_of_a_page_intact() {
    let resolver = resolver(&ASSETS);
    let tight = Limits { capture_bytes_max: 0, tokenizer_bytes_max: 0 };
    for Fixture { name, page: html, .. } in fixtures() {
        let long =
            format!("<img alt=\"{}\" src=/static/img/hoed.jpg>", "x".repeat(10_000)).into_bytes();
        // An ending that is open in the fixture is closed, so that the tag is one.
        let document = [&html[..], b"\">--></style></noscript>", &long, &html].concat();
        let mut rewriter = HtmlRewriter::new(&page(), resolver.clone(), tight);
        let mut out = Vec::new();
        for piece in document.chunks(500) {
            out.extend(rewriter.write(piece));
        }
        let (tail, summary) = rewriter.end();
        out.extend(tail);
        assert!(out.ends_with(&[&long[..], &html].concat()), "{name}");
        assert_eq!(summary.skipped.get(&Reason::Memory), Some(&1), "{name}");
    }
}

/// Answers with the reference's own text, so that every edit changes nothing.
fn echo(reference: &Reference<'_>) -> Option<String> {
    (reference.url.query().is_none() && reference.url.fragment().is_none())
        .then(|| reference.text.to_owned())
}

/// Pieces of markup, in any order, between bytes of any kind.
fn markup() -> impl Strategy<Value = Vec<u8>> {
    let snippets = prop::sample::select(vec![
        "<img",
        " src=",
        " style=",
        "\"/static/img/hoed.jpg\"",
        "'",
        "\"",
        ">",
        "/>",
        " srcset='",
        "/static/img/hoed.jpg 1x, ",
        "<style>",
        "</style>",
        "a{b:url(",
        "/static/img/stof.png",
        ")",
        "}",
        "@import \"",
        "<noscript>",
        "</noscript>",
        "<script type=importmap>",
        "{\"imports\":{\"a\":\"/static/js/winkel.js\"}}",
        "</script>",
        "<!--",
        "-->",
        "<svg>",
        "</svg>",
        "<use href=/static/img/iconen.svg#a />",
        "<base href=/static/>",
        "<p style='b:url(",
        "<table>",
        "<select>",
        "<textarea>",
        "</textarea>",
        "<template>",
        "</template>",
        "<link rel=stylesheet href=",
        "\n",
        " ",
        "/*",
        "*/",
        "<![CDATA[",
        "]]>",
        "<script>",
        "<plaintext>",
        "</",
        "<",
        "é",
    ]);
    let piece = prop_oneof![
        8 => snippets.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_document_is_changed_by_an_empty_manifest(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let empty = resolver(&[]);
        prop_assert_eq!(&rewrite(&bytes, &*empty).0, &bytes);
        prop_assert_eq!(&rewrite_css(&bytes, &page(), &*empty).0, &bytes);
        prop_assert_eq!(&rewrite_web_manifest(&bytes, &page(), &*empty).0, &bytes);
    }

    #[test]
    fn edits_that_change_nothing_change_nothing(html in markup()) {
        prop_assert_eq!(&rewrite(&html, &echo).0, &html);
        prop_assert_eq!(&rewrite_css(&html, &page(), &echo).0, &html);
    }

    #[test]
    fn no_split_of_any_markup_matters(html in markup(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let resolver = resolver(&ASSETS);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(html.len() + 1)).collect();
        cuts.extend([0, html.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &html[pair[0]..pair[1]]);
        let whole = rewrite_pieces([&html[..]].into_iter(), &resolver);
        prop_assert_eq!(rewrite_pieces(pieces, &resolver), whole.clone());
        prop_assert_eq!(rewrite_pieces(html.chunks(1), &resolver), whole);
    }

    #[test]
    fn no_markup_is_rewritten_twice_and_each_edit_is_counted(html in markup()) {
        let resolver = resolver(&ASSETS);
        let (once, summary) = rewrite(&html, &*resolver);
        let text = String::from_utf8_lossy(&once);
        let replaced = text.matches("https://cdn.example.nl/").count() + text.matches("/_a/").count();
        prop_assert_eq!(summary.rewritten, replaced);
        prop_assert_eq!(rewrite(&once, &*resolver).0, once);
    }
}
