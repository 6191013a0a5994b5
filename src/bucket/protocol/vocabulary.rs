//! How the directory's terms read in S3, and what B2 refuses by header.

use std::io;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use s3s::dto::{ETag, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::super::directory::Headers;
use super::super::index::Version;
use super::super::uploads::UploadError;

/// What the names of versions begin with, as in B2.
const VERSION_PREFIX: &str = "4_z";

/// Most bytes of a key and its header fields together (B2's file information).
const HEADERS_BYTES_MAX: usize = 7000;

/// Header fields that ask for what the bucket does not do. Taking them
/// silently would promise encryption, locks or access rules that are not there.
const REFUSED: [&str; 10] = [
    "x-amz-tagging",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write-acp",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-website-redirect-location",
];

/// Collects the header fields that are kept from an input that has them.
macro_rules! kept_headers {
    ($input:expr) => {
        $crate::bucket::protocol::vocabulary::checked(
            &$input.key,
            $crate::bucket::directory::Headers {
                content_type: $input.content_type.take().map(Into::into),
                cache_control: $input.cache_control.take(),
                content_encoding: $input.content_encoding.take(),
                content_disposition: $input.content_disposition.take(),
                content_language: $input.content_language.take(),
                expires: $crate::bucket::protocol::vocabulary::http_date($input.expires.take()),
                meta: $input.metadata.take().unwrap_or_default().into_iter().collect(),
            },
        )
    };
}
pub(super) use kept_headers;

/// Runs what blocks on the file system away from the connections.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> S3Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(S3Error::internal_error)
}

/// Refuses a write that B2 would refuse for its header fields.
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> S3Result {
    if headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH) {
        let message = "A header you provided implies functionality that is not implemented.";
        return Err(s3_error!(NotImplemented, "{message}"));
    }
    if let Some(acl) = headers.get("x-amz-acl").filter(|acl| *acl != "private") {
        let acl = String::from_utf8_lossy(acl.as_bytes());
        return Err(s3_error!(InvalidArgument, "Unsupported value for canned acl '{acl}'"));
    }
    match REFUSED.into_iter().find(|name| headers.contains_key(*name)) {
        Some(name) => Err(s3_error!(
            InvalidArgument,
            "Unsupported header '{name}' received for this API call."
        )),
        None => Ok(()),
    }
}

/// Checks a key and its header fields against B2's limits.
pub(super) fn checked(key: &str, mut headers: Headers) -> S3Result<Headers> {
    if key.chars().any(|c| c < ' ' || c == '\u{7f}') {
        return Err(s3_error!(InvalidArgument, "File names must not contain control characters"));
    }
    // Says how the body was sent, not what it is.
    headers.content_encoding = headers.content_encoding.and_then(|coding| {
        let kept: Vec<_> =
            coding.split(',').map(str::trim).filter(|part| *part != "aws-chunked").collect();
        (!kept.is_empty()).then(|| kept.join(", "))
    });
    let fields = [
        &headers.content_type,
        &headers.cache_control,
        &headers.content_encoding,
        &headers.content_disposition,
        &headers.content_language,
        &headers.expires,
    ];
    let fields: usize = fields.into_iter().flatten().map(String::len).sum();
    let meta: usize = headers.meta.iter().map(|(name, value)| name.len() + value.len()).sum();
    if key.len() + fields + meta > HEADERS_BYTES_MAX {
        return Err(s3_error!(
            InvalidArgument,
            "The key and its headers are more than {HEADERS_BYTES_MAX} bytes"
        ));
    }
    Ok(headers)
}

/// A time as an HTTP date.
pub(super) fn http_date(at: Option<Timestamp>) -> Option<String> {
    let mut text = Vec::new();
    at?.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// An HTTP date as a time.
pub(super) fn from_http_date(text: Option<&str>) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text?).ok()
}

/// A time as the core writes it.
pub(super) fn timestamp(at: SystemTime) -> Option<Timestamp> {
    Some(Timestamp::from(at))
}

/// The ETag of a version.
pub(super) fn etag(version: &Version) -> Option<ETag> {
    (!version.marker).then(|| ETag::Strong(version.etag.to_string()))
}

/// A length as the core writes it.
pub(super) fn length(size: u64) -> Option<i64> {
    i64::try_from(size).ok()
}

/// The name of a version.
pub(super) fn version_id(seq: u64) -> String {
    format!("{VERSION_PREFIX}{seq:016x}")
}

/// The number in the name of a version.
pub(super) fn parse_version_id(id: &str) -> S3Result<u64> {
    let digits = id.strip_prefix(VERSION_PREFIX);
    let seq = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    seq.ok_or_else(|| s3_error!(InvalidArgument, "Invalid version id specified"))
}

/// What a failure of the file system is to a client.
pub(super) fn failed(error: io::Error) -> S3Error {
    S3Error::internal_error(error)
}

/// What a failure of an upload is to a client.
pub(super) fn upload_failed(error: UploadError) -> S3Error {
    let code = match error {
        UploadError::NoSuchUpload => S3ErrorCode::NoSuchUpload,
        UploadError::TooMany => S3ErrorCode::SlowDown,
        UploadError::InvalidPart => S3ErrorCode::InvalidPart,
        UploadError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        UploadError::TooSmall => S3ErrorCode::EntityTooSmall,
        UploadError::Io(error) => return failed(error),
    };
    S3Error::with_message(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_id_leads_back_to_its_number() {
        assert_eq!(parse_version_id(&version_id(u64::MAX)).unwrap(), u64::MAX);
        for id in ["", "null", "4_z", "4_zx", "0000000000000001"] {
            assert!(parse_version_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn the_framing_of_an_upload_is_not_a_content_coding() {
        let coding = |text: &str| {
            let headers = Headers { content_encoding: Some(text.to_owned()), ..Headers::default() };
            checked("k", headers).unwrap().content_encoding
        };
        assert_eq!(coding("aws-chunked"), None);
        assert_eq!(coding("aws-chunked, br"), Some("br".to_owned()));
        assert_eq!(coding("gzip"), Some("gzip".to_owned()));
    }

    #[test]
    fn keys_and_headers_have_limits() {
        assert!(checked("a\u{7f}", Headers::default()).is_err());
        assert!(checked("a\n", Headers::default()).is_err());
        let of_length =
            |length| Headers { cache_control: Some("x".repeat(length)), ..Headers::default() };
        assert!(checked("k", of_length(HEADERS_BYTES_MAX - 1)).is_ok());
        assert!(checked("k", of_length(HEADERS_BYTES_MAX)).is_err());
    }
}
