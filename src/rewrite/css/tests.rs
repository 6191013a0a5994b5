use std::sync::Mutex;

use super::*;
use crate::rewrite::{Reference, Site};

/// Everything below `/s/` of the sheet's own origin is ours.
fn ours(reference: &Reference<'_>) -> Option<String> {
    let own = reference.url.host_str() == Some("shop.nl");
    let name = reference.url.path().strip_prefix("/s/").filter(|_| own)?;
    let base = if reference.site == Site::SameOrigin { "/_a" } else { "https://c.nl" };
    Some(format!("{base}/{}", name.replace('.', ".fp.")))
}

fn rewrite(css: &str) -> (String, Summary) {
    let sheet = Url::parse("https://shop.nl/s/css/app.css").unwrap();
    let (bytes, summary) = rewrite_css(css.as_bytes(), &sheet, &ours);
    (String::from_utf8(bytes).unwrap(), summary)
}

#[test]
fn urls_are_replaced_in_the_form_they_were_written() {
    let table = [
        ("a{background:url(../a.png)}", "a{background:url(https://c.nl/a.fp.png)}"),
        ("a{background:url( \n../a.png\t)}", "a{background:url( \nhttps://c.nl/a.fp.png\t)}"),
        ("a{background:url('../a.png')}", "a{background:url('https://c.nl/a.fp.png')}"),
        ("a{background:url( \"../a.png\" )}", "a{background:url( \"https://c.nl/a.fp.png\" )}"),
        ("a{background:URL(../a.png)}", "a{background:URL(https://c.nl/a.fp.png)}"),
        (r"a{background:u\72l(../a.png)}", r"a{background:u\72l(https://c.nl/a.fp.png)}"),
        (r"a{background:url(..\2f a\.png)}", "a{background:url(https://c.nl/a.fp.png)}"),
        (
            r#"a{background:url("..\2f a.png#i")}"#,
            r#"a{background:url("https://c.nl/a.fp.png#i")}"#,
        ),
        ("a{background:url(/s/a\\ )}", "a{background:url(https://c.nl/a)}"),
        ("a{background:url(/s/a\\ b)}", "a{background:url(https://c.nl/a%20b)}"),
        ("@import \"b.css\";", "@import \"https://c.nl/css/b.fp.css\";"),
        (
            "@import/**/'b.css' layer(x) print;",
            "@import/**/'https://c.nl/css/b.fp.css' layer(x) print;",
        ),
        (
            "@import url(b.css) layer(x) supports(display:grid) screen;",
            "@import url(https://c.nl/css/b.fp.css) layer(x) supports(display:grid) screen;",
        ),
        ("@IMPORT url('b.css');", "@IMPORT url('https://c.nl/css/b.fp.css');"),
        (
            "a{background:image-set('../a.png' 1x, url(../b.png) 2x type('image/png'))}",
            "a{background:image-set('https://c.nl/a.fp.png' 1x, url(https://c.nl/b.fp.png) 2x type('image/png'))}",
        ),
        (
            "a{background:-webkit-image-set('../a.png' 1x)}",
            "a{background:-webkit-image-set('https://c.nl/a.fp.png' 1x)}",
        ),
        ("a{background:src('../a.png')}", "a{background:src('https://c.nl/a.fp.png')}"),
        (
            "@font-face{src:url(f.eot?#iefix)}",
            "@font-face{src:url(https://c.nl/css/f.fp.eot?#iefix)}",
        ),
        (
            "@font-face{src:url(f.svg?v=1#icon)}",
            "@font-face{src:url(https://c.nl/css/f.fp.svg#icon)}",
        ),
        ("a{fill:url(../a.png)}", "a{fill:url(https://c.nl/a.fp.png)}"),
        ("a{filter:url(f.svg#blur)}", "a{filter:url(/_a/css/f.fp.svg#blur)}"),
        (
            "a:hover{b:c}d{clip-path:url(f.svg#x);background:url(f.svg#x)}",
            "a:hover{b:c}d{clip-path:url(/_a/css/f.fp.svg#x);background:url(https://c.nl/css/f.fp.svg#x)}",
        ),
        ("a{background:url(../a.png", "a{background:url(https://c.nl/a.fp.png"),
        ("@import 'b.css", "@import 'https://c.nl/css/b.fp.css"),
        ("\u{feff}@import 'b.css';", "\u{feff}@import 'https://c.nl/css/b.fp.css';"),
        (
            "a{}/*# sourceMappingURL=app.css.map */\n",
            "a{}/*# sourceMappingURL=https://c.nl/css/app.fp.css.fp.map */\n",
        ),
        (
            "/*# sourceMappingURL=/s/m.map */ /*! (c) */",
            "/*# sourceMappingURL=https://c.nl/m.fp.map */ /*! (c) */",
        ),
        ("a{--x:url(/s/a.png)}", "a{--x:url(https://c.nl/a.fp.png)}"),
        ("a{--x:1;b:url(../a.png)}", "a{--x:1;b:url(https://c.nl/a.fp.png)}"),
        ("a{b{c:url(../a.png)}}", "a{b{c:url(https://c.nl/a.fp.png)}}"),
        ("}}a{b:url(../a.png)}", "}}a{b:url(https://c.nl/a.fp.png)}"),
    ];
    for (css, expected) in table {
        let (rewritten, summary) = rewrite(css);
        assert_eq!(rewritten, expected);
        assert!(summary.rewritten > 0 && summary.skipped.is_empty(), "{css}: {summary:?}");
    }
}

