//! The rules of RFC 9111 on any fields: directives, storability, freshness,
//! reuse, `Vary` and freshening.
//!
//! The input is four blocks with an empty line between: method, status, and
//! the seconds of transfer and of rest, in one line; the fields of a request,
//! of its response, and of a later 304.
#![no_main]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use awning::semantics::conditional::evaluate;
use awning::semantics::directives::{DELTA_MAX, RequestDirectives, ResponseDirectives, Scope};
use awning::semantics::freshen::{freshened, freshens, make_conditional};
use awning::semantics::freshness::{Basis, Exchange, Freshness, HEURISTIC_MAX};
use awning::semantics::reuse::{Reuse, Terms};
use awning::semantics::storable::{Candidate, may_store, stored_fields};
use awning::semantics::vary::{FIELDS_MAX, VALUE_MAX, Vary};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONNECTION, DATE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use url::Url;

/// Fields of one connection, which nobody stores (RFC 9111 §3.1).
const OF_CONNECTION: &str = "connection keep-alive proxy-authenticate proxy-authorization \
     proxy-connection te trailer transfer-encoding upgrade";
/// Fields that `Connection` cannot take away (RFC 9110 §7.6.1).
const FOR_ALL: &str = "age awning-cache-control cache-control cdn-cache-control content-encoding \
     content-length content-range content-type date etag expires last-modified set-cookie vary";
/// When every response is received: in 2027.
const RECEIVED: Duration = Duration::from_secs(1_800_000_000);

/// One exchange, and a later validation.
struct Case {
    method: Method,
    status: StatusCode,
    exchange: Exchange,
    now: SystemTime,
    request: HeaderMap,
    response: HeaderMap,
    newer: HeaderMap,
}

fuzz_target!(|bytes: &[u8]| {
    let case = Case::read(&String::from_utf8_lossy(bytes));
    let terms = Terms::of(case.status, &case.response, None, case.exchange);
    assert_ages(&terms.freshness, &case);
    assert_reuse(&terms, &case);
    assert_storable(&terms, &case);
    assert_stored(&terms.directives, &case);
    assert_selects(&case);
    assert_freshens(&case);
    assert_same_in_any_case(&case.response);
    assert_same_in_any_order(&case);
    assert_bounded(&terms);
    let _ = evaluate(&case.request, case.status, &case.response, case.exchange.received);
});

impl Case {
    fn read(text: &str) -> Self {
        let mut blocks = text.split("\n\n");
        let mut words = blocks.next().unwrap_or_default().split_whitespace();
        let method = words.next().and_then(|word| Method::from_bytes(word.as_bytes()).ok());
        let status = words.next().and_then(|word| StatusCode::from_bytes(word.as_bytes()).ok());
        let mut seconds = || {
            let number = words.next().and_then(|word| word.parse::<u32>().ok());
            Duration::from_secs(u64::from(number.unwrap_or(0)))
        };
        let received = UNIX_EPOCH + RECEIVED;
        let requested = received - seconds().min(RECEIVED);
        let now = received + seconds();
        let mut fields = || fields(blocks.next().unwrap_or_default());
        let (request, response, newer) = (fields(), fields(), fields());
        Self {
            method: method.unwrap_or(Method::GET),
            status: status.unwrap_or(StatusCode::OK),
            exchange: Exchange { requested, received },
            now,
            request,
            response,
            newer,
        }
    }

    /// What `Cache-Control` says in words that leave no doubt, when no other
    /// field has a say.
    fn says(&self, word: &str) -> bool {
        let targeted = ["awning-cache-control", "cdn-cache-control"];
        let alone = targeted.iter().all(|name| !self.response.contains_key(*name));
        alone && plainly_says(&self.response, word)
    }
}

fn fields(block: &str) -> HeaderMap {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?))
    };
    let mut fields = HeaderMap::new();
    for (name, value) in block.lines().filter_map(field) {
        fields.append(name, value);
    }
    fields
}

/// Whether a line without quotes has this member.
fn plainly_says(fields: &HeaderMap, word: &str) -> bool {
    let lines = fields.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut plain = lines.filter(|line| !line.contains(['"', '\\']));
    plain.any(|line| line.split(',').any(|member| member.trim().eq_ignore_ascii_case(word)))
}

