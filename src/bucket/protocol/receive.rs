//! Bodies on their way in: to disk in batches, proven before they count.
//!
//! Content-MD5 and the `x-amz-checksum-*` fields are verified here; the core
//! verifies `x-amz-content-sha256` and signed chunks as the bytes pass. At most
//! one batch of a body is in memory.

use std::sync::Arc;

use data_encoding::BASE64;
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};

use super::super::directory::Directory;
use super::super::record::Draft;
use super::vocabulary::{blocking, failed};

/// Bytes that are collected before they are written.
const BATCH_BYTES: usize = 256 * 1024;

/// Most bytes of one upload (S3's and B2's limit of a single PUT).
const BODY_BYTES_MAX: u64 = 5_000_000_000;

const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// What a client says its bytes amount to.
#[derive(Default)]
pub(super) struct Proofs {
    md5: Option<[u8; 16]>,
    checksums: HeaderMap,
    trailer: Option<TrailingHeaders>,
    hasher: ChecksumHasher,
}

impl Proofs {
    /// Reads them from the header fields of a request.
    pub(super) fn of(headers: &HeaderMap, trailer: Option<TrailingHeaders>) -> S3Result<Self> {
        let mut proofs = Self { trailer, ..Self::default() };
        if let Some(md5) = headers.get("content-md5") {
            let decoded = BASE64.decode(md5.as_bytes()).ok();
            let md5 = decoded.and_then(|bytes| bytes.try_into().ok());
            let invalid = || s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid.");
            proofs.md5 = Some(md5.ok_or_else(invalid)?);
        }
        for (name, value) in headers {
            if name.as_str().starts_with(CHECKSUM_PREFIX) {
                proofs.expect(name.as_str());
                proofs.checksums.insert(name.clone(), value.clone());
            }
        }
        for name in headers.get_all("x-amz-trailer") {
            proofs.expect(&String::from_utf8_lossy(name.as_bytes()).to_ascii_lowercase());
        }
        Ok(proofs)
    }

    fn expect(&mut self, name: &str) {
        match name.trim().strip_prefix(CHECKSUM_PREFIX) {
            Some("crc32") => self.hasher.crc32 = Some(Default::default()),
            Some("crc32c") => self.hasher.crc32c = Some(Default::default()),
            Some("crc64nvme") => self.hasher.crc64nvme = Some(Default::default()),
            Some("sha1") => self.hasher.sha1 = Some(Default::default()),
            Some("sha256") => self.hasher.sha256 = Some(Default::default()),
            _ => {}
        }
    }

    fn verify(mut self, draft: &Draft) -> S3Result {
        let mismatch = |name| s3_error!(BadDigest, "The {name} you specified did not match.");
        if self.md5.is_some_and(|md5| md5 != draft.md5()) {
            return Err(mismatch("Content-MD5"));
        }
        if let Some(trailer) = self.trailer.and_then(|trailer| trailer.take()) {
            self.checksums.extend(trailer);
        }
        let found = self.hasher.finalize();
        for (name, found) in by_name(&found) {
            // A checksum that was announced must also arrive.
            let wanted = self.checksums.get(format!("{CHECKSUM_PREFIX}{name}"));
            if found.is_some_and(|found| wanted.is_none_or(|wanted| wanted != found)) {
                return Err(mismatch(name));
            }
        }
        Ok(())
    }
}

/// Writes a body to disk and proves it.
pub(super) async fn receive(
    directory: &Arc<Directory>,
    body: Option<StreamingBlob>,
    mut proofs: Proofs,
) -> S3Result<Draft> {
    let mut draft = None;
    let mut batch = Vec::new();
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(broke_off)?;
            proofs.hasher.update(&chunk);
            batch.extend_from_slice(&chunk);
            if batch.len() >= BATCH_BYTES {
                draft = Some(append(directory, draft, std::mem::take(&mut batch)).await?);
            }
        }
    }
    let draft = append(directory, draft, batch).await?;
    proofs.verify(&draft)?;
    Ok(draft)
}

async fn append(
    directory: &Arc<Directory>,
    draft: Option<Draft>,
    batch: Vec<u8>,
) -> S3Result<Draft> {
    let directory = Arc::clone(directory);
    let appended = blocking(move || {
        let mut draft = draft.map_or_else(|| directory.draft(), Ok)?;
        draft.append(&batch)?;
        Ok(draft)
    });
    let draft = appended.await?.map_err(failed)?;
    if draft.size() > BODY_BYTES_MAX {
        return Err(s3_error!(EntityTooLarge, "An upload has at most {BODY_BYTES_MAX} bytes"));
    }
    Ok(draft)
}

fn by_name(checksum: &Checksum) -> [(&'static str, Option<&str>); 5] {
    [
        ("crc32", checksum.checksum_crc32.as_deref()),
        ("crc32c", checksum.checksum_crc32c.as_deref()),
        ("crc64nvme", checksum.checksum_crc64nvme.as_deref()),
        ("sha1", checksum.checksum_sha1.as_deref()),
        ("sha256", checksum.checksum_sha256.as_deref()),
    ]
}

/// What it means that a body ended early. The core keeps the types of these
/// errors to itself, so only their text can tell them apart.
fn broke_off(error: StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let mut mismatch = S3Error::with_message(
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        );
        mismatch.set_status_code(StatusCode::BAD_REQUEST);
        mismatch
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "Signature validation failed")
    } else {
        s3_error!(IncompleteBody, "The request body ended before its announced length")
    }
}
