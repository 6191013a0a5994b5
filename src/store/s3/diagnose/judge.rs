//! Judging: from what was seen to what is to be said. Makes no calls, and
//! `now` is among what was seen.

use std::time::{Duration, SystemTime};

use url::Host;

use super::super::failure::hint;
use super::super::region_of;
use super::{Answer, Cause, Check, Finding, Observations, Probe, Versioning};
use crate::store::Operation;

/// S3 refuses requests whose time is further off.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// What a clock that is looked after is never off.
const SKEW_NOTABLE: Duration = Duration::from_secs(60);

const ROLES: &str = "give each role a key of its own, limited to the bucket and its prefix: \
                     publisher listFiles, readFiles, writeFiles; shield readFiles; \
                     collector (gc) listFiles, readFiles, writeFiles, deleteFiles";

/// Whether nothing more can be learned after this answer to the first call.
pub(super) fn is_hopeless(first: &Answer) -> bool {
    match (first.status, first.code.as_str()) {
        (None | Some(301 | 307 | 400 | 401 | 500..), _) => true,
        (Some(404), code) => code == "NoSuchBucket",
        (Some(403), code) => code != "AccessDenied" || first.message.contains("not s3-enabled"),
        _ => false,
    }
}

/// What is right and wrong, in the order in which it would be met.
pub fn judge(seen: &Observations) -> Vec<Finding> {
    let mut findings = vec![region(seen)];
    findings.extend(refusal(seen));
    if let Some(clock) = clock(seen.read.date, seen.now) {
        findings.push(clock);
    }
    if is_hopeless(&seen.read) {
        return findings;
    }
    findings.push(Finding::ok(Check::Endpoint, format!("{} answers", seen.endpoint)));
    findings
        .push(Finding::ok(Check::Credentials, format!("the key `{}` is accepted", seen.key_id)));
    findings.push(reading(&seen.read));
    findings.extend(seen.list.as_ref().map(|answer| listing(answer, &seen.prefix)));
    findings.extend(seen.versioning.as_ref().map(|(answer, _)| versioning(answer, versions(seen))));
    let rules = seen.lifecycle.as_ref();
    findings.extend(rules.map(|(answer, tidies)| match versions(seen) {
        Some(Versioning::Never) => Finding::ok(Check::Lifecycle, NO_VERSIONS),
        _ => lifecycle(answer, *tidies, &seen.prefix),
    }));
    findings.extend(seen.cors.as_ref().map(|(answer, rules)| cors(answer, *rules)));
    if let Some(probe) = &seen.probe {
        let versioned = probe.versioned && versions(seen) != Some(Versioning::Never);
        written(probe, versioned, &mut findings);
    }
    findings
}

fn region(seen: &Observations) -> Finding {
    let Observations { endpoint, region, .. } = seen;
    let is_b2 =
        matches!(endpoint.host(), Some(Host::Domain(host)) if host.ends_with("backblazeb2.com"));
    if is_b2 && endpoint.scheme() != "https" {
        let text = format!("{endpoint}: B2 answers over https only");
        return Finding::problem(Check::Region, Cause::Configuration, text)
            .advise("write `https://` in `store.endpoint`");
    }
    match region_of(endpoint) {
        Some(named) if named != *region => {
            let text = format!("requests are signed for `{region}`, the endpoint is in `{named}`");
            Finding::problem(Check::Region, Cause::Configuration, text)
                .advise("leave `store.region` out: it is read from the endpoint")
        }
        Some(_) => Finding::ok(Check::Region, format!("`{region}`, as in the endpoint")),
        None => Finding::ok(Check::Region, format!("`{region}`; the endpoint names none")),
    }
}

