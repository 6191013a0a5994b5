//! A bucket in a map: versions, hide markers and validators as B2 has them.
//!
//! It honours the whole contract, and nothing outlives the value. It takes
//! the time from a [`Clock`], so tests decide when an object was stored.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use md5::{Digest as _, Md5};

use super::uploads::{Joined, Uploads};
use super::{
    ByteRange, GetOutcome, GetRequest, LIST_PAGE_KEYS_MAX, ListPage, Listed, ListedVersion, Object,
    ObjectHead, ObjectHeaders, ObjectRead, ObjectWrite, Operation, Part, PutCondition, PutReceipt,
    StoreError, StoreErrorKind, Unfinished, UploadPage, VersionCursor, VersionPage,
};
use crate::clock::Clock;

/// Bytes of a body that are handed over at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A bucket in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Versions of each key, oldest first.
    keys: BTreeMap<String, Vec<Version>>,
    versions_made: u64,
    uploads: Uploads,
}

#[derive(Clone, Debug)]
struct Version {
    id: String,
    made: SystemTime,
    /// `None` is a hide marker.
    object: Option<Stored>,
}

#[derive(Clone, Debug)]
struct Stored {
    head: ObjectHead,
    body: Bytes,
}

impl MemoryStore {
    /// An empty bucket that stamps its objects with the time of `clock`.
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, operation: Operation, key: &str) -> Result<Stored, StoreError> {
        let state = self.state();
        let newest = state.keys.get(key).and_then(|versions| versions.last());
        newest
            .and_then(|version| version.object.clone())
            .ok_or_else(|| StoreError::new(operation, key, StoreErrorKind::NotFound, "no such key"))
    }

    fn read(&self, key: &str, request: &GetRequest) -> Result<GetOutcome, StoreError> {
        let refuse = |kind, why: &str| StoreError::new(Operation::Get, key, kind, why);
        let Stored { head, body } = self.find(Operation::Get, key)?;
        if request.if_match.is_some() && request.if_match != head.etag {
            return Err(refuse(StoreErrorKind::Precondition, "the validator is another"));
        }
        if request.if_none_match.is_some() && request.if_none_match == head.etag {
            return Ok(GetOutcome::NotModified);
        }
        let part = match request.range {
            None => None,
            Some(range) => Some(
                resolve(range, head.size)
                    .ok_or_else(|| refuse(StoreErrorKind::Rejected, "no byte is in the range"))?,
            ),
        };
        let body = match part {
            None => body,
            // Both offsets are below the length of a body that is in memory.
            Some((first, last)) => body.slice(first as usize..=last as usize),
        };
        let chunks: Vec<_> = (0..body.len())
            .step_by(CHUNK_BYTES)
            .map(|at| Ok(body.slice(at..body.len().min(at + CHUNK_BYTES))))
            .collect();
        Ok(GetOutcome::Found(Object { head, body: stream::iter(chunks).boxed(), part }))
    }

    fn write(&self, key: &str, body: Bytes, headers: &ObjectHeaders) -> PutReceipt {
        let etag = format!("\"{}\"", HEXLOWER.encode(&Md5::digest(&body)));
        self.state().store(key, Joined { body, headers: headers.clone(), etag }, self.clock.now())
    }

    fn write_if(
        &self,
        key: &str,
        body: Bytes,
        headers: &ObjectHeaders,
        condition: &PutCondition,
    ) -> Result<PutReceipt, StoreError> {
        let etag = format!("\"{}\"", HEXLOWER.encode(&Md5::digest(&body)));
        let mut state = self.state();
        let newest = state.keys.get(key).and_then(|versions| versions.last()?.object.as_ref());
        let holds = match condition {
            PutCondition::Absent => newest.is_none(),
            PutCondition::Unchanged(etag) => {
                newest.is_some_and(|newest| newest.head.etag.as_ref() == Some(etag))
            }
        };
        if !holds {
            let (kind, why) = (StoreErrorKind::Precondition, "the object is another");
            return Err(StoreError::new(Operation::Put, key, kind, why));
        }
        Ok(state.store(key, Joined { body, headers: headers.clone(), etag }, self.clock.now()))
    }

    fn complete(&self, key: &str, upload: &str, parts: &[Part]) -> Result<PutReceipt, StoreError> {
        let mut state = self.state();
        let joined = state.uploads.complete(key, upload, parts)?;
        Ok(state.store(key, joined, self.clock.now()))
    }

    fn page(&self, prefix: &str, after: Option<&str>) -> ListPage {
        let state = self.state();
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let mut visible = state
            .keys
            .range(start.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.as_str() > after))
            .filter_map(|(key, versions)| listed(key, versions.last()?));
        let objects: Vec<_> = visible.by_ref().take(LIST_PAGE_KEYS_MAX).collect();
        ListPage { objects, more: visible.next().is_some() }
    }

    fn version_page(&self, prefix: &str, after: Option<&VersionCursor>) -> VersionPage {
        let state = self.state();
        let start = after.map(|after| after.key.as_str()).filter(|key| *key >= prefix);
        let keys = state.keys.range(start.unwrap_or(prefix).to_owned()..);
        let all = keys.take_while(|(key, _)| key.starts_with(prefix));
        let all = all.flat_map(|(key, versions)| {
            let last = versions.len().saturating_sub(1);
            let newest_first = versions.iter().enumerate().rev();
            newest_first.map(move |(at, version)| version.listed(key, at == last))
        });
        let mut following = all.filter(|listed| after.is_none_or(|after| follows(listed, after)));
        let versions: Vec<_> = following.by_ref().take(LIST_PAGE_KEYS_MAX).collect();
        let last = versions.last().filter(|_| following.next().is_some());
        let next =
            last.map(|last| VersionCursor { key: last.key.clone(), version: last.version.clone() });
        VersionPage { versions, next }
    }

    fn remove(&self, key: &str, version: Option<&str>) {
        let made = whole_seconds(self.clock.now());
        let mut state = self.state();
        match version {
            None => {
                let id = state.next_version();
                if let Some(versions) = state.keys.get_mut(key) {
                    versions.push(Version { id, made, object: None });
                }
            }
            Some(id) => {
                if let Some(versions) = state.keys.get_mut(key) {
                    versions.retain(|version| version.id != id);
                }
            }
        }
    }
}

