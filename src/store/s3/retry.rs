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
        // A date or nonsense leaves the wait to the usual backoff.
        let seconds = retry_after.and_then(|text| text.trim().parse().ok());
        match seconds.map(Duration::from_secs) {
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
}
