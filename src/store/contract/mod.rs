//! Checks that every store must pass.
//!
//! The publisher and the shield rely on exactly this. A store without versions
//! passes as well: what concerns them is checked only where the store shows
//! that it has them.

mod conditional;
mod uploads;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};

use super::{
    ByteRange, GetOutcome, GetRequest, LIST_PAGE_KEYS_MAX, ListedVersion, Object, ObjectHead,
    ObjectHeaders, ObjectWrite, PutReceipt, StoreError, StoreErrorKind, is_exact,
};

/// A few more keys than a page holds.
const KEYS: usize = LIST_PAGE_KEYS_MAX + 5;

/// Writes that are under way at once while keys are made.
const WRITES_MAX: usize = 16;

/// Above what S3 stores keep in one piece, and no multiple of anything.
const LARGE_BODY_BYTES: usize = 5 * 1024 * 1024 + 1;

const KEY_BYTES_MAX: usize = 1024;

/// A promise that a store did not keep.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// A call failed that should not have.
    #[error("a call failed")]
    Call(#[from] StoreError),
    /// A call was answered otherwise than promised.
    #[error("{0}")]
    Answer(String),
}

/// Whether a store kept a promise.
pub type Kept = Result<(), Breach>;

/// A store under examination. All keys are made under the prefix, which must
/// not have been used before.
#[derive(Clone, Copy, Debug)]
pub struct Contract<'a> {
    store: &'a dyn ObjectWrite,
    prefix: &'a str,
}

impl<'a> Contract<'a> {
    /// Examines `store` with keys that begin with `prefix`.
    pub fn new(store: &'a dyn ObjectWrite, prefix: &'a str) -> Self {
        Self { store, prefix }
    }

    /// Every check, by what it promises.
    pub async fn check_all(self) -> Vec<(&'static str, Kept)> {
        vec![
            ("an object comes back as it was stored", self.round_trip().await),
            ("an empty object is an object", self.empty_body().await),
            ("a large object comes back whole", self.large_body().await),
            ("a part of an object can be read", self.ranges().await),
            ("reads can have conditions", self.conditions().await),
            ("what is not there is not found", self.missing().await),
            ("the newest write is read", self.overwrite().await),
            ("any key is its own object", self.keys().await),
            ("all keys are listed, in order, page by page", self.listing().await),
            ("what was deleted is gone", self.deletion().await),
            ("a version is deleted alone", self.versions().await),
            ("an object arrives in parts", self.parts().await),
            ("parts that are missing are not left out", self.missing_parts().await),
            ("an upload that was ended is gone", self.ended_uploads().await),
            ("unfinished uploads are listed", self.unfinished_uploads().await),
            ("a condition of a write is kept where it is known", self.conditional_writes().await),
            ("all versions are listed, page by page", self.version_listing().await),
        ]
    }

    /// Bytes, length, validator and header fields survive.
    pub async fn round_trip(self) -> Kept {
        let (key, body) = (self.key("round-trip"), Bytes::from_static(b"body { color: red }"));
        let headers = headers();
        let receipt = self.store.put(&key, body.clone(), &headers).await?;
        let validator = Some(format!("\"{}\"", HEXLOWER.encode(&Md5::digest(&body))));
        same("the validator of a write", &receipt.etag, &validator)?;
        let object = self.get(&key, GetRequest::default()).await?;
        self.check_head(&object.head, &receipt, &body, &headers)?;
        same("the part of a whole object", &object.part, &None)?;
        same("the bytes", &object.collect(&key, body.len()).await?, &body)?;
        self.check_head(&self.store.head(&key).await?, &receipt, &body, &headers)
    }

    /// An object without bytes.
    pub async fn empty_body(self) -> Kept {
        let key = self.key("empty");
        self.store.put(&key, Bytes::new(), &ObjectHeaders::default()).await?;
        same("the bytes", &self.read(&key).await?, &Bytes::new())?;
        same("the length", &self.store.head(&key).await?.size, &0)
    }

    /// An object of more than five mebibytes, and a part across its middle.
    pub async fn large_body(self) -> Kept {
        let key = self.key("large");
        let body: Bytes = (0..LARGE_BODY_BYTES).map(|at| (at % 251) as u8).collect();
        self.store.put(&key, body.clone(), &ObjectHeaders::default()).await?;
        holds(self.read(&key).await? == body, "the bytes of a large object are others")?;
        let (first, last) = (LARGE_BODY_BYTES / 2, LARGE_BODY_BYTES - 2);
        let range = Some(ByteRange::Bounded(first as u64, last as u64));
        let object = self.get(&key, GetRequest { range, ..GetRequest::default() }).await?;
        let part = object.collect(&key, LARGE_BODY_BYTES).await?;
        holds(part == body.slice(first..=last), "the bytes of a large part are others")
    }

