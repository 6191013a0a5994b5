use super::*;
use crate::rewrite::{Reference, Site};

/// Everything below `/s/` of the file's own origin is ours.
fn ours(reference: &Reference<'_>) -> Option<String> {
    let own = reference.url.host_str() == Some("shop.nl");
    let name = reference.url.path().strip_prefix("/s/").filter(|_| own)?;
    let base = if reference.site == Site::SameOrigin { "/_a" } else { "https://c.nl" };
    Some(format!("{base}/{}", name.replace('.', ".fp.")))
}

fn rewrite(svg: &str) -> (String, Summary) {
    let url = Url::parse("https://shop.nl/s/img/a.svg").unwrap();
    let (bytes, summary) = rewrite_svg(svg.as_bytes(), &url, &ours);
    (String::from_utf8(bytes).unwrap(), summary)
}

/// In a root element that binds the usual names.
fn document(inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<svg xmlns='{}' xmlns:xlink='{}'>{inner}</svg>\n",
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
    )
}

#[test]
fn references_are_replaced_and_nothing_else() {
    let table = [
        ("<image href='b.png'/>", "<image href='https://c.nl/img/b.fp.png'/>"),
        (
            "<image  xlink:href = \"b.png\" ></image>",
            "<image  xlink:href = \"https://c.nl/img/b.fp.png\" ></image>",
        ),
        ("<feImage href=' ../b.png '/>", "<feImage href=' https://c.nl/b.fp.png '/>"),
        ("<script href='b.js'/>", "<script href='https://c.nl/img/b.fp.js'/>"),
        ("<use href='b&#46;svg#a'/>", "<use href='/_a/img/b.fp.svg#a'/>"),
        ("<image href='a&#x2f;b.png'/>", "<image href='https://c.nl/img/a/b.fp.png'/>"),
        ("<image href='/s/b.png?v=1&amp;t=2'/>", "<image href='https://c.nl/b.fp.png'/>"),
        ("<g style='fill:url(b.png)'/>", "<g style='fill:url(https://c.nl/img/b.fp.png)'/>"),
        (
            "<g style='fill:url(&quot;b.svg#x&quot;)'/>",
            "<g style='fill:url(&quot;/_a/img/b.fp.svg#x&quot;)'/>",
        ),
        ("<g filter='url(b.svg#x)'/>", "<g filter='url(/_a/img/b.fp.svg#x)'/>"),
        ("<g mask=\"url('b.svg#x')\"/>", "<g mask=\"url('/_a/img/b.fp.svg#x')\"/>"),
        ("<g cursor='url(b.cur), auto'/>", "<g cursor='url(https://c.nl/img/b.fp.cur), auto'/>"),
        ("<style>a{b:url(b.png)}</style>", "<style>a{b:url(https://c.nl/img/b.fp.png)}</style>"),
        (
            "<style type='text/css'>\n<![CDATA[ a>b{c:url(b.png)} ]]>\n</style>",
            "<style type='text/css'>\n<![CDATA[ a>b{c:url(https://c.nl/img/b.fp.png)} ]]>\n</style>",
        ),
        (
            "<style>a&gt;b{c:url(&apos;b.png&apos;)}</style>",
            "<style>a&gt;b{c:url(&apos;https://c.nl/img/b.fp.png&apos;)}</style>",
        ),
        (
            "<style>@import <!-- x -->'b.css';</style>",
            "<style>@import <!-- x -->'https://c.nl/img/b.fp.css';</style>",
        ),
        (
            "<s:image xmlns:s='http://www.w3.org/2000/svg' href='b.png'/>",
            "<s:image xmlns:s='http://www.w3.org/2000/svg' href='https://c.nl/img/b.fp.png'/>",
        ),
    ];
    for (inner, expected) in table {
        let (svg, summary) = rewrite(&document(inner));
        assert_eq!(svg, document(expected));
        assert!(summary.rewritten == 1 && summary.skipped.is_empty(), "{inner}: {summary:?}");
    }
}

#[test]
fn what_is_no_reference_is_left_alone() {
    let table = [
        "<a href='b.html'/>",
        "<use href='#x'/><linearGradient xlink:href='#y'/>",
        "<textPath href='b.svg#x'/><mpath href='b.svg#x'/>",
        "<image href='//elders.nl/s/b.png'/><image href='data:image/png;base64,AA=='/>",
        "<image href=''/><image/>",
        "<g fill='url(#g)' stroke='none'/>",
        "<!-- <image href='b.png'/> -->",
        "<text>&lt;image href='b.png'/></text>",
        "<![CDATA[<image href='b.png'/>]]>",
        "<style type='text/plain'>a{b:url(b.png)}</style>",
        "<style><!-- a{b:url(b.png)} --></style>",
        "<style>a{b:url(b.<!-- -->png)}</style>",
        "<image data-awning-ignore='' href='b.png'/>",
        "<x:image xmlns:x='urn:x' href='b.png'/>",
        "<image xmlns='urn:x' href='b.png'/>",
        "<image x:href='b.png' xmlns:x='urn:x'/>",
        "<?xml-stylesheet href='b.css'?>",
        "<foreignObject><p xmlns='http://www.w3.org/1999/xhtml' style='a:url(b.png)'/></foreignObject>",
    ];
    for inner in table {
        let svg = document(inner);
        assert_eq!(rewrite(&svg), (svg.clone(), Summary::default()));
    }
}

