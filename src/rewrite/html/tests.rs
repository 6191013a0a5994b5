use std::sync::Mutex;

use super::*;
use crate::rewrite::{Reference, Site};

/// Everything below `/s/` of the shop's origin is ours: `/s/a.png` becomes
/// `https://c.nl/a.fp.png`, or `/_a/a.fp.png` where the origin must stay.
fn ours(reference: &Reference<'_>) -> Option<String> {
    let own = reference.url.host_str() == Some("shop.nl");
    let name = reference.url.path().strip_prefix("/s/").filter(|_| own)?;
    let anywhere = matches!(reference.site, Site::Plain | Site::Module);
    let base = if anywhere { "https://c.nl" } else { "/_a" };
    Some(format!("{base}/{}", name.replace('.', ".fp.")))
}

fn page() -> Url {
    Url::parse("https://shop.nl/winkel/hoed").unwrap()
}

fn rewrite(html: &str) -> (String, Summary) {
    let (bytes, summary) = rewrite_html(html.as_bytes(), &page(), &ours, Limits::standard());
    (String::from_utf8(bytes).unwrap(), summary)
}

/// Checks rows of a document, and the same with its references replaced.
fn assert_rewritten(table: &[(&str, &str)]) {
    for (html, expected) in table {
        let (rewritten, summary) = rewrite(html);
        assert_eq!(rewritten, *expected);
        assert!(summary.rewritten > 0 && summary.skipped.is_empty(), "{html}: {summary:?}");
    }
}

fn assert_untouched(table: &[&str]) {
    for html in table {
        assert_eq!(rewrite(html), ((*html).to_owned(), Summary::default()));
    }
}

/// Checks rows of a document that is left alone, and the one reason why.
fn assert_skipped(table: &[(&str, Reason)]) {
    for (html, reason) in table {
        let (rewritten, summary) = rewrite(html);
        assert_eq!(rewritten, *html);
        let skipped: Vec<_> = summary.skipped.into_iter().collect();
        assert_eq!(skipped, [(*reason, 1)], "{html}");
    }
}

#[test]
fn links_and_scripts_become_what_they_may_be() {
    assert_rewritten(&[
        ("<link rel=stylesheet href=/s/a.css>", "<link rel=stylesheet href=https://c.nl/a.fp.css>"),
        (
            "<link href='/s/a.ico' rel='shortcut icon'>",
            "<link href='https://c.nl/a.fp.ico' rel='shortcut icon'>",
        ),
        (
            "<link rel=preload as=font href=/s/a.woff2 crossorigin>",
            "<link rel=preload as=font href=https://c.nl/a.fp.woff2 crossorigin>",
        ),
        (
            "<link rel=modulepreload href=/s/a.js />",
            "<link rel=modulepreload href=https://c.nl/a.fp.js />",
        ),
        (
            "<link rel=preload as=image imagesrcset='/s/a.png 1x, /s/b.png 2x'>",
            "<link rel=preload as=image imagesrcset='https://c.nl/a.fp.png 1x, https://c.nl/b.fp.png 2x'>",
        ),
        (
            "<link rel=manifest href=/s/a.json crossorigin=use-credentials>",
            "<link rel=manifest href=/_a/a.fp.json crossorigin=use-credentials>",
        ),
        ("<script src=/s/a.js></script>", "<script src=https://c.nl/a.fp.js></script>"),
        (
            "<script type=module src=\"/s/a.js\"></script>",
            "<script type=module src=\"https://c.nl/a.fp.js\"></script>",
        ),
    ]);
}

