//! An object that is sent in one piece, from memory.

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
        let Body { bytes, digest, headers } =
            body(self.plan, put.path).await.map_err(Failure::Fatal)?;
        let key = self.layout.object(put.key);
        let send = || self.store.put_now(&key, bytes.clone(), &headers);
        let receipt = self.calls.make(&key, put.size, send).await?;
        self.check(put, key, &receipt, digest).await
    }

    /// Believes a receipt whose validator is the MD5 of what was sent. Stores
    /// that encrypt have other validators: then the object is read back.
    async fn check(
        &self,
        put: &Put<'_>,
        key: String,
        receipt: &PutReceipt,
        digest: Digest,
    ) -> Result<(), Failure> {
        let validator = receipt.etag.as_deref().map(|etag| etag.trim_matches('"'));
        if validator.is_some() && validator == self.plan.objects.md5(put.path) {
            return Ok(());
        }
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
