//! Which answers are worth another attempt, and when.
//!
//! The SDK reads only AWS's own `x-amz-retry-after` and never tries again after
//! a 429. B2 answers 429 and 503 with `Retry-After` in seconds.

use std::time::Duration;

use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::retries::classifiers::RetryClassifierPriority;
use aws_smithy_types::retry::ErrorKind;

/// Judges answers by status and `Retry-After`.
#[derive(Debug)]
pub(super) struct StoreRetry {
    /// Longest wait that the store is granted.
    pub(super) retry_after_max: Duration,
}

impl ClassifyRetry for StoreRetry {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else { return RetryAction::NoActionIndicated };
        self.judge(response.status().as_u16(), response.headers().get("retry-after"))
    }

    fn name(&self) -> &'static str {
        "awning"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(
            RetryClassifierPriority::modeled_as_retryable_classifier(),
        )
    }
}

impl StoreRetry {
    fn judge(&self, status: u16, retry_after: Option<&str>) -> RetryAction {
        if !matches!(status, 408 | 429 | 500 | 502 | 503 | 504) {
            return RetryAction::NoActionIndicated;
        }
        match retry_after.and_then(seconds) {
            Some(wait) => {
                let kind = match status {
                    429 | 503 => ErrorKind::ThrottlingError,
                    _ => ErrorKind::TransientError,
                };
                let wait = wait.min(self.retry_after_max);
                RetryAction::retryable_error_with_explicit_delay(kind, wait)
            }
            None if status == 429 => RetryAction::throttling_error(),
            // Transient, also for 503: B2 binds a connection to a storage pod,
            // and only after a transient error is the next attempt made on a
            // new connection.
            None => RetryAction::transient_error(),
        }
    }
}

/// Leaves a request to slow down to the caller, who paces several calls and
/// would rather have this one's place free while the store wants to be left
/// alone. Added to single calls, behind [`StoreRetry`].
#[derive(Debug)]
pub(super) struct GiveWay;

impl ClassifyRetry for GiveWay {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else { return RetryAction::NoActionIndicated };
        let body = response.body().bytes().unwrap_or_default();
        if asks_to_slow_down(response.status().as_u16(), body) {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "awning-give-way"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(
            RetryClassifierPriority::modeled_as_retryable_classifier(),
        )
    }
}

/// The wait of a `Retry-After` in seconds. A date or nonsense leaves the wait
/// to the usual backoff.
pub(super) fn seconds(retry_after: &str) -> Option<Duration> {
    retry_after.trim().parse().ok().map(Duration::from_secs)
}

/// Whether an answer is one that becomes `StoreErrorKind::Throttled`.
fn asks_to_slow_down(status: u16, body: &[u8]) -> bool {
    let slow_down = b"<Code>SlowDown</Code>";
    status == 429 || status == 503 && body.windows(slow_down.len()).any(|part| part == slow_down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_status_and_retry_after() {
        let retry = StoreRetry { retry_after_max: Duration::from_secs(20) };
        let after = |kind, seconds| {
            RetryAction::retryable_error_with_explicit_delay(kind, Duration::from_secs(seconds))
        };
        let never = RetryAction::NoActionIndicated;
        for (status, header, expected) in [
            (200, None, never.clone()),
            (403, Some("1"), never.clone()),
            (404, None, never.clone()),
            (501, None, never),
            (429, None, RetryAction::throttling_error()),
            (429, Some("2"), after(ErrorKind::ThrottlingError, 2)),
            (503, Some(" 3 "), after(ErrorKind::ThrottlingError, 3)),
            (503, Some("3600"), after(ErrorKind::ThrottlingError, 20)),
            (500, Some("1"), after(ErrorKind::TransientError, 1)),
            (503, None, RetryAction::transient_error()),
            (503, Some("-1"), RetryAction::transient_error()),
            (503, Some("Wed, 21 Oct 2026 07:28:00 GMT"), RetryAction::transient_error()),
            (408, None, RetryAction::transient_error()),
            (502, None, RetryAction::transient_error()),
            (504, None, RetryAction::transient_error()),
        ] {
            assert_eq!(retry.judge(status, header), expected, "{status} {header:?}");
        }
    }

    #[test]
    fn only_a_request_to_slow_down_gives_way() {
        let error = |code: &str| format!("<Error>\n    <Code>{code}</Code>\n</Error>");
        for (status, code, gives_way) in [
            (429, "", true),
            (503, "SlowDown", true),
            (503, "ServiceUnavailable", false),
            (500, "InternalError", false),
            (200, "SlowDown", false),
        ] {
            assert_eq!(asks_to_slow_down(status, error(code).as_bytes()), gives_way, "{code}");
        }
    }
}
