use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Level::{Ok, Problem, Warning};
use super::*;

fn answer(status: u16, code: &str, message: &str) -> Answer {
    Answer {
        status: Some(status),
        code: code.to_owned(),
        message: message.to_owned(),
        date: Some(now()),
    }
}

fn done() -> Answer {
    answer(200, "", "")
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_564_800)
}

/// A bucket on B2 that has nothing wrong, seen with a publisher's key.
fn well() -> Observations {
    Observations {
        endpoint: "https://s3.eu-central-003.backblazeb2.com".parse().unwrap(),
        region: "eu-central-003".to_owned(),
        key_id: "0031234567890abcdef000001".to_owned(),
        prefix: "shop/".to_owned(),
        now: now(),
        read: answer(404, "NoSuchKey", "Key not found"),
        list: Some(done()),
        lifecycle: Some((done(), true)),
        versioning: Some((done(), Versioning::On)),
        cors: Some((answer(404, "NoSuchCORSConfiguration", ""), 0)),
        probe: None,
    }
}

fn after(first: Answer) -> Observations {
    Observations { read: first, ..well() }
}

fn probed(probe: Probe) -> Observations {
    Observations { probe: Some(probe), ..well() }
}

fn taken() -> Probe {
    Probe {
        create: done(),
        again: Some(answer(412, "PreconditionFailed", "")),
        plain: None,
        versioned: true,
        checksum: Some(done()),
        delete: Some(done()),
    }
}

/// Asserts level, cause and words of one check.
#[track_caller]
fn check(seen: &Observations, check: Check, level: Level, cause: Option<Cause>, says: &str) {
    let findings = judge(seen);
    let found: Vec<_> = findings.iter().filter(|finding| finding.check == check).collect();
    let [finding] = found[..] else { panic!("{check}: {findings:#?}") };
    assert_eq!((finding.level, finding.cause), (level, cause), "{finding:#?}");
    let told = format!("{} {}", finding.text, finding.advice.as_deref().unwrap_or_default());
    assert!(told.contains(says), "`{says}` in {told}");
}

#[test]
fn a_bucket_that_is_well_has_no_warning() {
    for seen in [well(), probed(taken())] {
        let findings = judge(&seen);
        assert!(findings.iter().all(|finding| finding.level == Ok), "{findings:#?}");
    }
}

#[test]
fn what_ends_the_visit_is_told_with_its_reason() {
    use Cause::*;
    let invalid = "InvalidAccessKeyId";
    for (first, at, cause, says) in [
        (
            Answer { message: "there is no answer: dns error".into(), ..Answer::default() },
            Check::Endpoint,
            Unreachable,
            "dns error",
        ),
        (answer(503, "ServiceUnavailable", "no tomes"), Check::Endpoint, Unreachable, "no tomes"),
        (answer(502, "", ""), Check::Endpoint, Unreachable, "answered 502"),
        (answer(404, "NoSuchBucket", ""), Check::Endpoint, Configuration, "no such bucket"),
        (answer(400, "InvalidBucketName", ""), Check::Endpoint, Configuration, "`store.bucket`"),
        (answer(301, "PermanentRedirect", ""), Check::Endpoint, Configuration, "another region"),
        (
            answer(400, "", "Bad Request"),
            Check::Endpoint,
            Configuration,
            "not look like the S3 API",
        ),
        (answer(403, invalid, "Malformed Access Key Id"), Check::Credentials, Denied, "master key"),
        (answer(403, invalid, "The key '003' is not valid"), Check::Credentials, Denied, "deleted"),
        (answer(403, "SignatureDoesNotMatch", ""), Check::Credentials, Denied, "not the one"),
        (
            answer(403, "AccessDenied", "bucket is not s3-enabled: x"),
            Check::Credentials,
            Denied,
            "May 2020",
        ),
        (answer(401, "", ""), Check::Credentials, Denied, "answered 401"),
    ] {
        let seen = after(first);
        check(&seen, at, Problem, Some(cause), says);
        let others = judge(&seen).into_iter().filter(|finding| finding.level != Ok).count();
        assert_eq!(others, 1, "{says}");
    }
}

