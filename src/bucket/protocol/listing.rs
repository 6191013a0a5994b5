//! Listings of keys, versions and buckets.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::region::Region;
use s3s::{S3Response, S3Result, s3_error};

use super::super::directory::Directory;
use super::super::index::{Cursor, Entry, Query, Version};
use super::Answer;
use super::vocabulary::{blocking, etag, failed, length, parse_version_id, timestamp, version_id};

/// Most entries of a page (S3's limit).
const PAGE_MAX: i32 = 1000;

/// What stays as it is in keys that are listed with `encoding-type=url`.
const URL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// How keys are written: as they are, or percent-encoded on request.
#[derive(Clone, Copy)]
struct Spelling {
    encoded: bool,
}

pub(super) fn objects_v2(
    directory: &Directory,
    input: ListObjectsV2Input,
) -> Answer<ListObjectsV2Output> {
    let max = page_size(input.max_keys)?;
    let after = match &input.continuation_token {
        Some(token) => Some(parse_token(token)?),
        None => input.start_after.clone().map(Cursor::Key),
    };
    let query = query(input.prefix.as_deref(), input.delimiter.as_deref(), after, max);
    let page = directory.list(&input.bucket, |index| index.list(&query));
    let spelling = Spelling::of(input.encoding_type.as_ref());
    let fetch_owner = input.fetch_owner == Some(true);
    let (contents, common_prefixes) = spelling.split(&page.entries, fetch_owner);
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(spelling.spell(&query.prefix)),
        delimiter: input.delimiter.map(|delimiter| spelling.spell(&delimiter)),
        start_after: input.start_after.map(|after| spelling.spell(&after)),
        max_keys: Some(max),
        key_count: i32::try_from(page.entries.len()).ok(),
        is_truncated: Some(page.next.is_some()),
        continuation_token: input.continuation_token,
        next_continuation_token: page.next.as_ref().map(token),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}

pub(super) fn objects(directory: &Directory, input: ListObjectsInput) -> Answer<ListObjectsOutput> {
    let max = page_size(input.max_keys)?;
    let after = input.marker.clone().map(|marker| behind(marker, input.delimiter.as_deref()));
    let query = query(input.prefix.as_deref(), input.delimiter.as_deref(), after, max);
    let page = directory.list(&input.bucket, |index| index.list(&query));
    let spelling = Spelling::of(input.encoding_type.as_ref());
    let (contents, common_prefixes) = spelling.split(&page.entries, true);
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(spelling.spell(&query.prefix)),
        delimiter: input.delimiter.map(|delimiter| spelling.spell(&delimiter)),
        marker: Some(spelling.spell(input.marker.as_deref().unwrap_or_default())),
        max_keys: Some(max),
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next.as_ref().map(|next| spelling.spell(place(next))),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}

pub(super) fn versions(
    directory: &Directory,
    input: ListObjectVersionsInput,
) -> Answer<ListObjectVersionsOutput> {
    let max = page_size(input.max_keys)?;
    let after = match (input.key_marker.clone(), &input.version_id_marker) {
        (Some(key), Some(id)) => Some(Cursor::Version(key, parse_version_id(id)?)),
        (Some(key), None) => Some(behind(key, input.delimiter.as_deref())),
        (None, _) => None,
    };
    let query = query(input.prefix.as_deref(), input.delimiter.as_deref(), after, max);
    let page = directory.list(&input.bucket, |index| index.list_versions(&query));
    let spelling = Spelling::of(input.encoding_type.as_ref());
    let mut output = ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(spelling.spell(&query.prefix)),
        delimiter: input.delimiter.map(|delimiter| spelling.spell(&delimiter)),
        key_marker: input.key_marker.map(|key| spelling.spell(&key)),
        version_id_marker: input.version_id_marker,
        max_keys: Some(max),
        is_truncated: Some(page.next.is_some()),
        next_key_marker: page.next.as_ref().map(|next| spelling.spell(place(next))),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    if let Some(Cursor::Version(_, seq)) = page.next {
        output.next_version_id_marker = Some(version_id(seq));
    }
    spelling.fill(&page.entries, &mut output);
    Ok(S3Response::new(output))
}

pub(super) fn buckets(directory: &Directory) -> S3Response<ListBucketsOutput> {
    let buckets = directory.buckets().into_iter().map(|(name, created)| Bucket {
        name: Some(name),
        creation_date: timestamp(created),
        ..Default::default()
    });
    S3Response::new(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        owner: owner(),
        ..Default::default()
    })
}

pub(super) async fn create_bucket(
    directory: &Arc<Directory>,
    input: CreateBucketInput,
) -> Answer<CreateBucketOutput> {
    let (directory, bucket) = (Arc::clone(directory), input.bucket.clone());
    blocking(move || directory.create_bucket(&bucket)).await?.map_err(failed)?;
    let location = Some(format!("/{}", input.bucket));
    Ok(S3Response::new(CreateBucketOutput { location }))
}