#[test]
fn images_media_and_embedded_documents_become_what_they_may_be() {
    assert_rewritten(&[
        ("<img src=/s/a.png>", "<img src=https://c.nl/a.fp.png>"),
        ("<IMG\n SRC = '/s/a.png'  ALT=x>", "<IMG\n SRC = 'https://c.nl/a.fp.png'  ALT=x>"),
        ("<img src=\" /s/a.png\t\">", "<img src=\" https://c.nl/a.fp.png\t\">"),
        ("<img src=../s/./a.png>", "<img src=https://c.nl/a.fp.png>"),
        ("<img src=//shop.nl/s/a.png>", "<img src=https://c.nl/a.fp.png>"),
        ("<img src=HTTPS://Shop.NL:443/s/a.png>", "<img src=https://c.nl/a.fp.png>"),
        ("<img src=\\s\\a.png>", "<img src=https://c.nl/a.fp.png>"),
        ("<img src='/s/é a.png'>", "<img src='https://c.nl/%C3%A9%20a.fp.png'>"),
        (
            "<img srcset=\"/s/a.png, /x/b,c.png 2x,/s/d.png 3x\" sizes=100vw>",
            "<img srcset=\"https://c.nl/a.fp.png, /x/b,c.png 2x,https://c.nl/d.fp.png 3x\" sizes=100vw>",
        ),
        (
            "<img data-src=/s/a.png data-srcset='/s/a.png 2x'>",
            "<img data-src=https://c.nl/a.fp.png data-srcset='https://c.nl/a.fp.png 2x'>",
        ),
        (
            "<picture><source srcset=/s/a.webp><img></picture>",
            "<picture><source srcset=https://c.nl/a.fp.webp><img></picture>",
        ),
        (
            "<video src=/s/a.mp4 poster=/s/a.jpg></video>",
            "<video src=https://c.nl/a.fp.mp4 poster=https://c.nl/a.fp.jpg></video>",
        ),
        ("<audio src=/s/a.mp3></audio>", "<audio src=https://c.nl/a.fp.mp3></audio>"),
        (
            "<video><source src=/s/a.mp4><track src=/s/a.vtt></video>",
            "<video><source src=https://c.nl/a.fp.mp4><track src=/_a/a.fp.vtt></video>",
        ),
        ("<input type=IMAGE src=/s/a.png>", "<input type=IMAGE src=https://c.nl/a.fp.png>"),
        ("<object data=/s/a.pdf></object>", "<object data=/_a/a.fp.pdf></object>"),
        ("<embed src=/s/a.pdf>", "<embed src=/_a/a.fp.pdf>"),
        (
            "<table background=/s/a.png><tr><td background=/s/b.png>",
            "<table background=https://c.nl/a.fp.png><tr><td background=https://c.nl/b.fp.png>",
        ),
        (
            "<img style='b:url(/s/a.png)' srcset=/s/b.png src=/s/c.png>",
            "<img style='b:url(https://c.nl/a.fp.png)' srcset=https://c.nl/b.fp.png src=https://c.nl/c.fp.png>",
        ),
        (
            "<template><img src=/s/a.png></template>",
            "<template><img src=https://c.nl/a.fp.png></template>",
        ),
    ]);
}

#[test]
fn svg_inside_of_html_keeps_its_sprites_on_the_origin() {
    assert_rewritten(&[
        ("<svg><use href=/s/a.svg#hoed /></svg>", "<svg><use href=/_a/a.fp.svg#hoed /></svg>"),
        (
            "<svg><use xlink:href='/s/a.svg#hoed'/></svg>",
            "<svg><use xlink:href='/_a/a.fp.svg#hoed'/></svg>",
        ),
        (
            "<svg><image href=/s/a.png xlink:href=/s/b.png /></svg>",
            "<svg><image href=https://c.nl/a.fp.png xlink:href=https://c.nl/b.fp.png /></svg>",
        ),
        (
            "<svg><feImage href=/s/a.png /></svg>",
            "<svg><feImage href=https://c.nl/a.fp.png /></svg>",
        ),
        (
            "<svg><g style='fill:url(/s/a.svg#x)'/></svg>",
            "<svg><g style='fill:url(/_a/a.fp.svg#x)'/></svg>",
        ),
        (
            "<svg><foreignObject><img src=/s/a.png></foreignObject></svg>",
            "<svg><foreignObject><img src=https://c.nl/a.fp.png></foreignObject></svg>",
        ),
    ]);
    assert_untouched(&[
        "<svg><use href=#hoed /></svg>",
        "<svg><style>a{b:url(/s/a.png)}</style></svg>",
        "<use href=/s/a.svg>",
    ]);
}

