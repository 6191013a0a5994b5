use std::thread;

use super::*;

fn found(source: &str) -> Vec<(String, ScriptUse)> {
    let references = script_references(source.as_bytes(), ScriptKind::Unknown).unwrap();
    for reference in &references {
        assert_eq!(source[reference.span.clone()], reference.text, "{source}");
    }
    references.into_iter().map(|reference| (reference.text, reference.use_)).collect()
}

fn texts(source: &str) -> Vec<String> {
    found(source).into_iter().map(|(text, _)| text).collect()
}

fn rewrite(source: &str) -> String {
    let ours = |reference: &super::super::Reference<'_>| {
        let name = reference.url.path().strip_prefix("/s/")?;
        let base = if reference.site == Site::SameOrigin { "/_a" } else { "https://c.nl" };
        Some(format!("{base}/{}", name.replace('.', ".fp.")))
    };
    let script = Url::parse("https://shop.nl/s/js/app.js").unwrap();
    let (bytes, _) = rewrite_js(source.as_bytes(), &script, ScriptKind::Unknown, &ours);
    String::from_utf8(bytes).unwrap()
}

/// Parses on a thread with exactly the stack that was asked for.
fn parse_deep(source: &str) -> Result<usize, ScriptFault> {
    let work = || script_references(source.as_bytes(), ScriptKind::Unknown).map(|r| r.len());
    let stack = script_stack_bytes(source.as_bytes());
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(stack).spawn_scoped(scope, work);
        thread.unwrap().join().unwrap()
    })
}

#[test]
fn every_form_of_a_module_reference_is_found() {
    let table: &[(&str, &[&str])] = &[
        ("import a from './a.js'", &["./a.js"]),
        ("import './a.js'; import \"b\"", &["./a.js", "b"]),
        ("import a, {b as c} from'./a.js';import*as d from\"./a.js\"", &["./a.js", "./a.js"]),
        ("export * from './a.js'; export * as b from './b.js'", &["./a.js", "./b.js"]),
        ("export {c as default} from './c.js' with {type: 'json'}", &["./c.js"]),
        ("import('./a.js').then(x); import(`./b.js`)", &["./a.js", "./b.js"]),
        ("import(/* webpackChunkName: 'x' */ './a.js', {with: {}})", &["./a.js"]),
        ("import.meta.resolve('./a.js')", &["./a.js"]),
        ("new URL('./a.png', import.meta.url); new URL(`b`, import.meta.url,)", &["./a.png", "b"]),
        ("await 1; import('./a.js')", &["./a.js"]),
        ("const f = async () => { await import('./a.js') }", &["./a.js"]),
    ];
    for (source, expected) in table {
        assert_eq!(texts(source), *expected, "{source}");
    }
}

#[test]
fn what_is_computed_or_only_looks_like_a_reference_is_left() {
    let table = [
        "import(a ? './a.js' : './b.js'); import('./' + 'b.js'); import(`./${x}.js`)",
        "new URL('./a', location); new URL('./a'); new URL('./a' + x, import.meta.url)",
        "new URL('./a', import.meta.urls); x.URL('./a', import.meta.url); URL('./a', import.meta.url)",
        "new Worker('./w.js'); new SharedWorker('./w.js', {type: 'module'})",
        "navigator.serviceWorker.register('/sw.js'); importScripts('./a.js'); fetch('./a.json')",
        "'import a from \"./a.js\"'; // import('./a.js')\n/* import './a.js' */",
        "x = /import('.\\/a.js')/; y = a / import.meta / 'b'",
        "x.import('./a.js'); ({import(a) {}}).import('./a.js'); import('.\\u002fa.js')",
        "f(import.meta.resolve); import.meta.resolve('./a.js' + b); import.meta.resolves('./a.js')",
    ];
    for source in table {
        assert_eq!(texts(source), [""; 0], "{source}");
    }
}

#[test]
fn a_worker_is_told_from_an_asset() {
    let worker = |source: &str| matches!(found(source)[..], [(_, ScriptUse::Worker(_))]);
    for source in [
        "new Worker(new URL('./w.js', import.meta.url))",
        "new Worker(/* x */ new URL('./w.js', import.meta.url), {type: 'module'})",
        "new SharedWorker(new URL(\"./w.js\", import.meta.url), 'n')",
        "new window.Worker(new URL('./w.js', import.meta.url))",
    ] {
        assert!(worker(source), "{source}");
    }
    for source in [
        "Worker(new URL('./w.js', import.meta.url))",
        "new Works(new URL('./w.js', import.meta.url))",
        "new Worker(x, new URL('./w.js', import.meta.url))",
    ] {
        assert!(!worker(source), "{source}");
    }
}