#[test]
fn a_style_sheet_is_named_before_the_root() {
    let root = "<svg xmlns='http://www.w3.org/2000/svg'/>";
    let named = |href: &str| format!("<?xml-stylesheet type='text/css' href=\"{href}\"?>{root}");
    assert_eq!(rewrite(&named("../b.css")).0, named("https://c.nl/b.fp.css"));
    let xsl = named("b.xsl").replace("text/css", "text/xsl");
    assert_eq!(rewrite(&xsl), (xsl.clone(), Summary::default()));
}

#[test]
fn a_file_that_is_not_well_formed_is_left_alone_whole() {
    let image = "<image href='b.png'/>";
    let table = [
        document(&format!("{image}<g>")),
        document(&format!("{image}</g>")),
        document(&format!("{image}<g a=b/>")),
        document(&format!("{image}<g a='1' a='2'/>")),
        document(&format!("{image}a & b")),
        document(&format!("{image}<!-- a -- b -->")),
        document(image).replace("</svg>", ""),
        document(image).replace("</svg>", "<g"),
        format!("<svg>{image}"),
        String::new(),
        "plain".to_owned(),
    ];
    for svg in table {
        let (same, summary) = rewrite(&svg);
        assert_eq!((same.as_str(), summary.skipped.get(&Reason::Syntax)), (&*svg, Some(&1)));
        assert_eq!(summary.rewritten, 0, "{svg}");
    }
}

#[test]
fn entities_are_not_expanded() {
    let bomb = "<!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'>\n<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>\n\
        <!ENTITY s 'http://www.w3.org/2000/svg'>]>";
    let svg = |href: &str| {
        format!("{bomb}<svg xmlns='&s;'><text>&b;&b;</text><image href='{href}'/></svg>")
    };
    let (rewritten, summary) = rewrite(&svg("b.png"));
    assert_eq!((rewritten, summary.rewritten), (svg("https://c.nl/img/b.fp.png"), 1));
    let (same, summary) = rewrite(&svg("&b;.png"));
    assert_eq!(same, svg("&b;.png"));
    assert_eq!(summary.skipped.get(&Reason::Entity), Some(&1));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        document(&format!("<image href='b.png'/>{}{}", "<g>".repeat(depth), "</g>".repeat(depth)))
    };
    assert_eq!(rewrite(&nested(4095)).1.rewritten, 1);
    let (same, summary) = rewrite(&nested(4096));
    assert_eq!((same, summary.skipped.get(&Reason::Memory)), (nested(4096), Some(&1)));
}

#[test]
fn a_file_in_another_charset_keeps_its_bytes() {
    let url = Url::parse("https://shop.nl/s/img/a.svg").unwrap();
    let latin1 = b"<?xml version='1.0' encoding='iso-8859-1'?><svg><text>caf\xe9</text><image href='b.png'/></svg>";
    let (bytes, _) = rewrite_svg(latin1, &url, &ours);
    assert_eq!(bytes, b"<?xml version='1.0' encoding='iso-8859-1'?><svg><text>caf\xe9</text><image href='https://c.nl/img/b.fp.png'/></svg>");
    for other in [
        &b"\xff\xfe<\0s\0"[..],
        b"<?xml version='1.0' encoding='iso-2022-jp'?><svg><image href='b.png'/></svg>",
    ] {
        let (bytes, summary) = rewrite_svg(other, &url, &ours);
        assert_eq!((bytes.as_slice(), summary.skipped.get(&Reason::Charset)), (other, Some(&1)));
    }
}

#[test]
fn offsets_point_at_the_values() {
    let svg = document(
        "<text>é</text>\n<image href=' b.png'/><style>\n<![CDATA[a{b:url('c.png')}]]></style>",
    );
    let seen = std::sync::Mutex::new(Vec::new());
    let record = |reference: &Reference<'_>| {
        seen.lock().unwrap().push(reference.offset);
        None
    };
    rewrite_svg(svg.as_bytes(), &Url::parse("https://shop.nl/a.svg").unwrap(), &record);
    let at = |raw: &str| svg.find(raw).unwrap();
    assert_eq!(seen.into_inner().unwrap(), [at("b.png"), at("c.png")]);
}
