use super::*;

fn rule(pattern: &str, set: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = Rule::of(Pattern::parse(pattern).unwrap());
    set(&mut rule);
    rule
}

fn cache(pattern: &str, value: &str) -> Rule {
    rule(pattern, |rule| rule.cache_control = Some(FieldValue::cache_control(value).unwrap()))
}

fn header(pattern: &str, name: &str, value: &str) -> Rule {
    rule(pattern, |rule| {
        let name = FieldName::parse(name).unwrap();
        rule.headers.insert(name, FieldValue::parse(value).unwrap());
    })
}

fn level(pattern: &str, kind: Kind, level: Level) -> Rule {
    rule(pattern, |rule| {
        rule.severity.insert(kind, level);
    })
}

fn path(text: &str) -> AssetPath {
    AssetPath::parse(text).unwrap()
}

/// The properties that are not by default, as `name=value rule`.
fn set(rules: &Rules, at: &str) -> Vec<String> {
    let properties = rules.for_path(&path(at)).properties().into_iter();
    let by_rule = properties
        .filter_map(|Property { name, value, rule }| Some(format!("{name}={value} {}", rule?)));
    by_rule.collect()
}

#[test]
fn for_each_property_the_first_matching_rule_that_sets_it_decides() {
    let rules = Rules::new(vec![
        rule("fonts/**", |rule| rule.tags = Some(vec![Tag::parse("fonts").unwrap()])),
        cache("fonts/old/*", "no-cache"),
        cache("**/*.woff2", "public, max-age=60"),
        cache("**", "no-store"),
        rule("**/*.js", |rule| rule.compress = Some(Compress::Only(vec![Coding::Br]))),
        rule("sw.js", |rule| {
            rule.fingerprint = Some(false);
            rule.compress = Some(Compress::No);
        }),
        rule("**/*.json", |rule| rule.references = Some(References::Json)),
    ]);
    let rules = rules.unwrap();
    let table: &[(&str, &[&str])] = &[
        ("a.css", &["cache_control=\"no-store\" 3"]),
        ("fonts/a.woff2", &["cache_control=\"public, max-age=60\" 2", "tags=[\"fonts\"] 0"]),
        ("fonts/old/a.woff2", &["cache_control=\"no-cache\" 1", "tags=[\"fonts\"] 0"]),
        ("fonts/old/b/a.txt", &["cache_control=\"no-store\" 3", "tags=[\"fonts\"] 0"]),
        ("sw.js", &["cache_control=\"no-store\" 3", "fingerprint=false 5", "compress=[\"br\"] 4"]),
        ("a/b.json", &["cache_control=\"no-store\" 3", "references=\"json\" 6"]),
    ];
    for (at, expected) in table {
        assert_eq!(set(&rules, at), *expected, "{at}");
    }
}

#[test]
fn each_header_field_is_decided_for_itself() {
    let rules = Rules::new(vec![
        header("a/*", "X-Robots-Tag", "none"),
        header("**", "x-robots-tag", "noindex"),
        header("**", "Link", "</a>; rel=help"),
    ]);
    let rules = rules.unwrap();
    let link = "headers.link=\"</a>; rel=help\" 2";
    assert_eq!(set(&rules, "a/b"), [link, "headers.x-robots-tag=\"none\" 0"]);
    assert_eq!(set(&rules, "b"), [link, "headers.x-robots-tag=\"noindex\" 1"]);
}

#[test]
fn what_no_rule_says_is_decided_by_default() {
    let stable =
        Rules::new(vec![rule("stable/**", |rule| rule.fingerprint = Some(false))]).unwrap();
    let table = [
        ("a.css", "public, max-age=31536000, immutable", "text/css; charset=utf-8"),
        ("stable/sw.js", "public, max-age=60", "text/javascript; charset=utf-8"),
        ("stable/a.html", "no-cache", "text/html; charset=utf-8"),
    ];
    for (at, cache, content_type) in table {
        let at = path(at);
        let policy = stable.for_path(&at);
        assert_eq!((policy.cache_control.value, policy.cache_control.rule), (cache, None));
        assert_eq!(policy.content_type.value, content_type);
        assert_eq!(policy.compress.value, None);
        assert!(policy.tags.value.is_empty() && policy.headers.is_empty());
    }
}

#[test]
fn problems_are_as_bad_as_the_rules_say() {
    let rules = Rules::new(vec![
        level("docs/**", Kind::Secret, Level::Warning),
        level("vendor/**", Kind::Dangling, Level::Ignore),
        level("**", Kind::Dangling, Level::Error),
        level("**", Kind::Tree, Level::Ignore),
    ]);
    let problem = |at: &str, kind| Problem::warning(at, kind as usize).of(kind);
    let problems = vec![
        Problem::error("docs/a.md", "key").of(Kind::Secret),
        Problem::error("a.md", "key").of(Kind::Secret),
        problem("vendor/a.css", Kind::Dangling),
        problem("a.css", Kind::Dangling),
        problem("a.css", Kind::Unparsed),
        Problem::error("a.css", "unreadable"),
    ];
    let judged: Vec<_> =
        rules.unwrap().judge(problems).into_iter().map(|p| (p.path, p.severity)).collect();
    let expected = [
        ("docs/a.md", Severity::Warning),
        ("a.md", Severity::Error),
        ("a.css", Severity::Error),
        ("a.css", Severity::Warning),
        ("a.css", Severity::Error),
    ];
    assert_eq!(judged, expected.map(|(at, severity)| (at.to_owned(), severity)));
}

#[test]
fn the_digest_follows_what_reaches_header_fields_and_its_order() {
    let digest = |rules: Vec<Rule>| Rules::new(rules).unwrap().digest();
    let (one, other) = (cache("a/*", "no-cache"), cache("**", "no-store"));
    let silent = level("**", Kind::Dangling, Level::Error);
    assert_eq!(digest(vec![]), None);
    assert_eq!(digest(vec![silent.clone()]), None);
    let first = digest(vec![one.clone(), other.clone()]);
    assert!(first.is_some());
    assert_eq!(digest(vec![silent, one.clone(), other.clone()]), first);
    assert_ne!(digest(vec![other.clone(), one.clone()]), first);
    assert_ne!(digest(vec![one.clone(), cache("**", "no-cache")]), first);
    assert_ne!(digest(vec![one, header("**", "link", "</a>")]), first);
}