#[test]
fn a_key_of_another_cluster_is_recognised() {
    let mut seen = after(answer(403, "InvalidAccessKeyId", "The key is not valid"));
    seen.key_id = "0041234567890abcdef000001".to_owned();
    check(
        &seen,
        Check::Credentials,
        Problem,
        Some(Cause::Denied),
        "cluster 004, the endpoint of 003",
    );
    // The master key's id is no such sign.
    seen.key_id = "004123456789".to_owned();
    check(&seen, Check::Credentials, Problem, Some(Cause::Denied), "was deleted");
}

#[test]
fn the_region_is_compared_with_the_endpoint() {
    let mut seen = well();
    seen.region = "us-east-1".to_owned();
    check(&seen, Check::Region, Problem, Some(Cause::Configuration), "is in `eu-central-003`");
    seen.endpoint = "http://127.0.0.1:9000".parse().unwrap();
    check(&seen, Check::Region, Ok, None, "names none");
    seen.endpoint = "http://s3.eu-central-003.backblazeb2.com".parse().unwrap();
    check(&seen, Check::Region, Problem, Some(Cause::Configuration), "https");
}

#[test]
fn a_clock_may_be_off_by_less_than_a_minute() {
    for (off, level, cause) in [
        (0, Ok, None),
        (59, Ok, None),
        (60, Warning, None),
        (899, Warning, None),
        (900, Problem, Some(Cause::Denied)),
    ] {
        let mut seen = well();
        seen.now = now() + Duration::from_secs(off);
        check(&seen, Check::Clock, level, cause, &format!("{off} s ahead of"));
        seen.now = now() - Duration::from_secs(off);
        check(&seen, Check::Clock, level, cause, &format!("{off} s "));
    }
    let skewed = after(answer(403, "RequestTimeTooSkewed", "too large"));
    let findings =
        judge(&Observations { read: Answer { date: None, ..skewed.read.clone() }, ..skewed });
    let clock = findings.iter().find(|finding| finding.check == Check::Clock).unwrap();
    assert_eq!((clock.level, clock.cause), (Problem, Some(Cause::Denied)));
}

#[test]
fn capabilities_and_caps_are_told_apart() {
    let denied = || answer(403, "AccessDenied", "not entitled");
    let capped = |what: &str| answer(403, "AccessDenied", &format!("{what} cap exceeded"));
    let cause = Some(Cause::Denied);
    check(&after(denied()), Check::Reading, Problem, cause, "lacks the capability readFiles");
    check(&after(capped("Class B")), Check::Reading, Problem, cause, "until 00:00 UTC");
    let list = |answer| Observations { list: Some(answer), ..well() };
    check(&list(denied()), Check::Listing, Problem, cause, "is it `shop/`");
    check(&list(denied()), Check::Listing, Problem, cause, "listFiles");
    check(&list(capped("Transaction")), Check::Listing, Problem, cause, "Transaction cap exceeded");
    let write = |create| probed(Probe { create, ..Probe::default() });
    check(&write(denied()), Check::Writing, Problem, cause, "lacks the capability writeFiles");
    check(&write(denied()), Check::Writing, Problem, cause, "collector (gc)");
    check(&write(capped("storage")), Check::Writing, Problem, cause, "storage cap exceeded");
    let delete = |delete| probed(Probe { delete: Some(delete), ..taken() });
    check(&delete(denied()), Check::Deleting, Ok, None, "may not delete versions");
}

