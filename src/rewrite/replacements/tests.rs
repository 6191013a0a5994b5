use super::*;

/// Replaces the one reference `text`, written as it is, by `answer`.
fn replace(text: &str, answer: &str) -> (String, Summary) {
    let page = Url::parse("https://shop.nl/winkel/").unwrap();
    let resolver = |_: &Reference<'_>| Some(answer.to_owned());
    let mut replacements = Replacements::new(&resolver, &page, &page);
    let excerpt = Excerpt::verbatim(text.as_bytes(), 0);
    let found = Occurrence { text, span: 0..text.len(), site: Site::Plain, bar: None };
    replacements.consider(&excerpt, &found);
    let (bytes, summary) = replacements.apply(text.as_bytes());
    (String::from_utf8(bytes).unwrap(), summary)
}

#[test]
fn cache_busters_go_and_fragments_stay_as_written() {
    let table = [
        ("a.css", "/n"),
        ("a.css?v=1", "/n"),
        ("a.css?v=1&ver=2&_=3&t=4&dpl=5", "/n"),
        ("a.css?v", "/n"),
        ("a.css?", "/n"),
        ("a.svg#i", "/n#i"),
        ("a.svg#ï \"'<", "/n#ï \"'<"),
        ("a.svg?v=1#i?#j", "/n#i?#j"),
        ("f.eot?#iefix", "/n?#iefix"),
        ("f.eot?#", "/n?#"),
        (" a.css ", " /n "),
        ("a\n.css", "/n"),
    ];
    for (text, expected) in table {
        assert_eq!(replace(text, "/n").0, expected);
    }
}

#[test]
fn any_other_query_leaves_the_reference_alone() {
    for text in [
        "a.css?w=1",
        "a.css?v=1&w=2",
        "a.css?V=1",
        "a.css?v=1&&t=2",
        "a.css?x#i",
        "a.css?versionId=1",
    ] {
        let (same, summary) = replace(text, "/n");
        assert_eq!((same.as_str(), summary.skipped.get(&Reason::Query)), (text, Some(&1)));
    }
}

#[test]
fn an_answer_holds_nothing_that_needs_an_escape_anywhere() {
    let good = ["/n", "n/m.css", "https://c.nl/n", "http://[::1]:8080/%20~n", "/a:b"];
    for answer in good {
        assert_eq!(replace("a.css", answer).0, answer);
    }
    let quotes = ["/\"", "/'", "/`"];
    let marks = [
        "/<", "/>", "/&", "/(", "/)", "/\\", "/,", "/;", "/ ", "/\n", "/\u{0}", "/é", "/?", "/#",
        "/=", "/{", "/*",
    ];
    let urls = ["", "//elders.nl/n", "javascript:x", "data:x", "HTTPS://c.nl/n"];
    for answer in quotes.iter().chain(&marks).chain(&urls) {
        let (same, summary) = replace("a.css", answer);
        assert_eq!(
            (same.as_str(), summary.skipped.get(&Reason::Alphabet)),
            ("a.css", Some(&1)),
            "{answer:?}"
        );
    }
}

#[test]
fn what_cannot_be_an_asset_is_not_asked_for() {
    let long = "a".repeat(URL_BYTES_MAX + 1);
    for text in [
        "",
        " \n",
        "#i",
        "data:,x",
        "mailto:a@b.nl",
        "blob:https://shop.nl/x",
        "https://[",
        "\u{fffd}.png",
        &long,
    ] {
        assert_eq!(replace(text, "/n"), (text.to_owned(), Summary::default()));
    }
}