#[test]
fn rare_forms_are_replaced_as_well() {
    let table = [
        ("a{--x:{y:z};b:url(../a.png)}", "a{--x:{y:z};b:url(https://c.nl/a.fp.png)}"),
        ("a{b:var(--x,url(../a.png))}", "a{b:var(--x,url(https://c.nl/a.fp.png))}"),
        ("a{b:src('../a.png' x(y))}", "a{b:src('https://c.nl/a.fp.png' x(y))}"),
        ("a{b:url('../a.png' x('/s/b.png'))}", "a{b:url('https://c.nl/a.fp.png' x('/s/b.png'))}"),
        (
            "@import url(\"b.css\")supports(a:b);",
            "@import url(\"https://c.nl/css/b.fp.css\")supports(a:b);",
        ),
        ("@im\\70ort'b.css';", "@im\\70ort'https://c.nl/css/b.fp.css';"),
    ];
    for (css, expected) in table {
        let (rewritten, summary) = rewrite(css);
        assert_eq!(rewritten, expected);
        assert!(summary.rewritten == 1 && summary.skipped.is_empty(), "{css}: {summary:?}");
    }
}

#[test]
fn what_is_no_reference_of_ours_is_left_alone() {
    let table = [
        "/* url(../a.png) @import 'b.css' */",
        "a{content:'url(../a.png)'}",
        "a{content:\"../a.png\"}",
        "@charset \"utf-8\";",
        "@namespace svg url(/s/a.png);@namespace \"/s/a.png\";",
        "@-moz-document url(/s/a.png), url-prefix('/s/'){}",
        "a{b:url(../a .png)}",
        "a{b:url(../a'.png)}",
        "a{fill:url(#g)}",
        "a{b:url(data:image/png;base64,AAAA)}",
        "a{b:url()}a{b:url('')}",
        "a{b:url(//elders.nl/s/a.png)}",
        "a{b:url(/elders/a.png)}",
        "a[href='/s/a.png']{}",
        "a{b:image-set(url(data:,) type('/s/a.png'))}",
        "a{b:myurl('/s/a.png')}",
        "/*# sourceMappingURL=app.css.map */a{}",
        "a{b:url(/s/\u{0}.png)}",
        "a{filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='/s/a.png',sizingMethod='scale')}",
        "a{behavior:url(/s/a.htc);-ms-behavior:url('/s/a.htc')}",
        "@import url(//elders.nl/s/a.css) layer(x);",
        "a{--x:'/s/a.png'}",
    ];
    for css in table {
        assert_eq!(rewrite(css), (css.to_owned(), Summary::default()));
    }
}

#[test]
fn what_is_ours_and_left_alone_is_counted() {
    let table = [
        ("a{--x:url(a.png)}", Reason::Property),
        ("a{--x : foo(url('a.png'))}", Reason::Property),
        ("a{--x:{b:url(a.png);c:d}}", Reason::Property),
        ("a{--x:var(--y,url(a.png))}", Reason::Property),
        ("a{b:url(a.png?size=2)}", Reason::Query),
        (r"a{b:url(a.png\#\28 )}", Reason::Suffix),
    ];
    for (css, reason) in table {
        let (rewritten, summary) = rewrite(css);
        assert_eq!(rewritten, css);
        assert_eq!(summary.skipped.get(&reason), Some(&1), "{css}: {summary:?}");
    }
}

