//! The simulated bucket: versions, hide markers, dates, and listings that may
//! lag. Calls are values here, so that the scheduler decides when one takes
//! effect, and whether its caller hears of it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use awning::asset::Digest;
use awning::store::{
    ListPage, Listed, ListedVersion, ObjectHead, ObjectHeaders, Operation, PutReceipt, StoreError,
    StoreErrorKind, VersionCursor, VersionPage,
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};

/// One call to the store.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Get(String),
    Head(String),
    Put(String, Bytes, ObjectHeaders),
    List(String, Option<String>),
    Versions(String, Option<VersionCursor>),
    Delete(String, Option<String>),
}

/// What the store says to it.
#[derive(Debug)]
pub(super) enum Answer {
    Object(ObjectHead, Bytes),
    Receipt(PutReceipt),
    Page(ListPage),
    Versions(VersionPage),
    Done,
}

/// Whether the store has versions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Versions {
    /// As B2 has them.
    Kept,
    /// It cannot list them, and a write replaces what was there.
    Unknown,
    /// It lists what there is as a version called `null`.
    Null,
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) versions: Versions,
    /// The store's time, in seconds since 1970.
    pub(super) now: u64,
    keys: BTreeMap<String, Vec<Version>>,
    made: u64,
    etags: HashMap<Digest, String>,
}

#[derive(Clone, Debug)]
struct Version {
    id: u64,
    stored: u64,
    /// When it was deleted; listings may show it for a while.
    removed: Option<u64>,
    etag: String,
    /// `None` hides the key.
    body: Option<(Bytes, ObjectHeaders)>,
}

impl Bucket {
    pub(super) fn new(versions: Versions, now: u64) -> Self {
        Self { versions, now, keys: BTreeMap::new(), made: 0, etags: HashMap::new() }
    }

    /// Carries out a call. A listing shows the bucket as it was `lag` seconds ago.
    pub(super) fn apply(&mut self, call: &Call, lag: u64) -> Result<Answer, StoreError> {
        match call {
            Call::Get(key) => self.read(Operation::Get, key),
            Call::Head(key) => self.read(Operation::Head, key),
            Call::Put(key, body, headers) => Ok(self.put(key, body, headers)),
            Call::List(prefix, after) => Ok(Answer::Page(self.list(prefix, after.as_deref(), lag))),
            Call::Versions(prefix, after) => {
                assert!(after.is_none(), "a small bucket has one page");
                self.list_versions(prefix, lag).map(Answer::Versions)
            }
            Call::Delete(key, version) => {
                self.delete(key, version.as_deref());
                Ok(Answer::Done)
            }
        }
    }

