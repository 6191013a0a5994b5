//! What a verification finds, coding by coding and field by field.

use std::collections::BTreeMap;

use awning::asset::{AssetPath, media};
use awning::manifest::{Entry, ReleaseId, Variant};
use awning::publish::{Check, Verified, verify};
use awning::semantics::encoding::Coding;
use awning::store::{ObjectHeaders, Operation};

use super::*;
use crate::harness::probe::{Fault, Probe};

const PLAIN: &str = "body { color: red }";
const CODED: &str = "stands for brotli";

/// A release of one sheet, with a language and a variant.
fn release() -> (ReleaseId, Manifest) {
    let path = AssetPath::parse("app.css").unwrap();
    let (b3, coded) = (Digest::of(PLAIN.as_bytes()), Digest::of(CODED.as_bytes()));
    let key = ObjectKey::for_asset(&path, &b3.fingerprint());
    let variant = ObjectKey::parse(&format!("{key}.br")).unwrap();
    let entry = Entry {
        b3,
        cache: "public, max-age=31536000, immutable".into(),
        content_type: media::content_type(&path),
        headers: BTreeMap::from([("content-language".to_owned(), "nl".to_owned())]),
        integrity: "sha384-".into(),
        key,
        refs: Vec::new(),
        size: PLAIN.len() as u64,
        stable: false,
        tags: Vec::new(),
        variants: BTreeMap::from([(
            Coding::Br,
            Variant { b3: coded, key: variant, size: CODED.len() as u64 },
        )]),
    };
    let manifest = Manifest::new(BTreeMap::from([(path, entry)]));
    (manifest.to_bytes().unwrap().0, manifest)
}

fn headers(text: &str, coding: Option<&str>) -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some("text/css; charset=utf-8".into()),
        cache_control: Some("public, max-age=31536000, immutable".into()),
        content_encoding: coding.map(str::to_owned),
        content_language: Some("nl".into()),
        meta: [("blake3".to_owned(), Digest::of(text.as_bytes()).to_string())].into(),
        ..ObjectHeaders::default()
    }
}

/// A bucket with both objects as they should be, but for one change.
async fn stored(change: impl FnOnce(&mut [(&str, ObjectHeaders)])) -> MemoryStore {
    let mut objects = [(PLAIN, headers(PLAIN, None)), (CODED, headers(CODED, Some("br")))];
    change(&mut objects);
    let store = MemoryStore::default();
    let (_, manifest) = release();
    let entry = manifest.get("app.css").unwrap();
    let keys = [&entry.key, &entry.variants[&Coding::Br].key];
    for (key, (text, headers)) in keys.into_iter().zip(objects) {
        let body = Bytes::copy_from_slice(text.as_bytes());
        store.put(&layout().object(key), body, &headers).await.unwrap();
    }
    store
}

async fn verified(store: &dyn ObjectRead, full: bool) -> Result<Verified, PublishError> {
    let (release, manifest) = release();
    verify(store, &layout(), release, &manifest, Check { full, concurrency: 1 }).await
}

async fn flaws(store: &MemoryStore, full: bool) -> Vec<String> {
    let verified = verified(store, full).await.unwrap();
    let whole = (PLAIN.len() + CODED.len()) as u64;
    assert_eq!((verified.objects, verified.bytes), (2, whole));
    verified.flaws.iter().map(|flawed| flawed.to_string().replace(&flawed.key, "")).collect()
}

#[tokio::test]
async fn a_release_as_its_manifest_says_has_no_flaw() {
    let store = stored(|_| ()).await;
    for full in [false, true] {
        assert_eq!(flaws(&store, full).await, [""; 0]);
    }
}

#[tokio::test]
async fn every_field_of_every_coding_is_compared() {
    type Change = fn(&mut ObjectHeaders);
    let changes: [(Change, &str); 6] = [
        (|it| it.content_type = None, "has content-type none instead of `text/css; charset"),
        (|it| it.cache_control = Some("no-store\n".into()), "has cache-control `no-store\\n`"),
        (|it| it.content_encoding = Some("gzip".into()), "has content-encoding `gzip` instead of"),
        (|it| it.content_disposition = Some("inline".into()), "content-disposition `inline`"),
        (|it| it.content_language = None, "has content-language none instead of `nl`"),
        (|it| it.meta.clear(), "has x-amz-meta-blake3 none instead of `"),
    ];
    for at in [0, 1] {
        for (change, told) in changes {
            let store = stored(|objects| change(&mut objects[at].1)).await;
            for full in [false, true] {
                let flaws = flaws(&store, full).await;
                assert!(flaws.len() == 1 && flaws[0].contains(told), "{told}: {flaws:?}");
            }
        }
    }
}

#[tokio::test]
async fn other_bytes_of_the_same_length_are_found_by_reading_alone() {
    let store = stored(|objects| objects[1].0 = "stands for anything"[..17].into()).await;
    assert_eq!(flaws(&store, false).await, [""; 0]);
    let found = flaws(&store, true).await;
    assert!(found.len() == 1 && found[0].contains("has other bytes: BLAKE3 "), "{found:?}");
    let store = stored(|objects| objects[0].0 = "").await;
    assert_eq!(flaws(&store, false).await, ["`` has 0 bytes instead of 19"]);
}

#[tokio::test]
async fn a_call_that_fails_is_no_flaw() {
    let store = Arc::new(stored(|_| ()).await);
    for (operation, full) in [(Operation::Head, false), (Operation::Get, true)] {
        let probe = Probe::new(&store, Fault::Refuse(operation, ".br", StoreErrorKind::Throttled));
        let failed = verified(&probe, full).await;
        assert!(matches!(failed, Err(PublishError::Store(_))), "{failed:?}");
        assert_eq!(probe.calls().len(), 2);
    }
}