#[test]
fn inline_style_is_rewritten_where_it_stands() {
    assert_rewritten(&[
        ("<p style=background:url(/s/a.png)>", "<p style=background:url(https://c.nl/a.fp.png)>"),
        (
            "<p style='background:url(\"/s/a.png\")'>",
            "<p style='background:url(\"https://c.nl/a.fp.png\")'>",
        ),
        (
            "<p style=\"background:url(&quot;/s/a.png&quot;) /* &amp; */, url(&#39;/s/b.png&#39;)\">",
            "<p style=\"background:url(&quot;https://c.nl/a.fp.png&quot;) /* &amp; */, url(&#39;https://c.nl/b.fp.png&#39;)\">",
        ),
        ("<style>@import '/s/a.css';</style>", "<style>@import 'https://c.nl/a.fp.css';</style>"),
        (
            "<style media=print><!-- a{b:url(/s/a.png)} --></STYLE >",
            "<style media=print><!-- a{b:url(https://c.nl/a.fp.png)} --></STYLE >",
        ),
        ("<style></style><img src=/s/a.png>", "<style></style><img src=https://c.nl/a.fp.png>"),
    ]);
}

#[test]
fn noscript_holds_a_document_of_its_own() {
    assert_rewritten(&[
        (
            "<noscript><img src=/s/a.png></noscript>",
            "<noscript><img src=https://c.nl/a.fp.png></noscript>",
        ),
        (
            "<noscript><link rel=stylesheet href=/s/a.css><style>a{b:url(/s/a.png)}</style></noscript>",
            "<noscript><link rel=stylesheet href=https://c.nl/a.fp.css><style>a{b:url(https://c.nl/a.fp.png)}</style></noscript>",
        ),
        (
            "é<base href=/s/><noscript><base href=/x/><p style='b:url(&quot;a.png&quot;)'></noscript>",
            "é<base href=/s/><noscript><base href=/x/><p style='b:url(&quot;https://c.nl/a.fp.png&quot;)'></noscript>",
        ),
    ]);
}

#[test]
fn an_import_map_names_the_new_addresses() {
    assert_rewritten(&[(
        "<script type=\"importmap\">{\"imports\":{\"kassa\":\"/s/kassa.js\"}}</script>",
        "<script type=\"importmap\">{\"imports\":{\"kassa\":\"https://c.nl/kassa.fp.js\"}}</script>",
    )]);
    assert_untouched(&[
        "<script type=speculationrules>{\"imports\":{\"kassa\":\"/s/kassa.js\"}}</script>",
        "<script>let map = {\"imports\":{\"kassa\":\"/s/kassa.js\"}}; url('/s/a.png')</script>",
    ]);
}

#[test]
fn entities_are_read_and_never_written() {
    assert_rewritten(&[
        ("<img src='/s/a&#46;png'>", "<img src='https://c.nl/a.fp.png'>"),
        ("<img src=&#x2f;s&sol;a.png?v=1&amp;t=2#x>", "<img src=https://c.nl/a.fp.png#x>"),
        (
            "<img srcset='/s/a&#46;png&#32;2x, /s/b.png 3x'>",
            "<img srcset='https://c.nl/a.fp.png&#32;2x, https://c.nl/b.fp.png 3x'>",
        ),
    ]);
    assert_skipped(&[
        ("<img src='/s/a.png?x=1&amp;y=2'>", Reason::Query),
        ("<img src='/s/&#97;.svg#&quot;>'>", Reason::Suffix),
    ]);
}

#[test]
fn what_is_a_navigation_or_not_html_is_never_touched() {
    assert_untouched(&[
        "<a href=/s/a.png>x</a><map><area href=/s/a.png></map>",
        "<form action=/s/a.png><button formaction=/s/a.png></form>",
        "<iframe src=/s/a.html></iframe><iframe srcdoc='<img src=/s/a.png>'></iframe>",
        "<meta property=og:image content=/s/a.png><meta http-equiv=refresh content='0;url=/s/a.png'>",
        "<link rel=canonical href=/s/a.png><link rel=alternate href=/s/a.css><link href=/s/a.css>",
        "<link rel=preload as=fetch href=/s/a.json>",
        "<div hx-get=/s/a.png hx-push-url=/s/a.png hx-vals='{\"a\":\"/s/a.png\"}' data-hx-get=/s/a.png></div>",
        "<img :src=\"'/s/a.png'\" x-bind:src='/s/a.png' @click=\"go('/s/a.png')\">",
        "<input src=/s/a.png><p src=/s/a.png background=/s/a.png>",
        "<!-- <img src=/s/a.png> --><!--[if lt IE 9]><script src=/s/a.js></script><![endif]-->",
        "<textarea><img src=/s/a.png></textarea><title><img src=/s/a.png></title>",
        "<xmp><img src=/s/a.png></xmp><noembed><img src=/s/a.png></noembed><noframes><img src=/s/a.png></noframes>",
        "<script type=text/template><img src=/s/a.png></script>",
        "<script type=application/ld+json>{\"image\":\"/s/a.png\"}</script>",
        "<plaintext><img src=/s/a.png>",
        "<img src='{{ url }}' srcset='{{data.srcset}}' style='{{ css }}'>",
        "<img src><img src=''><img src=#x><img src='data:image/png;base64,AAAA'><img src=//elders.nl/s/a.png>",
        "<img data-awning-ignore src=/s/a.png style='b:url(/s/a.png)'><style data-awning-ignore>a{b:url(/s/a.png)}</style>",
        "<img src=x.png src=/s/a.png>",
    ]);
}

