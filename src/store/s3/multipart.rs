//! Objects that arrive in parts.
//!
//! `CompleteMultipartUpload` may answer 200 and then send an error; the SDK
//! reads that as the error it is, and tries again. Whether an upload that has
//! vanished was completed before is for the caller to find out.

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{self, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use data_encoding::BASE64;
use md5::{Digest as _, Md5};

use super::super::{
    ObjectHeaders, Operation, PARTS_MAX, Part, PutReceipt, StoreError, StoreErrorKind,
    UPLOADS_PAGE_MAX, Unfinished, UploadPage,
};
use super::{S3Store, object, retry};

/// Most pages of parts that are read: a page has 1,000, and an upload 10,000.
const PARTS_PAGES_MAX: usize = 16;

impl S3Store {
    pub(super) async fn begin(
        &self,
        key: &str,
        headers: &ObjectHeaders,
    ) -> Result<String, StoreError> {
        let sent = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .set_content_type(headers.content_type.clone())
            .set_cache_control(headers.cache_control.clone())
            .set_content_encoding(headers.content_encoding.clone())
            .set_content_disposition(headers.content_disposition.clone())
            .set_content_language(headers.content_language.clone())
            .set_metadata(Some(headers.meta.clone().into_iter().collect()))
            .send()
            .await;
        let output = sent.map_err(|error| self.failed(Operation::Begin, key, error))?;
        let why = "the store gave the upload no name";
        output
            .upload_id
            .filter(|id| !id.is_empty())
            .ok_or_else(|| StoreError::new(Operation::Begin, key, StoreErrorKind::Unavailable, why))
    }

    pub(super) async fn write_part(
        &self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        let md5: [u8; 16] = Md5::digest(&body).into();
        let size = body.len() as u64;
        let settings = self.patience.settings(size);
        let sent = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .part_number(part_number(number))
            .content_md5(BASE64.encode(&md5))
            .body(ByteStream::from(body))
            .customize()
            .config_override(settings.retry_classifier(retry::GiveWay))
            .send()
            .await;
        let output = sent.map_err(|error| self.failed(Operation::PutPart, key, error))?;
        let sse = output.server_side_encryption();
        let etag = output.e_tag().filter(|etag| !etag.is_empty());
        object::check_md5(Operation::PutPart, key, etag, sse, md5)?;
        // Without it the part could not be named when the upload is completed.
        let why = "the store gave the part no validator";
        let etag = etag.ok_or_else(|| {
            StoreError::new(Operation::PutPart, key, StoreErrorKind::Unavailable, why)
        })?;
        Ok(Part { number, size, etag: etag.to_owned() })
    }

    pub(super) async fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, StoreError> {
        let mut parts = Vec::new();
        let mut marker = None;
        for _ in 0..PARTS_PAGES_MAX {
            let sent = self
                .client
                .list_parts()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(upload)
                .set_part_number_marker(marker)
                .send()
                .await;
            let output = sent.map_err(|error| self.failed(Operation::ListParts, key, error))?;
            parts.extend(output.parts.unwrap_or_default().into_iter().filter_map(part));
            marker = output.next_part_number_marker;
            if !output.is_truncated.unwrap_or_default() || marker.is_none() {
                return Ok(parts);
            }
        }
        let endless = "the store lists more parts than an upload can have";
        Err(StoreError::new(Operation::ListParts, key, StoreErrorKind::Unavailable, endless))
    }

    pub(super) async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
    ) -> Result<PutReceipt, StoreError> {
        let completed = parts.iter().map(|part| {
            let numbered = CompletedPart::builder().part_number(part_number(part.number));
            numbered.e_tag(&part.etag).build()
        });
        let completed =
            CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build();
        let sent = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(completed)
            .send()
            .await;
        let output = sent.map_err(|error| self.failed(Operation::Complete, key, error))?;
        Ok(PutReceipt { etag: output.e_tag, version: output.version_id })
    }

    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<(), StoreError> {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key);
        match abort.upload_id(upload).send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.failed(Operation::Abort, key, error) {
                error if error.kind() == StoreErrorKind::NotFound => Ok(()),
                error => Err(error),
            },
        }
    }

    pub(super) async fn unfinished(
        &self,
        prefix: &str,
        after: Option<&Unfinished>,
    ) -> Result<UploadPage, StoreError> {
        let sent = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(prefix)
            .max_uploads(UPLOADS_PAGE_MAX as i32)
            .set_key_marker(after.map(|after| after.key.clone()))
            .set_upload_id_marker(after.map(|after| after.upload.clone()))
            .send()
            .await;
        let output =
            sent.map_err(|error| self.not_listed(Operation::ListUploads, prefix, error))?;
        Ok(page(output))
    }
}

fn page(output: ListMultipartUploadsOutput) -> UploadPage {
    let truncated = output.is_truncated.unwrap_or_default();
    let uploads = output.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
        let begun = upload.initiated.as_ref().and_then(object::system_time);
        Some(Unfinished { key: upload.key?, upload: upload.upload_id?, begun })
    });
    let uploads: Vec<_> = uploads.collect();
    // Without an upload to go on from, a caller would ask for the same page for ever.
    UploadPage { more: truncated && !uploads.is_empty(), uploads }
}

fn part(part: types::Part) -> Option<Part> {
    let number = part.part_number.and_then(|number| u32::try_from(number).ok())?;
    let size = part.size.and_then(|size| u64::try_from(size).ok())?;
    Some(Part { number, size, etag: part.e_tag? })
}

/// What no store takes stays what no store takes.
fn part_number(number: u32) -> i32 {
    i32::try_from(number.min(PARTS_MAX + 1)).unwrap_or(i32::MAX)
}
