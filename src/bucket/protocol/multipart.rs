//! Multipart uploads.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::super::directory::{Directory, from_millis, millis};
use super::super::uploads::{PARTS_MAX, Purpose, UPLOADS_MAX, Upload};
use super::Answer;
use super::receive::{Proofs, receive};
use super::vocabulary::{
    blocking, etag, kept_headers, length, refuse_unsupported, timestamp, upload_failed, version_id,
};

/// Most lines of a page (S3's limit).
const PAGE_MAX: i32 = 1000;

pub(super) async fn create(
    directory: &Arc<Directory>,
    mut req: S3Request<CreateMultipartUploadInput>,
) -> Answer<CreateMultipartUploadOutput> {
    refuse_unsupported(&req.headers)?;
    let headers = kept_headers!(req.input)?;
    let (bucket, key) = (req.input.bucket, req.input.key);
    let initiated = millis(directory.now());
    let purpose = Purpose { bucket: bucket.clone(), key: key.clone(), initiated, headers };
    let directory = Arc::clone(directory);
    let begun = blocking(move || directory.uploads().begin(&directory, purpose)).await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(bucket),
        key: Some(key),
        upload_id: Some(upload_id(begun.map_err(upload_failed)?)),
        ..Default::default()
    }))
}

pub(super) async fn upload_part(
    directory: &Arc<Directory>,
    req: S3Request<UploadPartInput>,
) -> Answer<UploadPartOutput> {
    let part = part_number(req.input.part_number)?;
    let (number, _) = find(directory, &req.input.bucket, &req.input.key, &req.input.upload_id)?;
    let proofs = Proofs::of(&req.headers, req.trailing_headers)?;
    let draft = receive(directory, req.input.body, proofs).await?;
    let directory = Arc::clone(directory);
    let stored =
        blocking(move || directory.uploads().put_part(&directory, number, part, draft)).await?;
    let stored = stored.map_err(upload_failed)?;
    let e_tag = Some(ETag::Strong(stored.etag));
    Ok(S3Response::new(UploadPartOutput { e_tag, ..Default::default() }))
}

pub(super) async fn complete(
    directory: &Arc<Directory>,
    req: S3Request<CompleteMultipartUploadInput>,
) -> Answer<CompleteMultipartUploadOutput> {
    refuse_unsupported(&req.headers)?;
    let (bucket, key) = (req.input.bucket, req.input.key);
    let (number, _) = find(directory, &bucket, &key, &req.input.upload_id)?;
    let parts = req.input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let chosen: Vec<_> = parts.into_iter().map(chosen).collect::<S3Result<_>>()?;
    let directory = Arc::clone(directory);
    let completed =
        blocking(move || directory.uploads().complete(&directory, number, &chosen)).await?;
    let version = completed.map_err(upload_failed)?;
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{bucket}/{key}")),
        bucket: Some(bucket),
        key: Some(key),
        e_tag: etag(&version),
        version_id: Some(version_id(version.seq)),
        ..Default::default()
    }))
}

pub(super) async fn abort(
    directory: &Arc<Directory>,
    input: AbortMultipartUploadInput,
) -> Answer<AbortMultipartUploadOutput> {
    let (number, _) = find(directory, &input.bucket, &input.key, &input.upload_id)?;
    let directory = Arc::clone(directory);
    blocking(move || directory.uploads().abort(number)).await?.map_err(upload_failed)?;
    Ok(S3Response::with_status(Default::default(), http::StatusCode::NO_CONTENT))
}

pub(super) fn list_parts(directory: &Directory, input: ListPartsInput) -> Answer<ListPartsOutput> {
    let (_, upload) = find(directory, &input.bucket, &input.key, &input.upload_id)?;
    let max = input.max_parts.unwrap_or(PAGE_MAX).clamp(0, PAGE_MAX);
    let marker = input.part_number_marker.unwrap_or_default();
    let mut rest = upload.parts.iter().filter(|(number, _)| i32::from(**number) > marker);
    let page = rest.by_ref().take(usize::try_from(max).unwrap_or_default());
    let parts: Vec<_> = page
        .map(|(number, part)| Part {
            part_number: Some(i32::from(*number)),
            e_tag: Some(ETag::Strong(part.etag.clone())),
            size: length(part.size),
            last_modified: timestamp(part.modified()),
            ..Default::default()
        })
        .collect();
    let truncated = rest.next().is_some();
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(max),
        part_number_marker: Some(marker),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        is_truncated: Some(truncated),
        parts: Some(parts),
        ..Default::default()
    }))
}

/// Lists all uploads behind the markers at once: there are never more than a
/// page holds.
pub(super) fn list_uploads(
    directory: &Directory,
    input: ListMultipartUploadsInput,
) -> Answer<ListMultipartUploadsOutput> {
    const { assert!(UPLOADS_MAX <= 1000) };
    let prefix = input.prefix.unwrap_or_default();
    let of_bucket = directory.uploads().of_bucket(&input.bucket);
    // A key without an upload stands for all uploads of that key.
    let after = input.key_marker.as_deref().map(|key| {
        let upload = input.upload_id_marker.as_deref();
        (key, upload.map_or(u64::MAX, |id| u64::from_str_radix(id, 16).unwrap_or(u64::MAX)))
    });
    let uploads = of_bucket
        .into_iter()
        .filter(|(_, purpose)| purpose.key.starts_with(&prefix))
        .filter(|(number, purpose)| after.is_none_or(|after| (&*purpose.key, *number) > after));
    let uploads: Vec<_> = uploads
        .map(|(number, purpose)| MultipartUpload {
            key: Some(purpose.key),
            upload_id: Some(upload_id(number)),
            initiated: timestamp(from_millis(purpose.initiated)),
            ..Default::default()
        })
        .collect();
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(prefix),
        is_truncated: Some(false),
        uploads: Some(uploads),
        ..Default::default()
    }))
}

/// Finds an upload by its name, which must be of this key.
fn find(directory: &Directory, bucket: &str, key: &str, id: &str) -> S3Result<(u64, Upload)> {
    let number = u64::from_str_radix(id, 16).ok();
    let upload = number.and_then(|number| Some((number, directory.uploads().get(number)?)));
    upload
        .filter(|(_, upload)| upload.purpose.bucket == bucket && upload.purpose.key == key)
        .ok_or_else(|| s3_error!(NoSuchUpload, "The specified multipart upload does not exist."))
}

fn chosen(part: CompletedPart) -> S3Result<(u16, String)> {
    let number = part_number(part.part_number.unwrap_or_default())?;
    Ok((number, part.e_tag.map(ETag::into_value).unwrap_or_default()))
}

fn part_number(number: i32) -> S3Result<u16> {
    let number = u16::try_from(number).ok().filter(|number| (1..=PARTS_MAX).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "Part numbers are 1 to {PARTS_MAX}"))
}

fn upload_id(number: u64) -> String {
    format!("{number:016x}")
}