impl Version {
    fn listed(&self, key: &str, newest: bool) -> ListedVersion {
        let head = self.object.as_ref().map(|object| &object.head);
        ListedVersion {
            key: key.to_owned(),
            version: Some(self.id.clone()),
            size: head.map_or(0, |head| head.size),
            etag: head.and_then(|head| head.etag.clone()),
            last_modified: Some(self.made),
            newest,
            marker: self.object.is_none(),
        }
    }
}

impl State {
    fn next_version(&mut self) -> String {
        self.versions_made += 1;
        format!("v{:08}", self.versions_made)
    }

    fn store(&mut self, key: &str, written: Joined, now: SystemTime) -> PutReceipt {
        let Joined { body, headers, etag } = written;
        let id = self.next_version();
        let head = ObjectHead {
            size: body.len() as u64,
            etag: Some(etag.clone()),
            last_modified: Some(whole_seconds(now)),
            version: Some(id.clone()),
            headers,
        };
        let object = Some(Stored { head, body });
        let (versions, made) = (self.keys.entry(key.to_owned()).or_default(), whole_seconds(now));
        versions.push(Version { id: id.clone(), made, object });
        PutReceipt { etag: Some(etag), version: Some(id) }
    }
}

impl ObjectRead for MemoryStore {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        async move { self.read(key, &request) }.boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        async move { self.find(Operation::Head, key).map(|stored| stored.head) }.boxed()
    }
}