#[test]
fn what_is_pinned_or_odd_is_left_alone_and_counted() {
    assert_skipped(&[
        ("<script src=/s/a.js integrity=sha384-x></script>", Reason::Integrity),
        ("<link rel=stylesheet href=/s/a.css integrity=''>", Reason::Integrity),
        ("<script src=/s/a.js crossorigin=use-credentials></script>", Reason::Credentials),
        ("<img src=/s/a.png?w=200>", Reason::Query),
        ("<img src='/s/a.png?v=1&w=200'>", Reason::Query),
        ("<img src=/s/a'b.png>", Reason::Alphabet),
        ("<script type=importmap>{\"imports\":{}</script>", Reason::Syntax),
        (
            "<meta http-equiv=Content-Security-Policy content=\"style-src 'sha256-abc'\"><style>a{b:url(/s/a.png)}</style>",
            Reason::Policy,
        ),
        (
            "<base href=https://elders.nl/><object data=https://shop.nl/s/a.pdf></object>",
            Reason::Base,
        ),
    ]);
}

#[test]
fn a_policy_in_the_header_pins_inline_content() {
    let html = "<style>a{b:url(/s/a.png)}</style><p style='b:url(/s/a.png)'><img src=/s/a.png>";
    let rewrite = |policy: &str| {
        let rewriter = HtmlRewriter::new(&page(), Arc::new(ours), Limits::standard());
        let mut rewriter = rewriter.under_policy(policy);
        let mut out = rewriter.write(html.as_bytes());
        let (tail, summary) = rewriter.end();
        out.extend(tail);
        (String::from_utf8(out).unwrap(), summary)
    };
    let (pinned, summary) = rewrite("default-src 'self' c.nl; style-src 'SHA384-abc='");
    assert_eq!(pinned, html.replace("<img src=/s/a.png>", "<img src=https://c.nl/a.fp.png>"));
    assert_eq!(summary.skipped.get(&Reason::Policy), Some(&2));
    assert_eq!(rewrite("default-src 'self' 'nonce-abc' https://c.nl").1.rewritten, 3);
    let (same, summary) = rewrite("default-src 'self' 'unsafe-inline'");
    assert_eq!((same.as_str(), summary.skipped.get(&Reason::Policy)), (html, Some(&3)));
}

#[test]
fn a_reference_stays_where_its_policy_would_not_let_it_load() {
    let meta = "<meta http-equiv=content-security-policy content=\"img-src 'self'; font-src 'self' c.nl\">";
    assert_skipped(&[
        (&format!("{meta}<img src=/s/a.png>"), Reason::Policy),
        (&format!("{meta}<link rel=stylesheet href=/s/a.css>"), Reason::Policy),
        (&format!("{meta}<noscript><img srcset=/s/a.png></noscript>"), Reason::Policy),
    ]);
    let loads = |html: &str| rewrite(&format!("{meta}{html}")).1.rewritten;
    assert_eq!(loads("<link rel=preload as=font href=/s/a.woff2><script src=/s/a.js></script>"), 2);
    assert_eq!(loads("<svg><use href=/s/a.svg#x /></svg><video src=/s/a.mp4></video>"), 2);
}