#[test]
fn hidden_versions_are_billed_until_a_rule_deletes_them() {
    let rules = |answer, tidies| Observations { lifecycle: Some((answer, tidies)), ..well() };
    let paste = "{\"daysFromHidingToDeleting\":1,\"daysFromUploadingToHiding\":null,\"fileNamePrefix\":\"shop/\"}";
    let none = || answer(404, "NoSuchLifecycleConfiguration", "");
    check(&rules(done(), true), Check::Lifecycle, Ok, None, "by a rule");
    check(&rules(done(), false), Check::Lifecycle, Warning, None, paste);
    check(&rules(none(), false), Check::Lifecycle, Warning, None, paste);
    check(&rules(answer(403, "AccessDenied", ""), false), Check::Lifecycle, Warning, None, paste);
    check(&rules(answer(501, "NotImplemented", ""), false), Check::Lifecycle, Ok, None, "gc");
    check(&rules(answer(503, "", ""), false), Check::Lifecycle, Warning, None, "503");
}

#[test]
fn versions_are_believed_when_a_write_shows_them() {
    let told =
        |answer, versioning| Observations { versioning: Some((answer, versioning)), ..well() };
    let unread =
        || Answer { message: "the answer cannot be read: no XML".into(), ..Answer::default() };
    for (seen, says) in [
        (told(done(), Versioning::On), "on: "),
        (told(done(), Versioning::Suspended), "suspended: "),
        (told(done(), Versioning::Never), "off: "),
        (told(unread(), Versioning::Never), "cannot be seen: the answer cannot be read: no XML"),
    ] {
        check(&seen, Check::Versioning, Ok, None, says);
    }
    let shown = Observations { probe: Some(taken()), ..told(unread(), Versioning::Never) };
    check(&shown, Check::Versioning, Ok, None, "on: ");
    let named = Observations { probe: Some(taken()), ..told(done(), Versioning::Never) };
    check(&named, Check::Versioning, Ok, None, "off: ");
}

#[test]
fn without_versions_no_rule_is_missing() {
    let never = Some((done(), Versioning::Never));
    // Garage names them all the same.
    for versioned in [false, true] {
        let probe = Some(Probe { versioned, ..taken() });
        let lifecycle = Some((done(), false));
        let seen = Observations { versioning: never.clone(), lifecycle, probe, ..well() };
        check(&seen, Check::Lifecycle, Ok, None, "no versions");
        let deleting = judge(&seen).into_iter().find(|finding| finding.check == Check::Deleting);
        assert_eq!(deleting.unwrap().text, "the key may delete");
    }
    let suspended = Some((done(), Versioning::Suspended));
    let seen = Observations { versioning: suspended, lifecycle: Some((done(), false)), ..well() };
    check(&seen, Check::Lifecycle, Warning, None, "hidden versions");
}

#[test]
fn conditional_writes_are_believed_only_when_they_refuse() {
    let not = || answer(501, "NotImplemented", "");
    let failed = || answer(412, "PreconditionFailed", "");
    let none = |create| Probe { create, again: None, plain: Some(done()), ..taken() };
    for (probe, says) in [
        (taken(), "the store has them"),
        (Probe { again: Some(done()), ..taken() }, "ignored by the store"),
        (none(not()), "none: the log"),
        (none(answer(400, "InvalidArgument", "")), "none: the log"),
        (none(failed()), "the store has them"),
    ] {
        check(&probed(probe), Check::ConditionalWrites, Ok, None, says);
    }
}

#[test]
fn what_is_not_needed_is_no_reason_to_worry() {
    let seen = Observations {
        cors: Some((answer(403, "AccessDenied", ""), 0)),
        versioning: Some((answer(403, "AccessDenied", ""), Versioning::Never)),
        ..well()
    };
    check(&seen, Check::Cors, Ok, None, "none are needed");
    check(&seen, Check::Versioning, Ok, None, "cannot be seen");
    let checksum = Some(answer(400, "InvalidArgument", "Unsupported header"));
    check(&probed(Probe { checksum, ..taken() }), Check::Checksums, Ok, None, "only MD5");
}
