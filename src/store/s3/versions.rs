//! Listing the versions of keys. Stores without versions answer 501, which is
//! [`StoreErrorKind::Unsupported`].

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;

use super::super::versions::in_order;
use super::super::{
    LIST_PAGE_KEYS_MAX, ListedVersion, Operation, StoreError, StoreErrorKind, VersionCursor,
    VersionPage,
};
use super::object::system_time;
use super::{EMPTY_PAGES_MAX, S3Store, failure};

impl S3Store {
    /// One page of versions behind `after`.
    pub(super) async fn version_page(
        &self,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StoreError> {
        let mut after = after.cloned();
        for _ in 0..EMPTY_PAGES_MAX {
            let (key, version) = match after {
                Some(VersionCursor { key, version }) => (Some(key), version),
                None => (None, None),
            };
            let sent = self
                .client
                .list_object_versions()
                .bucket(&self.bucket)
                .prefix(prefix)
                .max_keys(LIST_PAGE_KEYS_MAX as i32)
                .set_key_marker(key)
                .set_version_id_marker(version)
                .send()
                .await;
            let output = sent.map_err(|error| self.not_listed(Operation::List, prefix, error))?;
            let page = page(prefix, output)?;
            if !page.versions.is_empty() || page.next.is_none() {
                return Ok(page);
            }
            after = page.next;
        }
        Err(endless(prefix))
    }

    /// The failure of a listing that not every store knows.
    pub(super) fn not_listed<E>(
        &self,
        operation: Operation,
        prefix: &str,
        error: SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        SdkError<E, HttpResponse>: failure::Failed,
    {
        let unknown = failure::status(&error) == Some(501);
        let error = self.failed(operation, prefix, error);
        if unknown { error.of_kind(StoreErrorKind::Unsupported) } else { error }
    }
}

fn page(prefix: &str, output: ListObjectVersionsOutput) -> Result<VersionPage, StoreError> {
    let more = output.is_truncated.unwrap_or_default();
    let next = output.next_key_marker.filter(|_| more);
    let next =
        next.map(|key| VersionCursor { key, version: output.next_version_id_marker.clone() });
    if more && next.is_none() {
        return Err(endless(prefix));
    }
    let stored = output.versions.unwrap_or_default().into_iter().filter_map(|version| {
        Some(ListedVersion {
            key: version.key?,
            version: version.version_id,
            size: version.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            etag: version.e_tag,
            last_modified: version.last_modified.as_ref().and_then(system_time),
            newest: version.is_latest.unwrap_or_default(),
            marker: false,
        })
    });
    let markers = output.delete_markers.unwrap_or_default().into_iter().filter_map(|marker| {
        Some(ListedVersion {
            key: marker.key?,
            version: marker.version_id,
            size: 0,
            etag: None,
            last_modified: marker.last_modified.as_ref().and_then(system_time),
            newest: marker.is_latest.unwrap_or_default(),
            marker: true,
        })
    });
    let mut versions: Vec<_> = stored.chain(markers).collect();
    in_order(&mut versions);
    Ok(VersionPage { versions, next })
}

/// A listing that does not say where it goes on must not pass for a whole one.
fn endless(prefix: &str) -> StoreError {
    let why = "the store says that more versions follow, and not where";
    StoreError::new(Operation::List, prefix, StoreErrorKind::Unavailable, why)
}
