//! The SDK's values as awning's.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ServerSideEncryption;
use data_encoding::HEXLOWER;

use super::super::{
    ByteRange, ListPage, Listed, Object, ObjectHead, ObjectHeaders, Operation, StoreError,
    StoreErrorKind,
};
use super::body::{Body, Pace, Resume};

/// A range as a header field.
pub(super) fn range(range: ByteRange) -> String {
    match range {
        ByteRange::Bounded(first, last) => format!("bytes={first}-{last}"),
        ByteRange::From(first) => format!("bytes={first}-"),
        ByteRange::Last(count) => format!("bytes=-{count}"),
    }
}

/// An ETag without its quotes.
pub(super) fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// Compares the ETag of an upload with the MD5 of what was sent.
pub(super) fn check_md5(
    operation: Operation,
    key: &str,
    etag: Option<&str>,
    encryption: Option<&ServerSideEncryption>,
    md5: [u8; 16],
) -> Result<(), StoreError> {
    // A key of the store's own makes the ETag something else than the MD5.
    let keyed = encryption.is_some_and(|sse| *sse != ServerSideEncryption::Aes256);
    match etag {
        Some(etag) if !keyed && bare(etag) != HEXLOWER.encode(&md5) => {
            let found = format!("the store has {etag} instead");
            Err(StoreError::new(operation, key, StoreErrorKind::Corrupt, found))
        }
        _ => Ok(()),
    }
}

/// Takes the fields that the outputs of GET and HEAD share.
macro_rules! head {
    ($output:expr, $size:expr) => {
        ObjectHead {
            size: $size,
            etag: $output.e_tag.take(),
            last_modified: $output.last_modified.as_ref().and_then(system_time),
            version: $output.version_id.take(),
            headers: ObjectHeaders {
                content_type: $output.content_type.take(),
                cache_control: $output.cache_control.take(),
                content_encoding: $output.content_encoding.take(),
                content_disposition: $output.content_disposition.take(),
                content_language: $output.content_language.take(),
                meta: $output.metadata.take().unwrap_or_default().into_iter().collect(),
            },
        }
    };
}

/// An object whose body is about to arrive. `resume` makes what asks for the
/// rest of it, from the offset behind its last byte and its validator.
pub(super) fn found(
    key: &str,
    mut output: GetObjectOutput,
    pace: Pace,
    resume: impl FnOnce(u64, &str) -> Option<Resume>,
) -> Result<Object, StoreError> {
    let length = announced(Operation::Get, key, output.content_length)?;
    let part = output.content_range.as_deref().and_then(parse_content_range);
    let (size, part) = match part {
        Some((first, last, size)) => (size, Some((first, last))),
        None => (length, None),
    };
    let head = head!(output, size);
    let end = part.map_or(length, |(_, last)| last.saturating_add(1));
    let resume = head.etag.as_deref().and_then(|etag| resume(end, etag));
    let body = Body { key: key.to_owned(), bytes: output.body, left: length, pace, resume };
    Ok(Object { head, body: body.into_stream(), part })
}

/// What is known of an object.
pub(super) fn head(key: &str, mut output: HeadObjectOutput) -> Result<ObjectHead, StoreError> {
    let size = announced(Operation::Head, key, output.content_length)?;
    Ok(head!(output, size))
}

/// A page of a listing.
pub(super) fn page(output: ListObjectsV2Output) -> ListPage {
    let more = output.is_truncated.unwrap_or_default();
    let objects = output.contents.unwrap_or_default().into_iter().filter_map(|object| {
        let size = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        let last_modified = object.last_modified.as_ref().and_then(system_time);
        Some(Listed { key: object.key?, size, etag: object.e_tag, last_modified })
    });
    ListPage { objects: objects.collect(), more }
}

/// `bytes 0-4/10` as first, last and size.
pub(super) fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (span, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, size.parse().ok()?))
}

fn announced(operation: Operation, key: &str, length: Option<i64>) -> Result<u64, StoreError> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    let why = "the store did not say how long the object is";
    length.ok_or_else(|| StoreError::new(operation, key, StoreErrorKind::Unavailable, why))
}

/// The instant that the SDK tells, to the second.
pub(super) fn system_time(at: &DateTime) -> Option<SystemTime> {
    let seconds = u64::try_from(at.secs()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::ByteStream;

    use super::*;

    #[test]
    fn ranges_are_written_as_the_rfc_has_them() {
        assert_eq!(range(ByteRange::Bounded(2, 5)), "bytes=2-5");
        assert_eq!(range(ByteRange::From(2)), "bytes=2-");
        assert_eq!(range(ByteRange::Last(5)), "bytes=-5");
    }

    #[test]
    fn a_content_range_names_the_part_and_the_whole() {
        assert_eq!(parse_content_range("bytes 0-4/10"), Some((0, 4, 10)));
        for text in ["", "bytes */10", "bytes 0-4/*", "items 0-4/10"] {
            assert_eq!(parse_content_range(text), None, "{text}");
        }
    }

    async fn read(bytes: ByteStream, announced: i64) -> Result<usize, StoreErrorKind> {
        let output = GetObjectOutput::builder().body(bytes).content_length(announced).build();
        let object = found("k", output, Pace::of(Duration::from_secs(5)), |_, _| None).unwrap();
        object.collect("k", 100).await.map(|body| body.len()).map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn a_body_of_another_length_than_announced_is_an_error() {
        let body = || ByteStream::from_static(b"12345");
        assert_eq!(read(body(), 5).await, Ok(5));
        assert_eq!(read(body(), 6).await, Err(StoreErrorKind::Unavailable));
        assert_eq!(read(body(), 4).await, Err(StoreErrorKind::Unavailable));
    }
}
