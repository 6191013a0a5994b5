//! A small release in a bucket in memory, and a way to it that fails at times.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use awning::asset::{AssetPath, Digest, KeyLayout, ObjectKey, media};
use awning::clock::{Clock, ManualClock};
use awning::manifest::{Activation, Channel, Entry, Manifest};
use awning::store::memory::MemoryStore;
use awning::store::{
    GetOutcome, GetRequest, Object, ObjectHead, ObjectHeaders, ObjectRead, ObjectWrite, Operation,
    StoreError, StoreErrorKind,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};

use super::begin;
use super::play::Fault;

/// The release, and the bucket that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) bucket: Arc<MemoryStore>,
    /// Content by every path that names it.
    pub(crate) names: BTreeMap<String, Bytes>,
}

/// A bucket that does to each read what the input says.
#[derive(Debug)]
pub(crate) struct Fickle {
    inner: Arc<MemoryStore>,
    faults: Mutex<VecDeque<Fault>>,
}

pub(crate) fn channel() -> Channel {
    Channel::parse("production").expect("a name")
}

impl Published {
    /// The assets of every play. The style sheet is large enough to be coded.
    pub(crate) async fn new() -> Self {
        let style: String = (0..200).map(|n| format!(".a{n} {{ margin: {n}px }}\n")).collect();
        let image: Vec<u8> = (0..777_u32).map(|at| (at * at >> 3) as u8).collect();
        let assets = [
            ("css/app.css", Bytes::from(style)),
            ("img/a.png", Bytes::from(image)),
            ("index.html", Bytes::from_static(b"<!doctype html><title>shop</title><p>open")),
        ];
        let bucket = Arc::new(MemoryStore::new(Clock::Manual(ManualClock::at(begin()))));
        let (layout, mut entries, mut names) =
            (KeyLayout::default(), BTreeMap::new(), BTreeMap::new());
        for (path, content) in assets {
            let entry = entry(path, &content);
            let headers = ObjectHeaders {
                content_type: Some(entry.content_type.clone()),
                cache_control: Some(entry.cache.clone()),
                meta: BTreeMap::from([("blake3".to_owned(), entry.b3.to_string())]),
                ..ObjectHeaders::default()
            };
            put(&bucket, &layout.object(&entry.key), content.clone(), &headers).await;
            let public = entry.key.public_name().expect("an asset has one").to_string();
            names.insert(format!("/{path}"), content.clone());
            names.insert(format!("/{public}"), content.clone());
            names.insert(format!("/_a/{public}"), content);
            entries.insert(AssetPath::parse(path).expect("a path"), entry);
        }
        let index = names["/index.html"].clone();
        names.insert("/".to_owned(), index);
        let (release, bytes) = Manifest::new(entries).to_bytes().expect("a manifest");
        let none = ObjectHeaders::default();
        put(&bucket, &layout.manifest(release), bytes.into(), &none).await;
        let head = Activation {
            activated: String::new(),
            by: None,
            channel: channel(),
            expires: None,
            locked: false,
            nonce: "n".into(),
            order: 0,
            release,
            seq: 1,
        };
        let head = serde_json::to_vec(&head).expect("JSON");
        put(&bucket, &layout.head(channel()), head.into(), &none).await;
        Self { bucket, names }
    }

    /// One of the names, or one that nothing has. A shop has those of its own origin.
    pub(crate) fn name(&self, number: u8, of_shop: bool) -> String {
        let names = self.names.keys().filter(|name| !of_shop || name.starts_with("/_a/"));
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.push(if of_shop { "/_a/a.aaaaaaaaaaaaaaaa.css" } else { "/a.aaaaaaaaaaaaaaaa.css" });
        names[usize::from(number) % names.len()].to_owned()
    }
}

fn entry(path: &str, content: &Bytes) -> Entry {
    let (path, b3) = (AssetPath::parse(path).expect("a path"), Digest::of(content));
    Entry {
        b3,
        cache: "public, max-age=31536000, immutable".into(),
        content_type: media::content_type(&path),
        headers: BTreeMap::new(),
        integrity: "sha384-".into(),
        key: ObjectKey::for_asset(&path, &b3.fingerprint()),
        refs: Vec::new(),
        size: content.len() as u64,
        stable: false,
        tags: Vec::new(),
        variants: BTreeMap::new(),
    }
}

async fn put(bucket: &MemoryStore, key: &str, content: Bytes, headers: &ObjectHeaders) {
    bucket.put(key, content, headers).await.expect("a bucket in memory takes everything");
}

impl Fickle {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Self {
        Self { inner, faults: Mutex::default() }
    }

    /// From now on reads come to these ends, one after the other.
    pub(crate) fn begin(&self, faults: &[Fault]) {
        let mut known = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(faults.iter().take(16));
    }

    fn next(&self) -> Fault {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.pop_front().unwrap_or(Fault::None)
    }
}

impl ObjectRead for Fickle {
    fn get<'a>(
        &'a self,
        key: &'a str,
        request: GetRequest,
    ) -> BoxFuture<'a, Result<GetOutcome, StoreError>> {
        let fault = self.next();
        let refused = move |kind| StoreError::new(Operation::Get, key, kind, "scripted");
        Box::pin(async move {
            match fault {
                Fault::Unavailable => return Err(refused(StoreErrorKind::Unavailable)),
                Fault::Missing => return Err(refused(StoreErrorKind::NotFound)),
                Fault::None | Fault::Damaged => {}
            }
            match self.inner.get(key, request).await? {
                GetOutcome::Found(object) if matches!(fault, Fault::Damaged) => {
                    Ok(GetOutcome::Found(damaged(object).await))
                }
                outcome => Ok(outcome),
            }
        })
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<ObjectHead, StoreError>> {
        self.inner.head(key)
    }
}

/// The same object with one other bit.
async fn damaged(mut object: Object) -> Object {
    let mut pieces = Vec::new();
    while let Some(Ok(piece)) = object.body.next().await {
        pieces.push(piece);
    }
    let mut bytes = pieces.concat();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 4;
    }
    let body = stream::iter([Ok(Bytes::from(bytes))]).boxed();
    Object { body, ..object }
}