    /// Whether reads find the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.newest(key).is_some_and(|newest| newest.body.is_some())
    }

    /// What reads find under a key.
    pub(super) fn body(&self, key: &str) -> Option<&Bytes> {
        self.newest(key)?.body.as_ref().map(|(body, _)| body)
    }

    /// When what reads find was stored.
    pub(super) fn stored(&self, key: &str) -> Option<u64> {
        self.newest(key).map(|newest| newest.stored)
    }

    /// All keys that hold anything, with the number of their versions.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&str, usize)> {
        let alive = |versions: &Vec<Version>| versions.iter().filter(|it| it.is_alive()).count();
        let counted = self.keys.iter().map(move |(key, it)| (key.as_str(), alive(it)));
        counted.filter(|(_, versions)| *versions > 0)
    }

    fn newest(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.iter().rev().find(|version| version.is_alive())
    }

    fn read(&self, operation: Operation, key: &str) -> Result<Answer, StoreError> {
        let newest = self.newest(key);
        let found = newest.and_then(|version| Some((version, version.body.as_ref()?)));
        let Some((version, (body, headers))) = found else {
            return Err(StoreError::new(operation, key, StoreErrorKind::NotFound, "no such key"));
        };
        let head = ObjectHead {
            size: body.len() as u64,
            etag: Some(version.etag.clone()),
            last_modified: Some(time(version.stored)),
            version: self.name(version),
            headers: headers.clone(),
        };
        Ok(Answer::Object(head, body.clone()))
    }

    fn put(&mut self, key: &str, body: &Bytes, headers: &ObjectHeaders) -> Answer {
        if self.versions != Versions::Kept {
            self.remove_all(key);
        }
        let etag = self.etags.entry(Digest::of(body));
        let etag = etag.or_insert_with(|| format!("\"{}\"", HEXLOWER.encode(&Md5::digest(body))));
        let etag = etag.clone();
        let version = self.push(key, etag.clone(), Some((body.clone(), headers.clone())));
        Answer::Receipt(PutReceipt { etag: Some(etag), version })
    }

    fn push(
        &mut self,
        key: &str,
        etag: String,
        body: Option<(Bytes, ObjectHeaders)>,
    ) -> Option<String> {
        self.made += 1;
        let version = Version { id: self.made, stored: self.now, removed: None, etag, body };
        let name = self.name(&version);
        match self.keys.get_mut(key) {
            Some(versions) => versions.push(version),
            None => {
                self.keys.insert(key.to_owned(), vec![version]);
            }
        }
        name
    }

    fn delete(&mut self, key: &str, version: Option<&str>) {
        match version {
            Some(name) if self.versions == Versions::Kept => {
                let now = self.now;
                let versions = self.keys.get_mut(key).into_iter().flatten();
                for version in versions.filter(|it| it.is_alive() && it.id.to_string() == name) {
                    version.removed = Some(now);
                }
            }
            None if self.versions == Versions::Kept => {
                self.push(key, String::new(), None);
            }
            _ => self.remove_all(key),
        }
    }

    fn remove_all(&mut self, key: &str) {
        let now = self.now;
        let versions = self.keys.get_mut(key).into_iter().flatten();
        versions.filter(|it| it.is_alive()).for_each(|it| it.removed = Some(now));
    }

    fn below(&self, prefix: &str) -> impl Iterator<Item = (&String, &Vec<Version>)> {
        self.keys
            .range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn list(&self, prefix: &str, after: Option<&str>, lag: u64) -> ListPage {
        let then = self.now - lag;
        let newest = |versions: &'_ Vec<Version>| -> Option<Version> {
            let seen = versions.iter().rev().find(|version| version.was_there(then))?;
            seen.body.is_some().then(|| seen.clone())
        };
        let following =
            self.below(prefix).filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let objects = following.filter_map(|(key, versions)| {
            let version = newest(versions)?;
            Some(Listed {
                key: key.clone(),
                size: version.size(),
                etag: Some(version.etag.clone()),
                last_modified: Some(time(version.stored)),
            })
        });
        ListPage { objects: objects.collect(), more: false }
    }

    fn list_versions(&self, prefix: &str, lag: u64) -> Result<VersionPage, StoreError> {
        if self.versions == Versions::Unknown {
            let kind = StoreErrorKind::Unsupported;
            return Err(StoreError::new(Operation::List, prefix, kind, "no versions"));
        }
        let then = self.now - lag;
        let mut page = VersionPage::default();
        for (key, versions) in self.below(prefix) {
            let there = versions.iter().rev().filter(|version| version.was_there(then));
            page.versions.extend(there.enumerate().map(|(at, version)| ListedVersion {
                key: key.clone(),
                version: self.name(version),
                size: version.size(),
                etag: Some(version.etag.clone()),
                last_modified: Some(time(version.stored)),
                newest: at == 0,
                marker: version.body.is_none(),
            }));
        }
        Ok(page)
    }

    fn name(&self, version: &Version) -> Option<String> {
        match self.versions {
            Versions::Kept => Some(version.id.to_string()),
            Versions::Unknown => None,
            Versions::Null => Some("null".to_owned()),
        }
    }
}

impl Version {
    fn is_alive(&self) -> bool {
        self.removed.is_none()
    }

    fn was_there(&self, then: u64) -> bool {
        self.stored <= then && self.removed.is_none_or(|removed| removed > then)
    }

    fn size(&self) -> u64 {
        self.body.as_ref().map_or(0, |(body, _)| body.len() as u64)
    }
}

impl Call {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Get(key) | Self::Head(key) | Self::Put(key, ..) | Self::Delete(key, _) => key,
            Self::List(prefix, _) | Self::Versions(prefix, _) => prefix,
        }
    }

    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Get(_) => Operation::Get,
            Self::Head(_) => Operation::Head,
            Self::Put(..) => Operation::Put,
            Self::List(..) | Self::Versions(..) => Operation::List,
            Self::Delete(..) => Operation::Delete,
        }
    }
}

pub(super) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}