/// Why the first call went no further.
fn refusal(seen: &Observations) -> Option<Finding> {
    let first = &seen.read;
    if !is_hopeless(first) {
        return None;
    }
    let told = first.told();
    let advice = hint(Operation::Get, first.status, Some(&first.code), &first.message);
    let finding = match (first.status, first.code.as_str()) {
        (None | Some(408 | 429 | 500 | 502..), _) => {
            Finding::problem(Check::Endpoint, Cause::Unreachable, told).advise(format!(
                "check that {} is the endpoint of the bucket and can be reached from here",
                seen.endpoint
            ))
        }
        (
            _,
            "InvalidBucketName"
            | "NoSuchBucket"
            | "PermanentRedirect"
            | "AuthorizationHeaderMalformed",
        ) => Finding::problem(Check::Endpoint, Cause::Configuration, told),
        (_, "RequestTimeTooSkewed") => Finding::problem(Check::Clock, Cause::Denied, told),
        (Some(301 | 307 | 400), _) => Finding::problem(Check::Endpoint, Cause::Configuration, told)
            .advise("this does not look like the S3 API: compare `store.endpoint`"),
        _ => Finding::problem(Check::Credentials, Cause::Denied, told),
    };
    let elsewhere = other_cluster(seen).filter(|_| first.code == "InvalidAccessKeyId");
    Some(match (advice, elsewhere) {
        (_, Some(elsewhere)) => finding.advise(elsewhere),
        (Some(advice), None) => finding.advise(advice),
        (None, None) => finding,
    })
}

/// Key ids of B2 begin with the number of their cluster, and regions end with it.
fn other_cluster(seen: &Observations) -> Option<String> {
    let region = region_of(&seen.endpoint)?;
    let (_, cluster) = region.rsplit_once('-')?;
    let own = seen.key_id.get(..3)?;
    let numbers = [cluster, own].iter().all(|text| text.len() == 3 && is_number(text));
    // Ids of application keys have 25 characters, that of the master key has 12.
    (numbers && own != cluster && seen.key_id.len() == 25).then(|| {
        format!("the key is of cluster {own}, the endpoint of {cluster}: use the endpoint that the console shows for the bucket")
    })
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn clock(there: Option<SystemTime>, here: SystemTime) -> Option<Finding> {
    let there = there?;
    let (off, way) = match here.duration_since(there) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    let text = format!("{} s {way} the store's", off.as_secs());
    let set = "set the clock of this machine, and keep it set by NTP";
    Some(match off {
        _ if off >= SKEW_MAX => Finding::problem(Check::Clock, Cause::Denied, text).advise(set),
        _ if off >= SKEW_NOTABLE => Finding::warning(Check::Clock, text).advise(set),
        _ => Finding::ok(Check::Clock, text),
    })
}

fn reading(answer: &Answer) -> Finding {
    match answer.status {
        Some(200..=299 | 404) => Finding::ok(Check::Reading, "the key may read"),
        _ => refused(Check::Reading, Operation::Get, answer),
    }
}

fn listing(answer: &Answer, prefix: &str) -> Finding {
    if answer.is_success() {
        let what = if prefix.is_empty() { "all keys".to_owned() } else { format!("`{prefix}`") };
        return Finding::ok(Check::Listing, format!("the key may list {what}"));
    }
    let finding = refused(Check::Listing, Operation::List, answer);
    if finding.cause == Some(Cause::Denied) && answer.code == "AccessDenied" && !is_cap(answer) {
        let advice = format!(
            "a key that is limited to a prefix lists exactly that one: is it `{prefix}`, as in \
             `store.prefix`? Otherwise it lacks the capability listFiles, which a publisher needs \
             and a shield does not"
        );
        return finding.advise(advice);
    }
    finding
}

/// What the store says of its versions; where that cannot be read, what a
/// write shows. Garage names versions that it does not keep, so its word comes
/// first.
fn versions(seen: &Observations) -> Option<Versioning> {
    let shown = seen.probe.as_ref().is_some_and(|probe| probe.versioned);
    match &seen.versioning {
        Some((answer, told)) if answer.is_success() => Some(*told),
        _ => shown.then_some(Versioning::On),
    }
}

fn versioning(answer: &Answer, versions: Option<Versioning>) -> Finding {
    let text = match (versions, answer.status) {
        (Some(Versioning::On), _) => "on: a write keeps what it replaces, and that is billed",
        (Some(Versioning::Suspended), _) => {
            "suspended: what is replaced is gone at once, but what was kept before is still billed"
        }
        (Some(Versioning::Never), _) => "off: what is replaced or deleted is gone at once",
        (None, Some(401 | 403)) => "cannot be seen with this key (B2 always has versions)",
        (None, _) => &format!("cannot be seen: {}; a write would show it", answer.told()),
    };
    Finding::ok(Check::Versioning, text)
}

fn lifecycle(answer: &Answer, tidies: bool, prefix: &str) -> Finding {
    let rule = serde_json::json!({
        "daysFromHidingToDeleting": 1,
        "daysFromUploadingToHiding": null,
        "fileNamePrefix": prefix,
    });
    let paste = format!("paste this rule into the bucket's lifecycle settings: {rule}");
    match answer.status {
        _ if answer.is_success() && tidies => {
            Finding::ok(Check::Lifecycle, "versions behind the newest are deleted by a rule")
        }
        _ if answer.is_success() || answer.is(404) => {
            let text = "no rule deletes hidden versions: they are kept and billed for ever";
            Finding::warning(Check::Lifecycle, text).advise(paste)
        }
        Some(501) => Finding::ok(
            Check::Lifecycle,
            "the store has no such rules: `awning gc` deletes versions itself",
        ),
        Some(401 | 403) => {
            Finding::warning(Check::Lifecycle, "the rules cannot be seen with this key")
                .advise(format!("if there is none yet, {paste}"))
        }
        _ => Finding::warning(Check::Lifecycle, answer.told()),
    }
}

fn cors(answer: &Answer, rules: usize) -> Finding {
    let text = match (answer.is_success(), rules) {
        (true, 1..) => format!("{rules} rule(s)"),
        (true, 0) => NO_CORS.to_owned(),
        _ if answer.is(404) => NO_CORS.to_owned(),
        _ => format!("cannot be seen; {NEEDS_NO_CORS}"),
    };
    Finding::ok(Check::Cors, text)
}

const NO_VERSIONS: &str = "no versions, so none that a rule would have to delete";
const NO_CORS: &str = "no rules: none are needed while visitors come through a shield";
const NEEDS_NO_CORS: &str = "none are needed while visitors come through a shield";

fn written(probe: &Probe, versioned: bool, findings: &mut Vec<Finding>) {
    let plain = probe.plain.as_ref().unwrap_or(&probe.create);
    if !plain.is_success() {
        findings.push(refused(Check::Writing, Operation::Put, plain));
        return;
    }
    findings.push(Finding::ok(Check::Writing, "the key may write"));
    findings.push(Finding::ok(Check::ConditionalWrites, conditional(probe)));
    if let Some(answer) = &probe.checksum {
        let text = match answer.is_success() {
            true => "CRC32 is taken; awning sends MD5 and SHA-256 all the same".to_owned(),
            false => format!("only MD5, which is all that awning needs ({})", answer.told()),
        };
        findings.push(Finding::ok(Check::Checksums, text));
    }
    findings.extend(probe.delete.as_ref().map(|answer| deleting(answer, versioned)));
}

/// Where a store takes the second write, it ignores the condition: as good as none.
fn conditional(probe: &Probe) -> &'static str {
    match &probe.again {
        Some(again) if again.is(412) => "the store has them",
        Some(_) => "ignored by the store, so none: the log of each channel decides alone",
        None if probe.create.is(412) => "the store has them",
        None => "none: the log of each channel decides alone",
    }
}

