//! What an answer of the store means to awning, and to the person who reads it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::super::{Operation, StoreError, StoreErrorKind};
use super::{Profile, retry};

/// What a store answered, and a hint where the reason is a known one.
#[derive(Debug)]
pub struct S3Failure {
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    hint: Option<&'static str>,
    retry_after: Option<Duration>,
    source: Box<dyn Error + Send + Sync>,
}

/// An error of any operation of the SDK.
pub(super) trait Failed {
    fn into_failure(self, operation: Operation) -> S3Failure;
}

impl S3Failure {
    /// The status of the answer. `None` when there was no answer.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The S3 error code: `AccessDenied`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What the store says, in its own words.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    fn kind(&self, profile: Profile) -> StoreErrorKind {
        let Some(status) = self.status else { return StoreErrorKind::Unavailable };
        let code = self.code.as_deref().unwrap_or_default();
        match (status, code) {
            (_, "BadDigest" | "XAmzContentSHA256Mismatch") => StoreErrorKind::Corrupt,
            // An error can also arrive under a status of success, or as 400.
            (_, "SlowDown" | "TooManyRequests") | (429, _) => StoreErrorKind::Throttled,
            (_, "InternalError" | "ServiceUnavailable" | "RequestTimeout") => {
                StoreErrorKind::Unavailable
            }
            (_, "NoSuchBucket") => StoreErrorKind::Rejected,
            (_, "InvalidPart") => StoreErrorKind::PartMissing,
            // Two conditional writes at once: the store asks to try again.
            (409, "ConditionalRequestConflict") => StoreErrorKind::Unavailable,
            (404, _) => StoreErrorKind::NotFound,
            (403, _) if self.is_cap() => match profile {
                Profile::Publisher => StoreErrorKind::Capped,
                // The cap will be lifted; until then a shield serves what it has.
                Profile::Shield => StoreErrorKind::Unavailable,
            },
            (401 | 403, _) => StoreErrorKind::Denied,
            (412, _) => StoreErrorKind::Precondition,
            (501, _) => StoreErrorKind::Rejected,
            (408 | 500.., _) => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Rejected,
        }
    }

    fn is_cap(&self) -> bool {
        self.message.as_deref().is_some_and(|message| message.contains("cap exceeded"))
    }
}

/// The status of the answer behind an error.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// The error of `operation` on `key`.
pub(super) fn store_error(
    operation: Operation,
    key: &str,
    profile: Profile,
    error: impl Failed,
) -> StoreError {
    let failure = error.into_failure(operation);
    let (kind, retry_after) = (failure.kind(profile), failure.retry_after);
    StoreError::new(operation, key, kind, failure).with_retry_after(retry_after)
}

impl<E> Failed for SdkError<E, HttpResponse>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn into_failure(self, operation: Operation) -> S3Failure {
        let status = match &self {
            SdkError::ServiceError(_) => status(&self),
            // The answer could not be read, so its status says nothing.
            _ => None,
        };
        let code = self.code().map(str::to_owned);
        let message = self.message().map(str::to_owned);
        let said = message.as_deref().unwrap_or_default();
        let hint = hint(operation, status, code.as_deref(), said);
        let retry_after = self
            .raw_response()
            .and_then(|response| response.headers().get("retry-after").and_then(retry::seconds));
        S3Failure { status, code, message, hint, retry_after, source: Box::new(self) }
    }
}

/// What to do about the failures that people meet when they set a store up.
pub(super) fn hint(
    operation: Operation,
    status: Option<u16>,
    code: Option<&str>,
    message: &str,
) -> Option<&'static str> {
    let says = |text: &str| message.contains(text);
    match (status?, code.unwrap_or_default()) {
        (_, "InvalidAccessKeyId") if says("Malformed") => Some(
            "you used the master key, which the S3 API refuses: \
             create an application key for the bucket",
        ),
        (_, "InvalidAccessKeyId") => Some(
            "the key was deleted, or belongs to another region than the endpoint: \
             compare both in the console",
        ),
        (_, "SignatureDoesNotMatch") => Some("the key is not the one of this key id"),
        (_, "RequestTimeTooSkewed") => {
            Some("the clock of this machine is wrong: set it, and keep it set by NTP")
        }
        (_, "NoSuchBucket") => Some("there is no such bucket at this endpoint"),
        (_, "InvalidBucketName") => {
            Some("no bucket can have this name: compare `store.bucket` with the console")
        }
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed") => {
            Some("the bucket is in another region than the endpoint")
        }
        (403, _) if says("cap exceeded") => {
            Some("raise the cap under Caps & Alerts, or wait until 00:00 UTC")
        }
        (403, _) if says("not s3-enabled") => {
            Some("buckets from before May 2020 have no S3 API: create a new one")
        }
        (403, "AccessDenied") => Some(lacking(operation)),
        _ => None,
    }
}