    /// Bounded, open and counted from the end; and outside.
    pub async fn ranges(self) -> Kept {
        let (key, body) = (self.key("ranges"), Bytes::from_static(b"0123456789"));
        self.store.put(&key, body.clone(), &ObjectHeaders::default()).await?;
        for (range, first, last) in [
            (ByteRange::Bounded(0, 0), 0, 0),
            (ByteRange::Bounded(2, 5), 2, 5),
            (ByteRange::Bounded(8, 99), 8, 9),
            (ByteRange::From(7), 7, 9),
            (ByteRange::Last(3), 7, 9),
            (ByteRange::Last(99), 0, 9),
        ] {
            let request = GetRequest { range: Some(range), ..GetRequest::default() };
            let object = self.get(&key, request).await?;
            same("the part", &object.part, &Some((first as u64, last as u64)))?;
            same("the length of the whole", &object.head.size, &10)?;
            same("the bytes", &object.collect(&key, 10).await?, &body.slice(first..=last))?;
        }
        let request = GetRequest { range: Some(ByteRange::From(10)), ..GetRequest::default() };
        self.fails(&key, request, StoreErrorKind::Rejected).await
    }

    /// Reads that depend on the validator.
    pub async fn conditions(self) -> Kept {
        let (key, body) = (self.key("conditions"), Bytes::from_static(b"now"));
        let receipt = self.store.put(&key, body, &ObjectHeaders::default()).await?;
        let (known, other) = (receipt.etag, Some(format!("\"{}\"", "0".repeat(32))));
        let if_none_match = |etag: &Option<String>| GetRequest {
            if_none_match: etag.clone(),
            ..GetRequest::default()
        };
        let if_match =
            |etag: &Option<String>| GetRequest { if_match: etag.clone(), ..GetRequest::default() };
        let outcome = self.store.get(&key, if_none_match(&known)).await?;
        holds(matches!(outcome, GetOutcome::NotModified), "a known object was sent again")?;
        self.get(&key, if_none_match(&other)).await?;
        self.get(&key, if_match(&known)).await?;
        self.fails(&key, if_match(&other), StoreErrorKind::Precondition).await
    }

    /// Keys that were never written.
    pub async fn missing(self) -> Kept {
        let key = self.key("missing");
        self.fails(&key, GetRequest::default(), StoreErrorKind::NotFound).await?;
        self.head_fails(&key).await?;
        self.store.delete(&key, None).await?;
        Ok(())
    }

    /// A second write under the same key.
    pub async fn overwrite(self) -> Kept {
        let key = self.key("overwrite");
        let first = self.store.put(&key, "first".into(), &headers()).await?;
        let second = self.store.put(&key, "second".into(), &ObjectHeaders::default()).await?;
        holds(first.etag != second.etag, "two bodies have one validator")?;
        same("the bytes", &self.read(&key).await?, &Bytes::from("second"))?;
        let head = self.store.head(&key).await?;
        same("the validator", &head.etag, &second.etag)?;
        same("the meta fields", &head.headers.meta, &Default::default())
    }

    /// Keys that a careless store would mix up, shorten or refuse.
    pub async fn keys(self) -> Kept {
        let longest = self.key(&"k".repeat(KEY_BYTES_MAX))[..KEY_BYTES_MAX].to_owned();
        let odd = ["a", "a/b", "a/b/c", "a//b", "A", "dir/", "é ü 漢字 🪟.css", "e\u{301}"];
        let reserved = "%41 %2F a+b&c=d?e#f;g:h@i,j!k'l(m)*n~o$p[q]";
        let odd = odd.into_iter().chain([reserved]).map(|name| self.key(&format!("keys/{name}")));
        let keys: Vec<_> = odd.chain([longest]).collect();
        for key in &keys {
            self.store.put(key, key.clone().into(), &ObjectHeaders::default()).await?;
        }
        for key in &keys {
            same("the bytes", &self.read(key).await?, &Bytes::from(key.clone()))?;
        }
        let listed = self.list_all(&self.key("keys/")).await?;
        let mut expected: Vec<_> = keys[..keys.len() - 1].to_vec();
        expected.sort();
        same("the keys", &listed, &expected)
    }

