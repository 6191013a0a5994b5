//! Promoting, rolling back and unlocking: what is verified, written and refused.

use awning::asset::AssetPath;
use awning::manifest::ReleaseId;
use awning::publish::{Diff, History, Switch, Switched, Whole};
use awning::store::Operation;

use super::*;
use crate::harness::probe::{Fault, Probe};

/// How many objects are looked up at once; one, so that calls have an order.
const AT_ONCE: usize = 1;

pub(super) fn changed(text: &str) -> TempDir {
    let dir = tree(SHOP);
    write(dir.path(), "js/app.js", text);
    dir
}

/// A bucket whose channel had two releases.
pub(super) async fn bucket() -> (Arc<MemoryStore>, Release, Release) {
    let store = Arc::new(MemoryStore::default());
    let a = publish_to(&changed("a"), &*store, "a").await.unwrap();
    let b = publish_to(&changed("b"), &*store, "b").await.unwrap();
    (store, a, b)
}

pub(super) async fn history(store: &dyn ObjectWrite) -> Result<History, PublishError> {
    publish::history(store, &layout(), &channel(), 50).await
}

pub(super) async fn whole(
    store: &dyn ObjectWrite,
    release: ReleaseId,
) -> Result<Whole, PublishError> {
    publish::whole(store, &layout(), &channel(), release, AT_ONCE, UNIX_EPOCH).await
}

async fn switch(
    to: Switch,
    history: &History,
    store: &dyn ObjectWrite,
    nonce: &str,
) -> Result<Switched, PublishError> {
    publish::switch(to, history, store, &layout(), UNIX_EPOCH, nonce.to_owned()).await
}

/// As the command without ID does it.
pub(super) async fn roll_back(
    store: &dyn ObjectWrite,
    nonce: &str,
) -> Result<Switched, PublishError> {
    let history = history(store).await?;
    let head = history.head().unwrap();
    let to = if head.locked {
        Switch::finish(head)
    } else {
        Switch::roll_back(&whole(store, history.before().unwrap()).await?)
    };
    switch(to, &history, store, nonce).await
}

async fn promote(
    store: &dyn ObjectWrite,
    release: ReleaseId,
    nonce: &str,
) -> Result<Switched, PublishError> {
    let history = history(store).await?;
    let whole = whole(store, release).await?;
    switch(Switch::promote(&whole).by("anna\n"), &history, store, nonce).await
}

pub(super) async fn unlock(store: &dyn ObjectWrite, nonce: &str) -> Result<Switched, PublishError> {
    let history = history(store).await?;
    switch(Switch::unlock(history.head().unwrap()), &history, store, nonce).await
}

fn is_locked(outcome: &Result<Release, Failure>) -> bool {
    matches!(outcome, Err(Failure::Refused(Refused::Locked { head })) if head.locked)
}

#[tokio::test]
async fn a_rollback_makes_the_release_before_the_head_and_locks_it() {
    let (store, a, b) = bucket().await;
    let back = roll_back(&*store, "r").await.unwrap();
    assert!(!back.unchanged);
    let head = whole_head(&store).await.unwrap();
    assert_eq!(head, back.activation);
    assert_eq!((head.release, head.seq, head.locked), (a.activation.release, 3, true));

    // Again is still one step back.
    let again = roll_back(&*store, "r2").await.unwrap();
    assert!(again.unchanged);
    assert_eq!(again.activation, head);
    assert_ne!(head.release, b.activation.release);
}

#[tokio::test]
async fn a_publish_on_a_locked_channel_sends_nothing_until_it_is_unlocked() {
    let (store, a, _) = bucket().await;
    roll_back(&*store, "r").await.unwrap();
    let before = keys(&store).await;

    let probe = Probe::new(&store, Fault::None);
    let refused = publish_to(&changed("c"), &probe, "c").await;
    assert!(is_locked(&refused), "{refused:?}");
    assert!(probe.calls().iter().all(|call| call.starts_with("GET ")), "{:?}", probe.calls());
    assert_eq!(keys(&store).await, before);
    let same = publish_to(&changed("a"), &*store, "same").await.unwrap();
    assert!(same.unchanged);

    let unlocked = unlock(&*store, "u").await.unwrap();
    assert_eq!(unlocked.activation.release, a.activation.release);
    assert!(unlock(&*store, "u2").await.unwrap().unchanged);
    let c = publish_to(&changed("c"), &*store, "c").await.unwrap();
    assert_eq!(whole_head(&store).await, Some(c.activation));
}

#[tokio::test]
async fn a_promotion_is_explicit_so_it_clears_a_lock() {
    let (store, a, b) = bucket().await;
    roll_back(&*store, "r").await.unwrap();
    let promoted = promote(&*store, b.activation.release, "p").await.unwrap().activation;
    assert_eq!((promoted.release, promoted.locked), (b.activation.release, false));
    assert_eq!(promoted.by.as_deref(), Some("anna"));
    assert_eq!(whole_head(&store).await, Some(promoted.clone()));
    assert!(promote(&*store, b.activation.release, "p2").await.unwrap().unchanged);
    assert_eq!(history(&*store).await.unwrap().records().len(), 4);

    // The locked release itself.
    roll_back(&*store, "r2").await.unwrap();
    let promoted = promote(&*store, a.activation.release, "p3").await.unwrap();
    assert!(!promoted.unchanged && !promoted.activation.locked, "{promoted:?}");
}