/// What a key lacks that may not do this.
fn lacking(operation: Operation) -> &'static str {
    match operation {
        Operation::Get | Operation::Head => {
            "the key lacks the capability readFiles, or is limited to another bucket or prefix"
        }
        Operation::Put
        | Operation::Begin
        | Operation::PutPart
        | Operation::Complete
        | Operation::Abort => {
            "the key lacks the capability writeFiles, or is limited to another bucket or prefix"
        }
        Operation::List | Operation::ListParts | Operation::ListUploads => {
            "the key lacks the capability listFiles, or is limited to another bucket or prefix"
        }
        Operation::Delete => {
            "the key lacks the capability deleteFiles, or is limited to another bucket or prefix"
        }
    }
}

impl fmt::Display for S3Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            None => f.write_str("there is no answer")?,
            Some(status) => write!(f, "the store answered {status}")?,
        }
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        match self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl Error for S3Failure {
    /// The SDK's own account, unless the answer named its reason: then that
    /// only repeats it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.code.is_none().then_some(&*self.source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, code: &str, message: &str) -> S3Failure {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let hint = hint(Operation::Put, Some(status), Some(code), message);
        let (code, message) = (text(code), text(message));
        let (status, source) = (Some(status), "cause".into());
        S3Failure { status, code, message, hint, retry_after: None, source }
    }

    #[test]
    fn an_answer_is_mapped_by_its_meaning() {
        use StoreErrorKind::*;
        for (status, code, kind) in [
            (404, "NoSuchKey", NotFound),
            (404, "", NotFound),
            (404, "NoSuchBucket", Rejected),
            (401, "", Denied),
            (403, "AccessDenied", Denied),
            (403, "InvalidAccessKeyId", Denied),
            (404, "NoSuchUpload", NotFound),
            (400, "InvalidPart", PartMissing),
            (409, "ConditionalRequestConflict", Unavailable),
            (412, "PreconditionFailed", Precondition),
            (416, "InvalidRange", Rejected),
            (400, "InvalidArgument", Rejected),
            (400, "BadDigest", Corrupt),
            (400, "RequestTimeout", Unavailable),
            (408, "", Unavailable),
            (429, "", Throttled),
            (503, "SlowDown", Throttled),
            (503, "ServiceUnavailable", Unavailable),
            (503, "", Unavailable),
            (500, "InternalError", Unavailable),
            (502, "", Unavailable),
            (504, "", Unavailable),
            (200, "InternalError", Unavailable),
            (501, "NotImplemented", Rejected),
        ] {
            assert_eq!(failure(status, code, "").kind(Profile::Publisher), kind, "{status} {code}");
        }
    }

    #[test]
    fn a_cap_stops_a_publisher_and_not_a_shield() {
        let message = "Cannot download file, download bandwidth or transaction (Class B) cap \
                       exceeded. See the Caps & Alerts page to increase your cap.";
        let failure = failure(403, "AccessDenied", message);
        assert_eq!(failure.kind(Profile::Publisher), StoreErrorKind::Capped);
        assert_eq!(failure.kind(Profile::Shield), StoreErrorKind::Unavailable);
        assert!(failure.hint().is_some_and(|hint| hint.contains("Caps & Alerts")));
    }

    #[test]
    fn a_key_that_may_not_is_told_which_capability_it_lacks() {
        for (operation, capability) in [
            (Operation::Get, "readFiles"),
            (Operation::Head, "readFiles"),
            (Operation::Put, "writeFiles"),
            (Operation::List, "listFiles"),
            (Operation::Delete, "deleteFiles"),
        ] {
            let hint = hint(operation, Some(403), Some("AccessDenied"), "not entitled").unwrap();
            assert!(hint.contains(capability), "{hint}");
        }
    }

    #[test]
    fn the_text_keeps_the_words_of_the_store_and_adds_a_hint() {
        let failure = failure(403, "InvalidAccessKeyId", "Malformed Access Key Id");
        assert_eq!(
            failure.to_string(),
            "the store answered 403 InvalidAccessKeyId: Malformed Access Key Id \
             (you used the master key, which the S3 API refuses: create an application key for \
             the bucket)"
        );
    }
}
