//! Reading, writing, copying and deleting objects.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::header::{CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::super::directory::{Directory, Label};
use super::super::index::Version;
use super::super::server::NO_STORE;
use super::Answer;
use super::condition::{Conditions, Verdict};
use super::receive::{Proofs, receive};
use super::vocabulary::{
    blocking, etag, failed, from_http_date, http_date, kept_headers, length, parse_version_id,
    refuse_unsupported, timestamp, version_id,
};

/// Bytes that are read from disk at a time.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Most keys of one `DeleteObjects` (S3's limit).
const DELETE_KEYS_MAX: usize = 1000;

/// What B2 says of an object that was stored without a media type.
const CONTENT_TYPE_DEFAULT: &str = "application/octet-stream";

/// An object that was asked for.
struct Found {
    version: Version,
    file: File,
    label: Label,
    /// First byte, and the one behind the last, of the part that was asked for.
    range: Option<(u64, u64)>,
}

/// Fills the fields that the outputs of GET and HEAD share.
macro_rules! described {
    ($output:ident, $found:expr) => {{
        let Found { version, label, range, .. } = $found;
        let (start, end) = range.unwrap_or((0, version.size));
        let headers = &label.headers;
        $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: headers.cache_control.clone().or_else(no_store),
            content_disposition: headers.content_disposition.clone(),
            content_encoding: headers.content_encoding.clone(),
            content_language: headers.content_language.clone(),
            content_length: length(end - start),
            content_range: range
                .map(|_| format!("bytes {start}-{}/{}", end.saturating_sub(1), version.size)),
            content_type: headers
                .content_type
                .clone()
                .or_else(|| Some(CONTENT_TYPE_DEFAULT.to_owned())),
            e_tag: etag(version),
            expires: from_http_date(headers.expires.as_deref()),
            last_modified: timestamp(version.modified),
            metadata: (!headers.meta.is_empty())
                .then(|| headers.meta.clone().into_iter().collect()),
            version_id: Some(version_id(version.seq)),
            ..Default::default()
        }
    }};
}

/// Finds the object that an input names, and judges its conditions.
macro_rules! find {
    ($directory:expr, $input:expr) => {{
        if $input.part_number.is_some() {
            return Err(s3_error!(NotImplemented, "Reading by part number is not implemented"));
        }
        let conditions = Conditions {
            if_match: $input.if_match.take(),
            if_none_match: $input.if_none_match.take(),
            if_modified_since: $input.if_modified_since.take(),
            if_unmodified_since: $input.if_unmodified_since.take(),
        };
        let mut found =
            look_up($directory, &$input.bucket, &$input.key, $input.version_id.as_deref()).await?;
        found.judge(&conditions)?;
        found.cut($input.range)?;
        found
    }};
}

pub(super) async fn get(
    directory: &Arc<Directory>,
    mut input: GetObjectInput,
) -> Answer<GetObjectOutput> {
    let found = find!(directory, input);
    let output = described!(GetObjectOutput, &found);
    let (start, end) = found.range.unwrap_or((0, found.version.size));
    let body = StreamingBlob::wrap(chunks(found.file, start, end));
    Ok(S3Response::new(GetObjectOutput { body: Some(body), ..output }))
}

pub(super) async fn head(
    directory: &Arc<Directory>,
    mut input: HeadObjectInput,
) -> Answer<HeadObjectOutput> {
    let found = find!(directory, input);
    Ok(S3Response::new(described!(HeadObjectOutput, &found)))
}

pub(super) async fn put(
    directory: &Arc<Directory>,
    mut req: S3Request<PutObjectInput>,
) -> Answer<PutObjectOutput> {
    refuse_unsupported(&req.headers)?;
    let headers = kept_headers!(req.input)?;
    let proofs = Proofs::of(&req.headers, req.trailing_headers)?;
    let draft = receive(directory, req.input.body, proofs).await?;
    let etag_text = super::super::record::etag_of(draft.md5());
    let label = Label { key: req.input.key, etag: etag_text, headers, ..Label::default() };
    let (directory, bucket) = (Arc::clone(directory), req.input.bucket);
    let version = blocking(move || directory.put(&bucket, draft, label)).await?.map_err(failed)?;
    Ok(S3Response::new(PutObjectOutput {
        e_tag: etag(&version),
        version_id: Some(version_id(version.seq)),
        ..Default::default()
    }))
}