#[test]
fn a_base_that_its_policy_forbids_is_none() {
    let under = |policy: &str| {
        let meta = format!("<meta http-equiv=content-security-policy content=\"{policy}\">");
        rewrite(&format!("{meta}<base href=/s/><img src=a.png>")).1.rewritten
    };
    assert_eq!(under("base-uri 'self'"), 1);
    assert_eq!(under("base-uri 'none'"), 0);
    assert_eq!(under("base-uri https://elders.nl"), 0);
}

#[test]
fn relative_urls_follow_the_first_base() {
    assert_rewritten(&[
        ("<base href=/s/><img src=a.png>", "<base href=/s/><img src=https://c.nl/a.fp.png>"),
        (
            "<img src=../s/a.png><base href=/x/><img src=a.png>",
            "<img src=https://c.nl/a.fp.png><base href=/x/><img src=a.png>",
        ),
        (
            "<base target=_top><base href=/s/><base href=/x/><img src=a.png>",
            "<base target=_top><base href=/s/><base href=/x/><img src=https://c.nl/a.fp.png>",
        ),
        (
            "<template><base href=/x/></template><base href=/s/><img src=a.png>",
            "<template><base href=/x/></template><base href=/s/><img src=https://c.nl/a.fp.png>",
        ),
        (
            "<base href='&#47;s/'><img src=a.png>",
            "<base href='&#47;s/'><img src=https://c.nl/a.fp.png>",
        ),
        (
            "<base href=data:x><img src=/s/a.png>",
            "<base href=data:x><img src=https://c.nl/a.fp.png>",
        ),
        (
            "<base href=https://elders.nl/><img src=https://shop.nl/s/a.png>",
            "<base href=https://elders.nl/><img src=https://c.nl/a.fp.png>",
        ),
    ]);
    assert_untouched(&[
        "<base href=https://elders.nl/><img src=/s/a.png>",
        "<base href=/x/><base href=/s/><img src=a.png>",
        "<base href=/x/ data-awning-ignore><base href=/s/><img src=a.png>",
        "<base href><base href=/s/><img src=a.png>",
    ]);
}

#[test]
fn a_fragment_needs_no_document_around_it() {
    assert_rewritten(&[
        (
            "<tr hx-swap-oob=true><td><img src=/s/a.png>",
            "<tr hx-swap-oob=true><td><img src=https://c.nl/a.fp.png>",
        ),
        ("tekst <li><img src=/s/a.png>", "tekst <li><img src=https://c.nl/a.fp.png>"),
    ]);
}

#[test]
fn an_unterminated_end_passes_as_it_is() {
    assert_untouched(&[
        "<p>tekst <img src=/s/a.png",
        "<p>tekst <img src='/s/a.png>",
        "<style>a{b:url(/s/a.png)}",
        "<noscript><noscript><img src=/s/a.png></noscript>",
        "<noscript><img src=/s/a.png>",
        "<script type=importmap>{\"imports\":{\"a\":\"/s/a.js\"}}",
        "<!-- <img src=/s/a.png>",
        "<textarea><img src=/s/a.png>",
        "<",
        "</",
        "&amp",
    ]);
}

#[test]
fn bytes_that_are_not_utf8_pass_and_do_not_hide_the_rest() {
    let html = b"\xff<p title='caf\xe9'>\0<img src=/s/a.png><style>/*\xe9*/a{b:url(/s/a.png)}</style><img src=/s/\xe9.png>";
    let (out, summary) = rewrite_html(html, &page(), &ours, Limits::standard());
    let expected = b"\xff<p title='caf\xe9'>\0<img src=https://c.nl/a.fp.png><style>/*\xe9*/a{b:url(https://c.nl/a.fp.png)}</style><img src=/s/\xe9.png>";
    assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected));
    assert_eq!(out, expected);
    assert_eq!(summary.rewritten, 2);
}

#[test]
fn a_document_in_utf16_is_left_alone() {
    let html = b"\xff\xfe<\0i\0m\0g\0>\0";
    let (out, summary) = rewrite_html(html, &page(), &ours, Limits::standard());
    assert_eq!(
        (out.as_slice(), summary.skipped.get(&Reason::Charset)),
        (html.as_slice(), Some(&1))
    );
}