impl ObjectWrite for MemoryStore {
    fn put<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        async move { Ok(self.write(key, body, headers)) }.boxed()
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        body: Bytes,
        headers: &'a ObjectHeaders,
        condition: PutCondition,
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        async move { self.write_if(key, body, headers, &condition) }.boxed()
    }

    fn begin_upload<'a>(
        &'a self,
        key: &'a str,
        headers: &'a ObjectHeaders,
    ) -> BoxFuture<'a, Result<String, StoreError>> {
        async move { Ok(self.state().uploads.begin(key, headers, self.clock.now())) }.boxed()
    }

    fn put_part<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        number: u32,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Part, StoreError>> {
        async move { self.state().uploads.put_part(key, upload, number, body) }.boxed()
    }

    fn list_parts<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Part>, StoreError>> {
        async move { self.state().uploads.parts(key, upload) }.boxed()
    }

    fn complete_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
        parts: &'a [Part],
    ) -> BoxFuture<'a, Result<PutReceipt, StoreError>> {
        async move { self.complete(key, upload, parts) }.boxed()
    }

    fn abort_upload<'a>(
        &'a self,
        key: &'a str,
        upload: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.state().uploads.abort(key, upload);
            Ok(())
        }
        .boxed()
    }

    fn list_uploads<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Unfinished>,
    ) -> BoxFuture<'a, Result<UploadPage, StoreError>> {
        async move { Ok(self.state().uploads.page(prefix, after)) }.boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListPage, StoreError>> {
        async move { Ok(self.page(prefix, after)) }.boxed()
    }

    fn list_versions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a VersionCursor>,
    ) -> BoxFuture<'a, Result<VersionPage, StoreError>> {
        async move { Ok(self.version_page(prefix, after)) }.boxed()
    }

    fn delete<'a>(
        &'a self,
        key: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            self.remove(key, version);
            Ok(())
        }
        .boxed()
    }
}

fn listed(key: &str, newest: &Version) -> Option<Listed> {
    let head = &newest.object.as_ref()?.head;
    Some(Listed {
        key: key.to_owned(),
        size: head.size,
        etag: head.etag.clone(),
        last_modified: head.last_modified,
    })
}

/// Whether a version lies behind the cursor. Names of versions grow, and those
/// of a key are listed from the newest to the oldest.
fn follows(listed: &ListedVersion, after: &VersionCursor) -> bool {
    match listed.key.cmp(&after.key) {
        std::cmp::Ordering::Equal => after.version.is_some() && listed.version < after.version,
        order => order.is_gt(),
    }
}

/// The first and last offset of a range that has at least one byte.
fn resolve(range: ByteRange, size: u64) -> Option<(u64, u64)> {
    let (first, last) = match range {
        ByteRange::Bounded(first, last) => (first, last.min(size.checked_sub(1)?)),
        ByteRange::From(first) => (first, size.checked_sub(1)?),
        ByteRange::Last(count) => (size.saturating_sub(count), size.checked_sub(1)?),
    };
    (first <= last).then_some((first, last))
}

/// HTTP dates have no fractions, so a store keeps none.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_at_least_one_byte() {
        assert_eq!(resolve(ByteRange::Bounded(2, 9), 5), Some((2, 4)));
        assert_eq!(resolve(ByteRange::From(4), 5), Some((4, 4)));
        assert_eq!(resolve(ByteRange::Last(9), 5), Some((0, 4)));
        for range in [ByteRange::Bounded(5, 9), ByteRange::From(5), ByteRange::Last(0)] {
            assert_eq!(resolve(range, 5), None, "{range:?}");
        }
        assert_eq!(resolve(ByteRange::Last(1), 0), None);
    }

    #[tokio::test]
    async fn a_hidden_key_is_gone_until_its_marker_is_deleted() {
        let store = MemoryStore::default();
        let receipt = store.put("k", Bytes::from("b"), &ObjectHeaders::default()).await.unwrap();
        store.delete("k", None).await.unwrap();
        assert_eq!(store.head("k").await.unwrap_err().kind(), StoreErrorKind::NotFound);

        store.delete("k", Some("v00000002")).await.unwrap();
        assert_eq!(store.head("k").await.unwrap().version, receipt.version);
    }
}