#[tokio::test]
async fn a_staged_release_is_promoted_on_a_new_channel() {
    let (store, a, _) = bucket().await;
    let preview = Channel::parse("preview-42").unwrap();
    let history = publish::history(&*store, &layout(), &preview, 50).await.unwrap();
    assert!(history.head().is_none() && history.before().is_none());
    let whole = whole(&*store, a.activation.release).await.unwrap();
    let to = Switch::promote(&whole);
    let promoted = switch(to, &history, &*store, "p").await.unwrap().activation;
    assert_eq!((promoted.seq, &promoted.channel), (1, &preview));
    let base = publish::base(&*store, &layout(), &preview).await.unwrap();
    assert_eq!(base.head(), Some(&promoted));
}

#[tokio::test]
async fn a_release_that_is_not_whole_is_told_in_full_and_nothing_is_written() {
    let (store, a, _) = bucket().await;
    let key = |path: &str| layout().object(&a.manifest.get(path).unwrap().key);
    store.delete(&key("js/app.js"), None).await.unwrap();
    store.put(&key("css/app.css"), Bytes::from("short"), &Default::default()).await.unwrap();
    let before = keys(&store).await;
    let head = read(&*store, &layout().head(channel())).await;

    let Err(PublishError::Broken { release, objects }) = roll_back(&*store, "r").await else {
        panic!("it was not refused")
    };
    assert_eq!(release, a.activation.release);
    let size = a.manifest.get("css/app.css").unwrap().size;
    let told: Vec<String> = objects.iter().map(ToString::to_string).collect();
    let expected = [
        format!("`{}` has 5 bytes instead of {size}", key("css/app.css")),
        format!("`{}` is missing", key("js/app.js")),
    ];
    assert_eq!(told, expected);
    assert_eq!(keys(&store).await, before);
    assert_eq!(read(&*store, &layout().head(channel())).await, head);
}

#[tokio::test]
async fn a_release_that_is_unknown_altered_or_unreachable_is_each_told_apart() {
    let (store, a, _) = bucket().await;
    let unknown = ReleaseId::new(Digest::of(b"unknown"));
    let outcome = whole(&*store, unknown).await;
    assert!(matches!(outcome, Err(PublishError::NoRelease { release }) if release == unknown));

    for (kind, denied) in [(StoreErrorKind::Denied, true), (StoreErrorKind::Unavailable, false)] {
        let probe = Probe::new(&store, Fault::Refuse(Operation::Head, "css/app.", kind));
        let error = whole(&probe, a.activation.release).await.unwrap_err();
        assert_eq!(error.is_denied(), denied, "{error}");
        assert!(matches!(error, PublishError::Store(_)), "{error}");
    }

    let key = layout().manifest(a.activation.release);
    store.put(&key, Bytes::from("{}"), &Default::default()).await.unwrap();
    let outcome = whole(&*store, a.activation.release).await;
    assert!(matches!(outcome, Err(PublishError::Unreadable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn the_order_of_the_newest_build_outlives_a_rollback() {
    let store = Arc::new(MemoryStore::default());
    let ordered = |order| Options { order, ..options() };
    publish_with(&changed("a"), &*store, &ordered(4), "a").await.unwrap();
    publish_with(&changed("b"), &*store, &ordered(6), "b").await.unwrap();
    assert_eq!(roll_back(&*store, "r").await.unwrap().activation.order, 6);
    unlock(&*store, "u").await.unwrap();
    let older = publish_with(&changed("c"), &*store, &ordered(5), "c").await;
    assert!(matches!(older, Err(Failure::Refused(Refused::Superseded { .. }))), "{older:?}");
    publish_with(&changed("c"), &*store, &ordered(7), "c").await.unwrap();
}

#[tokio::test]
async fn a_name_in_a_record_is_short_and_plain() {
    let (store, a, _) = bucket().await;
    let history = history(&*store).await.unwrap();
    let to = Switch::promote(&whole(&*store, a.activation.release).await.unwrap());
    let switched = switch(to.by(&"n\u{1b}".repeat(1000)), &history, &*store, "p").await.unwrap();
    assert_eq!(switched.activation.by, Some("n".repeat(64)));
}

#[tokio::test]
async fn two_releases_differ_in_what_was_added_removed_and_changed() {
    let store = Arc::new(MemoryStore::default());
    let a = publish_to(&tree(SHOP), &*store, "a").await.unwrap();
    let dir = tree(SHOP);
    write(dir.path(), "new.txt", "new");
    write(dir.path(), "js/app.js", "console.log('closed')");
    fs::remove_file(dir.path().join("index.html")).unwrap();
    let shrinking = Options { allow_shrink: true, ..options() };
    let b = publish_with(&dir, &*store, &shrinking, "b").await.unwrap();

    let diff = Diff::between(&a.manifest, &b.manifest);
    let sizes = |path: &AssetPath| {
        let size = |manifest: &Manifest| manifest.get(path.as_str()).map(|entry| entry.size);
        (size(&a.manifest), size(&b.manifest))
    };
    let added: Vec<_> = diff.added.iter().map(|one| (one.path.as_str(), one.size)).collect();
    assert_eq!(added, [("new.txt", 3)]);
    let removed: Vec<_> = diff.removed.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(removed, ["index.html"]);
    let [changed] = &diff.changed[..] else { panic!("{diff:?}") };
    assert_eq!(changed.path.as_str(), "js/app.js");
    assert_eq!((Some(changed.from_size), Some(changed.size)), sizes(&changed.path));
    assert_ne!(changed.from_key, changed.key);
    assert_eq!(diff.same, 2);
    assert_eq!(Diff::between(&a.manifest, &a.manifest), Diff { same: 4, ..Diff::default() });
}