#[test]
fn a_reference_after_a_muted_rule_is_seen() {
    let (css, _) =
        rewrite("@namespace url(/s/a.png);@import 'b.css';@document url(x){a{b:url(c.png)}}");
    assert_eq!(
        css,
        "@namespace url(/s/a.png);@import 'https://c.nl/css/b.fp.css';@document url(x){a{b:url(https://c.nl/css/c.fp.png)}}"
    );
}

/// Notes uses of properties, and answers for relative URLs in their values.
#[derive(Default)]
struct Noting(Mutex<Vec<String>>);

impl Resolver for Noting {
    fn resolve(&self, reference: &Reference<'_>) -> Option<String> {
        ours(reference)
    }

    fn resolve_in_property(&self, name: &str, reference: &Reference<'_>) -> Option<String> {
        self.0.lock().unwrap().push(format!("{name}={}", reference.text));
        ours(reference)
    }

    fn see_use(&self, use_: &crate::rewrite::PropertyUse<'_>) {
        let within = use_.within.unwrap_or_default();
        self.0.lock().unwrap().push(format!("{within}>{}@{}", use_.name, use_.base.path()));
    }
}

#[test]
fn a_resolver_hears_of_custom_properties_in_their_order() {
    let css = "a{--x:url(a.png);b:var(--x)}c{d:e( VAR( --y , var(--z)))}\n\
        f{--q:var(--x) url('b.png');--\\78 y:var(--r)}g:hover{h:url(c.png)}";
    let sheet = Url::parse("https://shop.nl/s/css/app.css").unwrap();
    let noting = Noting::default();
    let (bytes, summary) = rewrite_css(css.as_bytes(), &sheet, &noting);
    let expected = [
        "--x=a.png",
        ">--x@/s/css/app.css",
        ">--y@/s/css/app.css",
        ">--z@/s/css/app.css",
        "--q>--x@/s/css/app.css",
        "--q=b.png",
        "--xy>--r@/s/css/app.css",
    ];
    assert_eq!(noting.0.into_inner().unwrap(), expected);
    assert_eq!((summary.rewritten, summary.skipped.len()), (3, 0));
    assert!(
        String::from_utf8(bytes).unwrap().starts_with("a{--x:url(https://c.nl/css/a.fp.png);b")
    );
}

#[test]
fn offsets_point_at_the_values() {
    let css = "@import 'b.css';\n/* é */a{b:url( ../a.png );c:url(\"..\\2f d.png\")}/*# sourceMappingURL=m.map */";
    let seen = Mutex::new(Vec::new());
    let record = |reference: &Reference<'_>| {
        seen.lock().unwrap().push((reference.offset, reference.text.to_owned()));
        None
    };
    rewrite_css(css.as_bytes(), &Url::parse("https://shop.nl/s/css/app.css").unwrap(), &record);
    let at = |raw: &str| css.find(raw).unwrap();
    let expected = [
        (at("b.css"), "b.css"),
        (at("../a.png"), "../a.png"),
        (at("..\\2f d.png"), "../d.png"),
        (at("m.map"), "m.map"),
    ];
    assert_eq!(seen.into_inner().unwrap(), expected.map(|(at, text)| (at, text.to_owned())));
}

#[test]
fn a_sheet_that_is_not_utf8_keeps_its_bytes() {
    let sheet = Url::parse("https://shop.nl/s/css/app.css").unwrap();
    let (css, _) =
        rewrite_css(b"/*caf\xe9*/a{b:url(/s/a.png)}c{d:url(/s/caf\xe9.png)}", &sheet, &ours);
    assert_eq!(css, b"/*caf\xe9*/a{b:url(https://c.nl/a.fp.png)}c{d:url(/s/caf\xe9.png)}");

    let utf16 = b"\xff\xfeu\0r\0l\0(\0/\0s\0/\0a\0)\0";
    let (css, summary) = rewrite_css(utf16, &sheet, &ours);
    assert_eq!(
        (css.as_slice(), summary.skipped.get(&Reason::Charset)),
        (utf16.as_slice(), Some(&1))
    );
}

#[test]
fn a_hundred_thousand_open_blocks_are_no_danger() {
    let css = format!("{}url(/s/a.png)", "a{(f([".repeat(25_000));
    let (rewritten, summary) = rewrite(&css);
    assert_eq!(summary.rewritten, 1);
    assert!(rewritten.ends_with("[url(https://c.nl/a.fp.png)"));
}