fn assert_ages(freshness: &Freshness, case: &Case) {
    let moments = [
        UNIX_EPOCH,
        case.exchange.requested,
        case.exchange.received,
        case.now,
        case.now + Duration::from_secs(1 << 33),
    ];
    let mut before = Duration::ZERO;
    for now in moments {
        let age = freshness.age(now);
        assert!(age >= freshness.initial_age, "{freshness:?} at {now:?}");
        assert!(age >= before, "it gets younger: {freshness:?} at {now:?}");
        assert_eq!(freshness.is_fresh(now), freshness.lifetime > age);
        assert!(freshness.left(now).is_zero() || freshness.staleness(now).is_zero());
        let field = freshness.age_field(now);
        let seconds: u64 = field.to_str().ok().and_then(|text| text.parse().ok()).expect("digits");
        assert!(seconds <= 1 << 31, "{field:?}");
        before = age;
    }
}

fn assert_reuse(terms: &Terms, case: &Case) {
    let wants = RequestDirectives::of(&case.request);
    let reuse = terms.reuse(&wants, case.now);
    let (age, lifetime) = (terms.freshness.age(case.now), terms.freshness.lifetime);
    if reuse == Reuse::Fresh {
        assert!(lifetime > age, "{terms:?}");
        assert!(!wants.no_cache && terms.directives.no_cache != Scope::All, "{terms:?}");
        assert!(!plainly_says(&case.request, "no-cache"), "{:?}", case.request);
        let old = wants.max_age.is_some_and(|limit| age > limit);
        assert!(!old || terms.directives.immutable, "{terms:?} for {wants:?}");
    }
    if case.says("no-cache") {
        assert!(matches!(reuse, Reuse::MustRevalidate { .. }), "{reuse:?}");
    }
    let strict = case.says("must-revalidate") || case.says("proxy-revalidate");
    if strict && lifetime <= age {
        let stale = !reuse.answers_now() && !reuse.answers_disconnected();
        let instead = reuse.answers_instead_of(StatusCode::BAD_GATEWAY);
        assert!(stale && !instead, "{reuse:?} of {terms:?}");
    }
    assert_eq!(reuse.reason().is_none(), reuse == Reuse::Fresh);
}

fn assert_storable(terms: &Terms, case: &Case) {
    let target = Url::parse("http://a.nl/b?c").expect("a URL");
    let verdict = may_store(&Candidate {
        method: &case.method,
        target: &target,
        request: &case.request,
        status: case.status,
        response: &case.response,
        directives: &terms.directives,
        freshness: &terms.freshness,
    });
    let lines = case.response.get_all(VARY).iter().filter_map(|line| line.to_str().ok());
    let mut plain = lines.filter(|line| !line.contains('"'));
    let any = plain.any(|line| line.split(',').any(|member| member.trim() == "*"));
    let reasons = [
        ("no-store", case.says("no-store") && !terms.directives.must_understand),
        ("no-store of the request", plainly_says(&case.request, "no-store")),
        ("private", case.says("private")),
        ("vary", any),
        ("method", ![Method::GET, Method::POST].contains(&case.method)),
        ("authorization", case.request.contains_key(AUTHORIZATION) && says_nothing(&case.response)),
        ("status", case.status == StatusCode::NOT_MODIFIED || case.status.is_informational()),
    ];
    for (reason, holds) in reasons {
        assert!(!holds || verdict.is_err(), "it is stored in spite of {reason}");
    }
}

/// Whether nothing in the response could allow to share it.
fn says_nothing(response: &HeaderMap) -> bool {
    response.keys().all(|name| !name.as_str().ends_with("cache-control"))
}

fn assert_stored(directives: &ResponseDirectives, case: &Case) {
    let stored = stored_fields(&case.response, directives, case.exchange.received);
    let nominated = case.response.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    let nominated: Vec<String> = nominated
        .filter(|line| !line.contains('"'))
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !FOR_ALL.split_whitespace().any(|other| other == name))
        .collect();
    for name in stored.keys() {
        let of_connection = OF_CONNECTION.split_whitespace().any(|other| other == name.as_str());
        assert!(!of_connection && !nominated.contains(&name.as_str().to_owned()), "{name}");
        assert!(!directives.private.names(name) || *name == DATE, "{name}");
        assert!(!directives.no_cache.names(name) || *name == DATE, "{name}");
    }
    assert!(stored.contains_key(DATE));
}

