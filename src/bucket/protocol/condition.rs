//! Preconditions of reads (RFC 9110, section 13.2.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::dto::{ETag, ETagCondition, Timestamp};

/// What a client wants to be true before it gets an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Proceed,
    NotModified,
    Failed,
}

impl Conditions {
    /// Judges an object by its ETag, given without quotes, and its date.
    pub(super) fn judge(&self, etag: &str, modified: SystemTime) -> Verdict {
        let etag = ETag::Strong(etag.to_owned());
        // Clients only ever see whole seconds.
        let modified = Timestamp::from(whole_seconds(modified));
        let newer_than = |since: &Option<Timestamp>| since.as_ref().map(|since| modified > *since);
        let failed = match &self.if_match {
            Some(ETagCondition::Any) => false,
            Some(ETagCondition::ETag(wanted)) => !wanted.strong_cmp(&etag),
            None => newer_than(&self.if_unmodified_since) == Some(true),
        };
        let unmodified = match &self.if_none_match {
            Some(ETagCondition::Any) => true,
            Some(ETagCondition::ETag(known)) => known.weak_cmp(&etag),
            None => newer_than(&self.if_modified_since) == Some(false),
        };
        match (failed, unmodified) {
            (true, _) => Verdict::Failed,
            (false, true) => Verdict::NotModified,
            (false, false) => Verdict::Proceed,
        }
    }
}

fn whole_seconds(at: SystemTime) -> SystemTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::Verdict::*;
    use super::*;

    fn tag(text: &str) -> Option<ETagCondition> {
        text.parse().ok()
    }

    fn date(seconds: u64) -> Option<Timestamp> {
        Some(Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds)))
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_the_rfc() {
        let modified = UNIX_EPOCH + Duration::from_millis(100_500);
        let none = Conditions::default();
        for (conditions, expected) in [
            (none.clone(), Proceed),
            (Conditions { if_match: tag("\"a\""), ..none.clone() }, Proceed),
            (Conditions { if_match: tag("*"), ..none.clone() }, Proceed),
            (Conditions { if_match: tag("\"b\""), ..none.clone() }, Failed),
            (Conditions { if_match: tag("W/\"a\""), ..none.clone() }, Failed),
            (Conditions { if_none_match: tag("\"a\""), ..none.clone() }, NotModified),
            (Conditions { if_none_match: tag("W/\"a\""), ..none.clone() }, NotModified),
            (Conditions { if_none_match: tag("*"), ..none.clone() }, NotModified),
            (Conditions { if_none_match: tag("\"b\""), ..none.clone() }, Proceed),
            (Conditions { if_modified_since: date(100), ..none.clone() }, NotModified),
            (Conditions { if_modified_since: date(99), ..none.clone() }, Proceed),
            (Conditions { if_unmodified_since: date(100), ..none.clone() }, Proceed),
            (Conditions { if_unmodified_since: date(99), ..none.clone() }, Failed),
            // An ETag outranks a date.
            (
                Conditions {
                    if_match: tag("\"a\""),
                    if_unmodified_since: date(99),
                    ..none.clone()
                },
                Proceed,
            ),
            (
                Conditions {
                    if_none_match: tag("\"b\""),
                    if_modified_since: date(100),
                    ..none.clone()
                },
                Proceed,
            ),
        ] {
            assert_eq!(conditions.judge("a", modified), expected, "{conditions:?}");
        }
    }
}