#[test]
fn content_over_the_limit_passes_as_it_is() {
    let limits = Limits { capture_bytes_max: 20, ..Limits::standard() };
    let html =
        "<style>a{b:url(/s/a.png)     }</style><img src=/s/a.png><style>a{b:url(/s/a.png)}</style>";
    let expected = "<style>a{b:url(/s/a.png)     }</style><img src=https://c.nl/a.fp.png><style>a{b:url(https://c.nl/a.fp.png)}</style>";
    for size in [1, 7, html.len()] {
        let mut rewriter = HtmlRewriter::new(&page(), Arc::new(ours), limits);
        let mut out = Vec::new();
        for chunk in html.as_bytes().chunks(size) {
            out.extend(rewriter.write(chunk));
        }
        let (tail, summary) = rewriter.end();
        out.extend(tail);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(summary.skipped.get(&Reason::Capture), Some(&1));
    }
}

#[test]
fn a_tag_over_the_memory_limit_ends_the_rewriting_and_nothing_else() {
    let limits = Limits { tokenizer_bytes_max: 0, ..Limits::standard() };
    let long = format!(
        "<img src=/s/a.png><img alt='{}' src=/s/b.png><img src=/s/c.png>",
        "x".repeat(20_000)
    );
    let mut rewriter = HtmlRewriter::new(&page(), Arc::new(ours), limits);
    let mut out = Vec::new();
    for chunk in long.as_bytes().chunks(1000) {
        out.extend(rewriter.write(chunk));
    }
    let (tail, summary) = rewriter.end();
    out.extend(tail);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        long.replacen("/s/a.png", "https://c.nl/a.fp.png", 1)
    );
    assert_eq!(
        summary,
        Summary { rewritten: 1, skipped: [(Reason::Memory, 1)].into(), ..Summary::default() }
    );
}

#[test]
fn elements_open_beyond_the_memory_limit_end_the_rewriting_and_nothing_else() {
    let limits = Limits { tokenizer_bytes_max: 16 * 1024, ..Limits::standard() };
    let deep = format!("{}<img src=/s/a.png>", "<div style=''><table>".repeat(5_000));
    let (out, summary) = rewrite_html(deep.as_bytes(), &page(), &ours, limits);
    assert_eq!(out, deep.as_bytes());
    assert_eq!(summary.skipped.get(&Reason::Memory), Some(&1));
}

#[test]
fn bytes_leave_as_soon_as_nothing_in_them_is_open() {
    let mut rewriter = HtmlRewriter::new(&page(), Arc::new(ours), Limits::standard());
    assert_eq!(rewriter.write(b"<p>tekst <im"), b"<p>tekst ");
    assert_eq!(rewriter.write(b"g src=/s/a.png"), b"");
    assert_eq!(rewriter.write(b"><style>a{"), b"<img src=https://c.nl/a.fp.png><style>");
    assert_eq!(rewriter.write(b"b:c}</sty"), b"");
    assert_eq!(rewriter.write(b"le>x"), b"a{b:c}</style>x");
    assert_eq!(rewriter.end().0, b"");
}

#[test]
fn offsets_point_at_the_values_wherever_they_are_nested() {
    let html = "é<img src=' /s/1.png' srcset='/s/2.png 1x,&#47;s/3.png 2x'><noscript><img src=/s/4.png>\
        <style>a{b:url(/s/5.png)}</style><p style='b:url(&quot;/s/6.png&quot;)'></noscript>\
        <script type=importmap>{\"imports\":{\"a\":\"/s/7.js\"}}</script><style>@import '/s/8.css'</style>";
    let seen = Mutex::new(Vec::new());
    let record = |reference: &Reference<'_>| {
        seen.lock().unwrap().push((reference.offset, reference.text.to_owned()));
        None
    };
    let (out, summary) = rewrite_html(html.as_bytes(), &page(), &record, Limits::standard());
    assert_eq!((out.as_slice(), summary), (html.as_bytes(), Summary::default()));
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 8);
    for (number, (offset, text)) in (1..).zip(seen) {
        let written = if number == 3 { "&#47;s/3.png" } else { text.as_str() };
        assert_eq!(html.find(written), Some(offset), "{text}");
        assert!(text.starts_with(&format!("/s/{number}.")), "{text}");
    }
}

#[test]
fn a_rewriter_can_be_held_across_awaits() {
    fn sendable(_: &impl Send) {}
    sendable(&HtmlRewriter::new(&page(), Arc::new(ours), Limits::standard()));
}
