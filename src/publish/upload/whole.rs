//! An object that is sent in one piece, from memory.

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};

use super::super::base;
use super::super::error::PublishError;
use super::body::{Body, body};
use super::outcome::Failure;
use super::{Put, Upload};
use crate::asset::Digest;
use crate::store::{PutReceipt, StoreErrorKind};

impl Upload<'_> {
    pub(super) async fn send_whole(&self, put: &Put<'_>) -> Result<(), Failure> {
        let _room = self.budget.take(put.size).await;
        if self.calls.is_stopped() {
            return Err(Failure::Stopped);
        }
        let Body { bytes, digest, headers } = body(self.plan, put).await.map_err(Failure::Fatal)?;
        let key = self.layout.object(put.key);
        let send = || self.store.put_now(&key, bytes.clone(), &headers);
        let receipt = self.calls.make(&key, put.size, send).await?;
        // Stores that encrypt have other validators: then the object is read back.
        if has_validator(&receipt, &bytes) {
            Ok(())
        } else {
            self.read_back(put, key, digest).await
        }
    }

    async fn read_back(&self, put: &Put<'_>, key: String, digest: Digest) -> Result<(), Failure> {
        let bytes_max = usize::try_from(put.size).unwrap_or(usize::MAX);
        match base::read(self.store, &key, bytes_max).await {
            Ok(Some(stored)) if Digest::of(&stored) == digest => Ok(()),
            Err(error) if error.kind() != StoreErrorKind::Rejected => {
                Err(Failure::Store(key, error))
            }
            _ => Err(Failure::Fatal(PublishError::Damaged { key })),
        }
    }
}

/// Believes a receipt whose validator is the MD5 of what was sent.
fn has_validator(receipt: &PutReceipt, sent: &[u8]) -> bool {
    let md5 = || HEXLOWER.encode(&Md5::digest(sent));
    receipt.etag.as_deref().is_some_and(|etag| etag.trim_matches('"') == md5())
}