pub(super) async fn copy(
    directory: &Arc<Directory>,
    mut req: S3Request<CopyObjectInput>,
) -> Answer<CopyObjectOutput> {
    refuse_unsupported(&req.headers)?;
    let CopySource::Bucket { bucket, key, version_id: source_version } = &req.input.copy_source
    else {
        return Err(s3_error!(NotImplemented, "Access points are not implemented"));
    };
    let mut found = look_up(directory, bucket, key, source_version.as_deref()).await?;
    let conditions = Conditions {
        if_match: req.input.copy_source_if_match.take(),
        if_none_match: req.input.copy_source_if_none_match.take(),
        if_modified_since: req.input.copy_source_if_modified_since.take(),
        if_unmodified_since: req.input.copy_source_if_unmodified_since.take(),
    };
    if conditions.judge(&found.version.etag, found.version.modified) != Verdict::Proceed {
        return Err(precondition_failed());
    }
    let replaced = kept_headers!(req.input)?;
    let replace = req
        .input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let headers = if replace { replaced } else { found.label.headers.clone() };
    let (directory, bucket, key) = (Arc::clone(directory), req.input.bucket, req.input.key);
    let copied = blocking(move || {
        let mut draft = directory.draft()?;
        let mut left = found.version.size;
        while left > 0 {
            let chunk = read_chunk(&mut found.file, left)?;
            draft.append(&chunk)?;
            left -= chunk.len() as u64;
        }
        let etag = super::super::record::etag_of(draft.md5());
        directory.put(&bucket, draft, Label { key, etag, headers, ..Label::default() })
    });
    let version = copied.await?.map_err(failed)?;
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            e_tag: etag(&version),
            last_modified: timestamp(version.modified),
            ..Default::default()
        }),
        copy_source_version_id: Some(version_id(found.version.seq)),
        version_id: Some(version_id(version.seq)),
        ..Default::default()
    }))
}

pub(super) async fn delete(
    directory: &Arc<Directory>,
    input: DeleteObjectInput,
) -> Answer<DeleteObjectOutput> {
    let version = input.version_id;
    let deleted = delete_one(directory, input.bucket, input.key, version.clone()).await?;
    let output = DeleteObjectOutput {
        delete_marker: deleted.as_ref().filter(|deleted| deleted.marker).map(|_| true),
        version_id: deleted.map(|deleted| version_id(deleted.seq)).or(version),
        ..Default::default()
    };
    Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
}

pub(super) async fn delete_many(
    directory: &Arc<Directory>,
    input: DeleteObjectsInput,
) -> Answer<DeleteObjectsOutput> {
    if input.delete.objects.len() > DELETE_KEYS_MAX {
        return Err(s3_error!(
            MalformedXML,
            "At most {DELETE_KEYS_MAX} keys can be deleted at once"
        ));
    }
    let mut deleted = Vec::new();
    let mut errors = Vec::new();
    for object in input.delete.objects {
        let (key, version) = (object.key, object.version_id);
        match delete_one(directory, input.bucket.clone(), key.clone(), version.clone()).await {
            Ok(found) => {
                let marker = found.filter(|found| found.marker);
                deleted.push(DeletedObject {
                    key: Some(key),
                    delete_marker: marker.as_ref().map(|_| true),
                    delete_marker_version_id: marker.map(|marker| version_id(marker.seq)),
                    version_id: version,
                });
            }
            Err(error) => errors.push(s3s::dto::Error {
                code: Some(error.code().as_str().to_owned()),
                key: Some(key),
                message: error.message().map(str::to_owned),
                version_id: version,
            }),
        }
    }
    let quiet = input.delete.quiet == Some(true);
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        errors: Some(errors),
        ..Default::default()
    }))
}

