//! `semantics` against the crate `http-cache-semantics`: thousands of made-up
//! exchanges, and whether the response may answer the next request.
//!
//! The crate has faults. Each of them that is known is one entry of
//! [`faults::KNOWN`], with the rule that it breaks: it says how the exchange
//! must be put so that the crate understands it. Put like that, every exchange
//! must have the same verdict; and an entry that is not needed for any of them
//! fails the test, so that none excuses more than it names.

mod case;
mod faults;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use awning::semantics::directives::RequestDirectives;
use awning::semantics::freshness::Exchange;
use awning::semantics::reuse::Terms;
use awning::semantics::storable::{Candidate, may_store};
use awning::semantics::vary::Vary;
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, Method, Request, Response};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use url::Url;

use case::Case;

/// Exchanges that are compared. Always the same ones, by the seed.
const CASES: usize = 8_000;
const SEED: u64 = 9111;

/// What becomes of the next request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// The stored response answers it at once.
    Reused,
    /// The stored response would answer it after a validation.
    Validated,
    /// Nothing that is stored is for it.
    Other,
}

#[test]
fn every_verdict_is_the_oracles_but_for_its_known_faults() {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let (mut differing, mut reused) = (0, 0);
    let mut needed = vec![false; faults::KNOWN.len()];
    for _ in 0..CASES {
        let case = Case::made_up(&mut rng);
        let verdict = ours(&case);
        assert_eq!(theirs(&put_plainly(&case, None)), verdict, "{case:#?}");
        reused += usize::from(verdict == Verdict::Reused);
        if theirs(&case) == verdict {
            continue;
        }
        differing += 1;
        for (number, needed) in needed.iter_mut().enumerate().filter(|(_, needed)| !**needed) {
            *needed = theirs(&put_plainly(&case, Some(number))) != verdict;
        }
    }
    // The verdicts are of both kinds, and most need no words of excuse.
    assert!(reused > CASES / 10 && reused < CASES / 2, "{reused} of {CASES} are reused");
    assert!(differing < CASES / 4, "{differing} of {CASES} differ");
    for (fault, needed) in faults::KNOWN.iter().zip(needed) {
        assert!(needed, "no exchange meets the fault {:?} ({})", fault.name, fault.rule);
    }
}

/// The exchange as the oracle understands it, but for one of its faults.
fn put_plainly(case: &Case, but: Option<usize>) -> Case {
    let mut plain = case.clone();
    for (number, fault) in faults::KNOWN.iter().enumerate() {
        if but != Some(number) {
            (fault.put_plainly)(&mut plain);
        }
    }
    plain
}

/// The instant at which the response of every exchange is received.
fn received() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn ours(case: &Case) -> Verdict {
    let (request, response) = (case.request(), case.response());
    let exchange = Exchange { requested: received(), received: received() };
    let terms = Terms::of(case.status, &response, None, exchange);
    let stored = may_store(&Candidate {
        method: &case.method,
        target: &Url::parse(case::TARGET).unwrap(),
        request: &request,
        status: case.status,
        response: &response,
        directives: &terms.directives,
        freshness: &terms.freshness,
    });
    let later = case.later();
    let selects = |vary: Vary| vary.select(&request) == vary.select(&later);
    if stored.is_err() || !Vary::of(&response).is_ok_and(selects) {
        return Verdict::Other;
    }
    let reuse = terms.reuse(&RequestDirectives::of(&later), received() + case.delay);
    verdict(reuse.answers_now(), &response)
}

fn theirs(case: &Case) -> Verdict {
    let policy = policy(case);
    if !policy.is_storable() {
        return Verdict::Other;
    }
    let later = message(Method::GET, case.later());
    match policy.before_request(&later, received() + case.delay) {
        BeforeRequest::Fresh(_) => Verdict::Reused,
        BeforeRequest::Stale { matches: true, .. } => verdict(false, &case.response()),
        BeforeRequest::Stale { matches: false, .. } => Verdict::Other,
    }
}

fn policy(case: &Case) -> CachePolicy {
    let request = message(case.method.clone(), case.request());
    let mut response = Response::new(());
    *response.status_mut() = case.status;
    *response.headers_mut() = case.response();
    CachePolicy::new_options(&request, &response, received(), CacheOptions::default())
}

fn verdict(answers: bool, response: &HeaderMap) -> Verdict {
    let validator = response.contains_key(ETAG) || response.contains_key(LAST_MODIFIED);
    match (answers, validator) {
        (true, _) => Verdict::Reused,
        (false, true) => Verdict::Validated,
        (false, false) => Verdict::Other,
    }
}

fn message(method: Method, fields: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = case::TARGET.parse().unwrap();
    *request.headers_mut() = fields;
    request
}