    /// More keys than a page holds, next to keys with almost the same prefix.
    pub async fn listing(self) -> Kept {
        let names = (0..KEYS).map(|at| self.key(&format!("listing/{at:04}")));
        let mut keys: Vec<_> =
            names.chain([self.key("listing/0000-"), self.key("listing/é")]).collect();
        keys.sort();
        let others = [self.key("listing"), self.key("listing-"), self.key("listing0")];
        stream::iter(keys.iter().chain(&others))
            .map(|key| async { self.store.put(key, "x".into(), &ObjectHeaders::default()).await })
            .buffer_unordered(WRITES_MAX)
            .try_collect::<Vec<_>>()
            .await?;
        let prefix = self.key("listing/");
        same("the keys", &self.list_all(&prefix).await?, &keys)?;

        let first = self.store.list(&prefix, None).await?;
        holds(first.more, "a page does not say that more keys follow")?;
        same("the length", &first.objects[0].size, &1)?;
        holds(first.objects[0].last_modified.is_some(), "a listed object has no date")?;
        let etag = self.store.head(&keys[0]).await?.etag;
        same("the validator", &first.objects[0].etag, &etag)?;

        let after = self.store.list(&prefix, Some(&keys[KEYS - 1])).await?;
        let listed: Vec<_> = after.objects.into_iter().map(|object| object.key).collect();
        same("the keys behind a key", &listed, &keys[KEYS..].to_vec())?;
        let gap = format!("{}x", keys[KEYS]);
        let after = self.store.list(&prefix, Some(&gap)).await?;
        same("the number of keys behind no key", &after.objects.len(), &(keys.len() - KEYS - 1))?;
        let after = self.store.list(&prefix, keys.last().map(String::as_str)).await?;
        holds(after.objects.is_empty() && !after.more, "something follows the last key")
    }

    /// Deleting without a version.
    pub async fn deletion(self) -> Kept {
        let key = self.key("deletion/key");
        self.store.put(&key, "x".into(), &ObjectHeaders::default()).await?;
        self.store.delete(&key, None).await?;
        self.fails(&key, GetRequest::default(), StoreErrorKind::NotFound).await?;
        self.head_fails(&key).await?;
        same("the keys", &self.list_all(&self.key("deletion/")).await?, &Vec::new())?;
        self.store.delete(&key, None).await?;
        self.store.put(&key, "again".into(), &ObjectHeaders::default()).await?;
        same("the bytes", &self.read(&key).await?, &Bytes::from("again"))
    }

    /// Deleting one version, where the store has versions.
    pub async fn versions(self) -> Kept {
        let key = self.key("versions");
        let first = self.store.put(&key, "first".into(), &ObjectHeaders::default()).await?;
        let second = self.store.put(&key, "second".into(), &ObjectHeaders::default()).await?;
        let known = self.store.head(&key).await?.version;
        let (Some(first), Some(second)) = (first.version, second.version) else { return Ok(()) };
        // Some stores name a version when they write, and then forget it.
        if known.as_ref() != Some(&second) {
            return Ok(());
        }
        holds(first != second, "two versions have one name")?;
        self.store.delete(&key, Some(&second)).await?;
        same("the bytes", &self.read(&key).await?, &Bytes::from("first"))?;
        let third = self.store.put(&key, "third".into(), &ObjectHeaders::default()).await?;
        self.store.delete(&key, Some(&first)).await?;
        same("the bytes", &self.read(&key).await?, &Bytes::from("third"))?;
        self.store.delete(&key, Some(&first)).await?;
        self.store.delete(&key, third.version.as_deref()).await?;
        self.head_fails(&key).await
    }