/// The bucket is wherever the client thinks it is; for S3, `us-east-1` is the
/// place without a name.
pub(super) fn location(region: Option<Region>) -> GetBucketLocationOutput {
    let region = region.filter(|region| region.as_str() != "us-east-1");
    GetBucketLocationOutput {
        location_constraint: region
            .map(|region| BucketLocationConstraint::from(region.as_str().to_owned())),
    }
}

impl Spelling {
    fn of(encoding: Option<&EncodingType>) -> Self {
        Self { encoded: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL) }
    }

    fn spell(self, text: &str) -> String {
        if self.encoded { utf8_percent_encode(text, URL).to_string() } else { text.to_owned() }
    }

    fn split(self, entries: &[Entry], owned: bool) -> (Vec<Object>, Vec<CommonPrefix>) {
        let mut objects = Vec::new();
        let mut prefixes = Vec::new();
        for entry in entries {
            match entry {
                Entry::Version { key, version, .. } => objects.push(Object {
                    key: Some(self.spell(key)),
                    e_tag: etag(version),
                    size: length(version.size),
                    last_modified: timestamp(version.modified),
                    storage_class: Some(ObjectStorageClass::from_static("STANDARD")),
                    owner: owner().filter(|_| owned),
                    ..Default::default()
                }),
                Entry::Prefix(prefix) => prefixes.push(self.prefix(prefix)),
            }
        }
        (objects, prefixes)
    }

    fn fill(self, entries: &[Entry], output: &mut ListObjectVersionsOutput) {
        let mut versions = Vec::new();
        let mut markers = Vec::new();
        let mut prefixes = Vec::new();
        for entry in entries {
            match entry {
                Entry::Version { key, version, newest } if version.marker => {
                    markers.push(self.marker(key, version, *newest));
                }
                Entry::Version { key, version, newest } => {
                    versions.push(self.version(key, version, *newest));
                }
                Entry::Prefix(prefix) => prefixes.push(self.prefix(prefix)),
            }
        }
        output.versions = Some(versions);
        output.delete_markers = Some(markers);
        output.common_prefixes = Some(prefixes);
    }

    fn version(self, key: &str, version: &Version, newest: bool) -> ObjectVersion {
        ObjectVersion {
            key: Some(self.spell(key)),
            version_id: Some(version_id(version.seq)),
            is_latest: Some(newest),
            e_tag: etag(version),
            size: length(version.size),
            last_modified: timestamp(version.modified),
            storage_class: Some(ObjectVersionStorageClass::from_static("STANDARD")),
            owner: owner(),
            ..Default::default()
        }
    }

    fn marker(self, key: &str, version: &Version, newest: bool) -> DeleteMarkerEntry {
        DeleteMarkerEntry {
            key: Some(self.spell(key)),
            version_id: Some(version_id(version.seq)),
            is_latest: Some(newest),
            last_modified: timestamp(version.modified),
            owner: owner(),
        }
    }

    fn prefix(self, prefix: &str) -> CommonPrefix {
        CommonPrefix { prefix: Some(self.spell(prefix)) }
    }
}

fn query(prefix: Option<&str>, delimiter: Option<&str>, after: Option<Cursor>, max: i32) -> Query {
    Query {
        prefix: prefix.unwrap_or_default().to_owned(),
        delimiter: delimiter.filter(|delimiter| !delimiter.is_empty()).map(str::to_owned),
        after,
        max: usize::try_from(max).unwrap_or_default(),
    }
}

fn page_size(asked: Option<i32>) -> S3Result<i32> {
    match asked {
        Some(negative) if negative < 0 => {
            Err(s3_error!(InvalidArgument, "The number of keys must not be negative"))
        }
        asked => Ok(asked.unwrap_or(PAGE_MAX).min(PAGE_MAX)),
    }
}

/// The place behind a marker, which may be a common prefix of the last page.
fn behind(marker: String, delimiter: Option<&str>) -> Cursor {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
    match delimiter {
        Some(delimiter) if marker.ends_with(delimiter) => Cursor::Prefix(marker),
        _ => Cursor::Key(marker),
    }
}

fn place(cursor: &Cursor) -> &str {
    let (Cursor::Key(place) | Cursor::Version(place, _) | Cursor::Prefix(place)) = cursor;
    place
}

fn token(next: &Cursor) -> String {
    let kind = if matches!(next, Cursor::Prefix(_)) { 'p' } else { 'k' };
    BASE64URL_NOPAD.encode(format!("{kind}{}", place(next)).as_bytes())
}

fn parse_token(token: &str) -> S3Result<Cursor> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    match (text.strip_prefix('k'), text.strip_prefix('p')) {
        (Some(key), _) => Ok(Cursor::Key(key.to_owned())),
        (_, Some(prefix)) => Ok(Cursor::Prefix(prefix.to_owned())),
        _ => Err(s3_error!(InvalidArgument, "The continuation token provided is incorrect")),
    }
}

fn owner() -> Option<Owner> {
    Some(Owner { display_name: Some("awning".to_owned()), id: Some("awning".to_owned()) })
}
