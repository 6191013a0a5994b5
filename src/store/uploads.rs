//! Uploads in parts to a bucket in memory, with the rules of S3.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};

use super::{
    ObjectHeaders, Operation, PART_BYTES_MIN, PARTS_MAX, Part, StoreError, StoreErrorKind,
    UPLOADS_PAGE_MAX, Unfinished, UploadPage,
};

/// Uploads that are under way, by key and name: in the order they are listed.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    open: BTreeMap<(String, String), Upload>,
    begun: u64,
}

#[derive(Debug)]
struct Upload {
    headers: ObjectHeaders,
    begun: SystemTime,
    parts: BTreeMap<u32, (Part, Bytes)>,
}

/// What the parts of an upload come to.
pub(super) struct Joined {
    pub(super) body: Bytes,
    pub(super) headers: ObjectHeaders,
    /// The MD5 of the parts' MD5s, and their number.
    pub(super) etag: String,
}

impl Uploads {
    pub(super) fn begin(&mut self, key: &str, headers: &ObjectHeaders, now: SystemTime) -> String {
        self.begun += 1;
        let name = format!("u{:08}", self.begun);
        let upload = Upload { headers: headers.clone(), begun: now, parts: BTreeMap::new() };
        self.open.insert((key.to_owned(), name.clone()), upload);
        name
    }

    pub(super) fn put_part(
        &mut self,
        key: &str,
        upload: &str,
        number: u32,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        let open = self.open.get_mut(&named(key, upload));
        let open = open.ok_or_else(|| no_such_upload(Operation::PutPart, key))?;
        if !(1..=PARTS_MAX).contains(&number) {
            let why = "the number of the part is too large";
            return Err(StoreError::new(Operation::PutPart, key, StoreErrorKind::Rejected, why));
        }
        let etag = format!("\"{}\"", HEXLOWER.encode(&Md5::digest(&body)));
        let part = Part { number, size: body.len() as u64, etag };
        open.parts.insert(number, (part.clone(), body));
        Ok(part)
    }

    pub(super) fn parts(&self, key: &str, upload: &str) -> Result<Vec<Part>, StoreError> {
        let open = self.open.get(&named(key, upload));
        let open = open.ok_or_else(|| no_such_upload(Operation::ListParts, key))?;
        Ok(open.parts.values().map(|(part, _)| part.clone()).collect())
    }

    /// Joins the chosen parts and forgets the upload.
    pub(super) fn complete(
        &mut self,
        key: &str,
        upload: &str,
        chosen: &[Part],
    ) -> Result<Joined, StoreError> {
        let open = self.open.get(&named(key, upload));
        let open = open.ok_or_else(|| no_such_upload(Operation::Complete, key))?;
        let refuse = |kind, why: &str| StoreError::new(Operation::Complete, key, kind, why);
        if chosen.is_empty() || !chosen.is_sorted_by(|one, other| one.number < other.number) {
            return Err(refuse(StoreErrorKind::Rejected, "the parts are not in ascending order"));
        }
        let (mut body, mut md5s) = (BytesMut::new(), Md5::new());
        for (at, part) in chosen.iter().enumerate() {
            let found = open.parts.get(&part.number).filter(|(found, _)| found.etag == part.etag);
            let (_, bytes) = found.ok_or_else(|| {
                refuse(StoreErrorKind::PartMissing, "a part was not found, or is another")
            })?;
            if (bytes.len() as u64) < PART_BYTES_MIN && at + 1 < chosen.len() {
                return Err(refuse(StoreErrorKind::Rejected, "a part is too small"));
            }
            body.extend_from_slice(bytes);
            md5s.update(Md5::digest(bytes));
        }
        let etag = format!("\"{}-{}\"", HEXLOWER.encode(&md5s.finalize()), chosen.len());
        let joined = Joined { body: body.freeze(), headers: open.headers.clone(), etag };
        self.abort(key, upload);
        Ok(joined)
    }

    pub(super) fn abort(&mut self, key: &str, upload: &str) {
        self.open.remove(&named(key, upload));
    }

    pub(super) fn page(&self, prefix: &str, after: Option<&Unfinished>) -> UploadPage {
        let after = after.map(|after| named(&after.key, &after.upload));
        let mut listed = self
            .open
            .iter()
            .filter(|(name, _)| name.0.starts_with(prefix))
            .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
            .map(|((key, upload), open)| Unfinished {
                key: key.clone(),
                upload: upload.clone(),
                begun: Some(open.begun),
            });
        let uploads: Vec<_> = listed.by_ref().take(UPLOADS_PAGE_MAX).collect();
        UploadPage { uploads, more: listed.next().is_some() }
    }
}

fn named(key: &str, upload: &str) -> (String, String) {
    (key.to_owned(), upload.to_owned())
}

fn no_such_upload(operation: Operation, key: &str) -> StoreError {
    StoreError::new(operation, key, StoreErrorKind::NotFound, "no such upload")
}