/// Hides a key, or deletes one of its versions. Returns the hide marker, or
/// the version that is no more.
async fn delete_one(
    directory: &Arc<Directory>,
    bucket: String,
    key: String,
    version: Option<String>,
) -> S3Result<Option<Version>> {
    let seq = version.as_deref().map(parse_version_id).transpose()?;
    let directory = Arc::clone(directory);
    let deleted = blocking(move || match seq {
        Some(seq) => directory.delete(&bucket, &key, seq),
        None => directory.hide(&bucket, &key),
    });
    deleted.await?.map_err(failed)
}

async fn look_up(
    directory: &Arc<Directory>,
    bucket: &str,
    key: &str,
    id: Option<&str>,
) -> S3Result<Found> {
    let missing = match id {
        Some(_) => || s3_error!(NoSuchVersion, "Version not found"),
        None => || s3_error!(NoSuchKey, "Key not found"),
    };
    let seq = id.map(parse_version_id).transpose()?;
    let mut gone = None;
    loop {
        let version = directory.find(bucket, key, seq).ok_or_else(missing)?;
        if version.marker {
            return Err(if seq.is_some() { s3_error!(MethodNotAllowed) } else { missing() });
        }
        let (place, bucket, seq) = (Arc::clone(directory), bucket.to_owned(), version.seq);
        match blocking(move || place.open_version(&bucket, seq)).await? {
            Ok((file, label)) => return Ok(Found { version, file, label, range: None }),
            // It was deleted for good a moment ago, and the one before it is
            // the newest now: there was no instant without an object.
            Err(error) if error.kind() == io::ErrorKind::NotFound && gone != Some(seq) => {
                gone = Some(seq);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(failed(error)),
        }
    }
}

impl Found {
    fn judge(&self, conditions: &Conditions) -> S3Result {
        match conditions.judge(&self.version.etag, self.version.modified) {
            Verdict::Proceed => Ok(()),
            Verdict::Failed => Err(precondition_failed()),
            Verdict::NotModified => Err(self.not_modified()),
        }
    }

    fn not_modified(&self) -> S3Error {
        let mut headers = HeaderMap::new();
        let date = http_date(timestamp(self.version.modified));
        let fields = [
            (ETAG, Some(format!("\"{}\"", self.version.etag))),
            (LAST_MODIFIED, date),
            (
                http::header::CACHE_CONTROL,
                self.label.headers.cache_control.clone().or_else(no_store),
            ),
        ];
        for (name, text) in fields {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        }
        let mut error = S3Error::new(S3ErrorCode::NotModified);
        error.set_status_code(StatusCode::NOT_MODIFIED);
        error.set_headers(headers);
        error
    }

    /// Narrows what is read to the part that was asked for.
    fn cut(&mut self, range: Option<Range>) -> S3Result {
        let Some(range) = range else { return Ok(()) };
        let size = self.version.size;
        match range.check(size) {
            Ok(cut) if cut.start < cut.end => {
                self.range = Some((cut.start, cut.end));
                Ok(())
            }
            _ => {
                let mut error = s3_error!(InvalidRange, "The requested range cannot be satisfied.");
                if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
                    error.set_headers(HeaderMap::from_iter([(CONTENT_RANGE, value)]));
                }
                Err(error)
            }
        }
    }
}

/// The bytes of a file from `start` up to `end`, as they are read.
fn chunks(file: File, start: u64, end: u64) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    stream::try_unfold((file, start), move |(mut file, at)| async move {
        if at >= end {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            if at == start {
                file.seek(SeekFrom::Start(start))?;
            }
            let chunk = read_chunk(&mut file, end - at)?;
            Ok::<_, io::Error>((file, chunk))
        });
        let (file, chunk) = read.await.map_err(io::Error::other)??;
        let next = at + chunk.len() as u64;
        Ok(Some((chunk, (file, next))))
    })
}

/// Reads the next bytes of a file, at most `left`. Ending before is an error.
fn read_chunk(file: &mut File, left: u64) -> io::Result<Bytes> {
    let mut chunk = Vec::new();
    file.take(left.min(CHUNK_BYTES)).read_to_end(&mut chunk)?;
    if chunk.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(chunk.into())
}

fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the preconditions did not hold.")
}

fn no_store() -> Option<String> {
    NO_STORE.to_str().ok().map(str::to_owned)
}