#[test]
fn only_the_last_comment_names_a_source_map() {
    let table: &[(&str, &[&str])] = &[
        ("a()\n//# sourceMappingURL=a.js.map", &["a.js.map"]),
        ("a()\n//@ sourceMappingURL=a.js.map  \n", &["a.js.map"]),
        ("a()\n//# sourceMappingURL=a.js.map\n//# sourceURL=x", &["a.js.map"]),
        ("//# sourceMappingURL=old.map\na()", &[]),
        ("//# sourceMappingURL=old.map\na()\n//# sourceMappingURL=new.map", &["new.map"]),
        ("const s = `\n//# sourceMappingURL=a.js.map`", &[]),
        ("a() /* //# sourceMappingURL=a.js.map */", &[]),
        ("a()\n// # sourceMappingURL=a.js.map", &[]),
    ];
    for (source, expected) in table {
        assert_eq!(texts(source), *expected, "{source}");
    }
}

#[test]
fn only_the_urls_are_replaced() {
    let table = [
        (
            "import a from'./a.js';import(`../b.js#x`); import 'bare'",
            "import a from'https://c.nl/js/a.fp.js';import(`https://c.nl/b.fp.js#x`); import 'bare'",
        ),
        (
            "new URL(\"../i.png?v=1\", import.meta.url)",
            "new URL(\"https://c.nl/i.fp.png\", import.meta.url)",
        ),
        (
            "new Worker(new URL('w.js', import .meta\n.url), x)",
            "new Worker(new URL('/_a/js/w.fp.js', globalThis.location.href), x)",
        ),
        (
            "new Worker(new URL('/elders.js', import.meta.url), x)",
            "new Worker(new URL('/elders.js', import.meta.url), x)",
        ),
        (
            "\u{feff}'é'\n//# sourceMappingURL=app.js.map\n",
            "\u{feff}'é'\n//# sourceMappingURL=https://c.nl/js/app.fp.js.fp.map\n",
        ),
        (
            "import '\\x2e/a.js'\n//# sourceMappingURL=data:application/json,{}",
            "import 'https://c.nl/js/a.fp.js'\n//# sourceMappingURL=data:application/json,{}",
        ),
    ];
    for (source, expected) in table {
        assert_eq!(rewrite(source), expected);
    }
}

#[test]
fn bytes_that_are_not_utf8_stay_what_they_are() {
    let source = b"import './a.js'; '\xe9'; import './caf\xe9.js'";
    let references = script_references(source, ScriptKind::Unknown).unwrap();
    assert_eq!(references.len(), 1);
}

#[test]
fn a_script_that_does_not_parse_is_left_and_its_place_told() {
    let source = "import './a.js';\nlet = = 1";
    assert_eq!(rewrite(source), source);
    let fault = script_references(source.as_bytes(), ScriptKind::Unknown).unwrap_err();
    assert_eq!(fault.offset, source.find("= 1").unwrap(), "{fault}");
    assert!(script_references(b"with (a) import('./b.js')", ScriptKind::Unknown).is_ok());
}

#[test]
fn no_nesting_overflows_the_stack_that_was_asked_for() {
    const DEPTH: usize = 100_000;
    let nested = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(DEPTH), close.repeat(DEPTH))
    };
    let table = [
        nested("[", "", "]"),
        nested("(", "1", ")"),
        nested("{", "", "}"),
        nested("x={a:", "1", "}"),
        nested("f(", "", ")"),
        nested("`${", "1", "}`"),
        nested("()=>{", "", "}"),
        nested("function f(){", "", "}"),
        nested("class{a=", "1", "}"),
        nested("(class extends ", "a", "{})"),
        nested("if(a)", "b", ""),
        nested("do ", "b", ";while(1)"),
        nested("for(;;)", "b", ""),
        nested("if(a){}else ", "b", ""),
        nested("!", "a", ""),
        nested("-", "a", "").replace("--", "- -"),
        nested("typeof ", "a", ""),
        nested("new ", "a", ""),
        nested("a=", "b", ""),
        nested("a=>", "b", ""),
        nested("a?b:", "c", ""),
        nested("a**", "b", ""),
        nested("a+", "b", ""),
        nested("a.", "b", ""),
        nested("a||(", "b", ")"),
        nested("try{", "", "}finally{}"),
        nested("switch(a){case 1:", "", "}"),
        format!("async()=>{}b", "await ".repeat(DEPTH)),
        format!("function*f(){{{}b}}", "yield ".repeat(DEPTH)),
        format!("({}", "[".repeat(DEPTH)),
        "(".repeat(DEPTH),
        format!("({}=1)", "{a:".repeat(DEPTH)),
    ];
    for source in table {
        // Whether it parses is the parser's affair.
        let outcome = parse_deep(&source);
        assert!(outcome.is_err() || outcome == Ok(0), "{}", &source[..40]);
    }
}