    /// Listing more versions than a page holds, where the store has versions:
    /// newest first, hide markers among them, each with a date.
    pub async fn version_listing(self) -> Kept {
        let prefix = self.key("version-listing/");
        match self.store.list_versions(&prefix, None).await {
            Err(error) if error.kind() == StoreErrorKind::Unsupported => return Ok(()),
            listed => same("the versions of nothing", &listed?.versions, &Vec::new())?,
        }
        let (many, few) = (format!("{prefix}many"), format!("{prefix}few"));
        let mut made = Vec::new();
        for _ in 0..KEYS {
            made.push(self.store.put(&many, "x".into(), &ObjectHeaders::default()).await?.version);
        }
        // Some stores list, and keep one version all the same.
        if !made.iter().all(|version| is_exact(version.as_deref())) {
            return Ok(());
        }
        made.reverse();
        let first = self.store.put(&few, "yz".into(), &ObjectHeaders::default()).await?.version;
        self.store.delete(&few, None).await?;
        let second = self.store.put(&few, "z".into(), &ObjectHeaders::default()).await?.version;
        self.store.delete(&few, None).await?;

        let listed = self.list_all_versions(&prefix).await?;
        let (few_listed, many_listed) = listed.split_at(listed.len().min(4));
        // A marker and bytes of the same second may be told in either order.
        let (markers, bytes): (Vec<_>, Vec<_>) = few_listed.iter().partition(|it| it.marker);
        let names: Vec<_> = bytes.iter().map(|it| it.version.clone()).collect();
        same("the versions of a hidden key", &names, &vec![second, first])?;
        same("the number of hide markers", &markers.len(), &2)?;
        holds(
            few_listed[0].marker && few_listed[0].newest,
            "the newest version is not the marker",
        )?;
        holds(few_listed[1..].iter().all(|it| !it.newest), "two versions are the newest")?;
        same("the length", &bytes[1].size, &2)?;
        let names: Vec<_> = many_listed.iter().map(|it| it.version.clone()).collect();
        holds(names == made, "the versions of a key are not listed from the newest to the oldest")?;
        holds(many_listed[0].newest && !many_listed[1].newest, "the newest version is not told")?;
        holds(listed.iter().all(|it| it.last_modified.is_some()), "a version has no date")?;

        self.store.delete(&few, few_listed[0].version.as_deref()).await?;
        same("the bytes behind a deleted marker", &self.read(&few).await?, &Bytes::from("z"))
    }

    async fn list_all_versions(&self, prefix: &str) -> Result<Vec<ListedVersion>, Breach> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list_versions(prefix, after.as_ref()).await?;
            holds(page.versions.len() <= LIST_PAGE_KEYS_MAX, "a page has too many versions")?;
            all.extend(page.versions);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn get(&self, key: &str, request: GetRequest) -> Result<Object, Breach> {
        match self.store.get(key, request).await? {
            GetOutcome::Found(object) => Ok(object),
            GetOutcome::NotModified => Err(Breach::Answer(format!("`{key}` was not sent"))),
        }
    }

    async fn read(&self, key: &str) -> Result<Bytes, Breach> {
        let object = self.get(key, GetRequest::default()).await?;
        Ok(object.collect(key, LARGE_BODY_BYTES).await?)
    }

    async fn fails(&self, key: &str, request: GetRequest, kind: StoreErrorKind) -> Kept {
        match self.store.get(key, request).await {
            Err(error) => same("the kind of the failure", &error.kind(), &kind),
            Ok(_) => Err(Breach::Answer(format!("a read of `{key}` did not fail: {kind}"))),
        }
    }

    async fn head_fails(&self, key: &str) -> Kept {
        match self.store.head(key).await {
            Err(error) => same("the kind of the failure", &error.kind(), &StoreErrorKind::NotFound),
            Ok(_) => Err(Breach::Answer(format!("`{key}` was found"))),
        }
    }

    async fn list_all(&self, prefix: &str) -> Result<Vec<String>, Breach> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let page = self.store.list(prefix, keys.last().map(String::as_str)).await?;
            holds(page.objects.len() <= LIST_PAGE_KEYS_MAX, "a page has too many keys")?;
            holds(!page.more || !page.objects.is_empty(), "a page that is not the last is empty")?;
            keys.extend(page.objects.into_iter().map(|object| object.key));
            if !page.more {
                return Ok(keys);
            }
        }
    }

    fn check_head(
        &self,
        head: &ObjectHead,
        receipt: &PutReceipt,
        body: &Bytes,
        headers: &ObjectHeaders,
    ) -> Kept {
        same("the length", &head.size, &(body.len() as u64))?;
        same("the validator", &head.etag, &receipt.etag)?;
        same("the header fields", &head.headers, headers)?;
        holds(head.last_modified.is_some(), "there is no date")?;
        match &head.version {
            Some(version) => same("the version", &Some(version), &receipt.version.as_ref()),
            None => Ok(()),
        }
    }
}

fn headers() -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some("text/css; charset=utf-8".to_owned()),
        cache_control: Some("public, max-age=31536000, immutable".to_owned()),
        content_encoding: Some("br".to_owned()),
        content_disposition: Some("attachment; filename=\"app.css\"".to_owned()),
        content_language: Some("nl".to_owned()),
        meta: [("blake3", "af1349b9"), ("awning-release", "r1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Kept {
    if found == expected {
        return Ok(());
    }
    Err(Breach::Answer(format!("{what}: found {found:?}, expected {expected:?}")))
}

fn holds(kept: bool, breach: &str) -> Kept {
    if kept { Ok(()) } else { Err(Breach::Answer(breach.to_owned())) }
}