fn assert_selects(case: &Case) {
    let Ok(vary) = Vary::of(&case.response) else { return };
    assert!(vary.names().len() <= FIELDS_MAX, "{vary:?}");
    assert!(vary.names().windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "{vary:?}");
    let selection = vary.select(&case.request);
    let names: usize = vary.names().iter().map(|name| name.as_str().len()).sum();
    let bound = names + vary.names().len() * (VALUE_MAX + 2);
    assert!(selection.as_str().len() <= bound, "{selection:?}");
    // Only what is named selects; and it does so whatever else is there.
    let named = case.request.iter().filter(|(name, _)| vary.names().contains(name));
    let mut less = HeaderMap::new();
    for (name, value) in named {
        less.append(name.clone(), value.clone());
    }
    assert_eq!(vary.select(&less), selection);
    for secret in ["authorization", "cookie"] {
        let value = case.request.get(secret).and_then(|value| value.to_str().ok());
        let told = value.filter(|value| value.len() > 40 && selection.as_str().contains(*value));
        let elsewhere = |told: &str| {
            let others = case.request.iter().filter(|(name, _)| name.as_str() != secret);
            let mut others = others.filter_map(|(_, other)| other.to_str().ok());
            others.any(|other| other.contains(told))
        };
        let told = told.filter(|told| !elsewhere(told));
        assert_eq!(told, None, "a key tells what {secret} is");
    }
}

fn assert_freshens(case: &Case) {
    let directives = ResponseDirectives::of(&case.response);
    let stored = stored_fields(&case.response, &directives, case.exchange.received);
    let once = freshened(&stored, &case.newer, case.now);
    assert_eq!(freshened(&once, &case.newer, case.now), once, "twice is not once");
    for name in ["content-length", "content-encoding", "content-range"] {
        let both = [&once, &stored].map(|fields| fields.get_all(name).iter().collect::<Vec<_>>());
        assert_eq!(both[0], both[1], "{name} says how it is stored");
    }
    for name in once.keys() {
        assert!(!OF_CONNECTION.split_whitespace().any(|other| other == name.as_str()), "{name}");
    }
    assert!(once.contains_key(DATE));
    let mut asked = case.request.clone();
    let conditional = make_conditional(&mut asked, [&stored]);
    assert_eq!(
        conditional,
        asked.contains_key("if-none-match") || asked.contains_key("if-modified-since")
    );
    assert!(freshens(&case.newer, &[&stored, &once]).iter().all(|at| *at < 2));
}

/// No directive, and none of their arguments, knows upper case.
fn assert_same_in_any_case(response: &HeaderMap) {
    for line in response.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok()) {
        let loud = line.to_ascii_uppercase();
        assert_eq!(ResponseDirectives::parse(line), ResponseDirectives::parse(&loud), "{line:?}");
    }
}

/// Plain members mean the same in any order, and on lines of their own (RFC
/// 9110 §5.3), because the stricter of two that differ holds.
fn assert_same_in_any_order(case: &Case) {
    let plain = |line: &&str| !line.contains(['"', '\\']);
    let lines = case.response.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let members: Vec<&str> = lines.filter(plain).flat_map(|line| line.split(',')).collect();
    let backwards: Vec<&str> = members.iter().rev().copied().collect();
    let (forth, back) = (members.join(","), backwards.join(", "));
    let parsed = ResponseDirectives::parse(&forth);
    assert_eq!(parsed, ResponseDirectives::parse(&back), "{forth:?} and {back:?}");
    let mut apart = HeaderMap::new();
    for value in members.iter().filter_map(|member| HeaderValue::from_str(member).ok()) {
        apart.append(CACHE_CONTROL, value);
    }
    let mut joined = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&forth) {
        joined.append(CACHE_CONTROL, value);
    }
    let [apart, joined] = [apart, joined].map(|fields| ResponseDirectives::of(&fields));
    assert!(members.is_empty() || apart == joined, "{members:?}: {apart:?} is not {joined:?}");
}

/// No number is larger than the arithmetic with it allows (RFC 9111 §1.2.2).
fn assert_bounded(terms: &Terms) {
    let ResponseDirectives { max_age, s_maxage, stale_while_revalidate, stale_if_error, .. } =
        terms.directives;
    for time in [max_age, s_maxage, stale_while_revalidate, stale_if_error].into_iter().flatten() {
        assert!(time <= DELTA_MAX, "{terms:?}");
    }
    let Freshness { lifetime, basis, .. } = terms.freshness;
    match basis {
        Basis::Heuristic => assert!(lifetime <= HEURISTIC_MAX, "{terms:?}"),
        Basis::MaxAge | Basis::SharedMaxAge => assert!(lifetime <= DELTA_MAX, "{terms:?}"),
        Basis::Nothing => assert!(lifetime.is_zero(), "{terms:?}"),
        Basis::Expires => {}
    }
}