fn deleting(answer: &Answer, versioned: bool) -> Finding {
    match answer.status {
        _ if answer.is_success() => {
            let what = if versioned { "the key may delete versions" } else { "the key may delete" };
            Finding::ok(Check::Deleting, what).advise(ROLES)
        }
        Some(401 | 403) => Finding::ok(
            Check::Deleting,
            "the key may not delete versions, as a publisher need not; the probe was hidden",
        )
        .advise(ROLES),
        _ => Finding::warning(Check::Deleting, answer.told()),
    }
}

/// A call that every role makes did not go through.
fn refused(check: Check, operation: Operation, answer: &Answer) -> Finding {
    let cause = match answer.status {
        Some(401 | 403) => Cause::Denied,
        None | Some(408 | 429 | 500..) => Cause::Unreachable,
        Some(_) => Cause::Configuration,
    };
    let finding = Finding::problem(check, cause, answer.told());
    match hint(operation, answer.status, Some(&answer.code), &answer.message) {
        Some(advice) if cause == Cause::Denied && !is_cap(answer) => {
            finding.advise(format!("{advice}; {ROLES}"))
        }
        Some(advice) => finding.advise(advice),
        None => finding,
    }
}

fn is_cap(answer: &Answer) -> bool {
    answer.message.contains("cap exceeded")
}
