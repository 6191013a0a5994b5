//! What is not published, and that nothing happens then.

use super::*;
use crate::harness::probe::{Fault, Probe};

fn sized(files: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    (0..files).for_each(|number| write(dir.path(), &format!("{number}.txt"), "text"));
    dir
}

#[tokio::test]
async fn an_empty_directory_is_refused_before_the_store_is_called() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    let outcome = publish_to(&tree(&[]), &probe, "n1").await;
    assert!(matches!(outcome, Err(Failure::Build(BuildError::Problems(_)))), "{outcome:?}");
    assert_eq!(probe.calls(), [""; 0]);
    assert_eq!(problems(&tree(&[]), &options()), [".: error: there is nothing to publish"]);
}

#[test]
fn all_problems_of_a_tree_are_reported_at_once() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n";
    let dir = tree(&[
        (".env", "SECRET=1"),
        ("a.css", "a{background:url(gone.png)}"),
        ("A.css", ""),
        ("deploy.txt", key),
    ]);
    let found = problems(&dir, &options());
    let expected = [
        ".env: error: `.env` usually holds a secret",
        "a.css: error: differs from `A.css` only in letter case",
        "a.css:1:18: warning: `gone.png` names no asset",
        "deploy.txt:1:1: error: holds a private key",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} instead of {expected}");
    }
}

#[test]
fn a_file_that_cannot_be_a_source_is_a_build_error() {
    let dir = tree(&[("a.css", "")]);
    let outcome = publish::build(&dir.path().join("a.css"), &options(), &mut |_| ());
    assert!(matches!(outcome, Err(BuildError::Source(_))), "{outcome:?}");
}

#[tokio::test]
async fn losing_more_than_half_of_the_channel_is_refused_unless_allowed() {
    let store = Arc::new(MemoryStore::default());
    publish_to(&sized(10), &*store, "n1").await.unwrap();

    let outcome = publish_to(&sized(4), &*store, "n2").await;
    let refused =
        matches!(outcome, Err(Failure::Refused(Refused::Shrink { files: 4, base_files: 10, .. })));
    assert!(refused, "{outcome:?}");
    publish_to(&sized(5), &*store, "n3").await.unwrap();

    let allowed = Options { allow_shrink: true, ..options() };
    publish_with(&sized(1), &*store, &allowed, "n4").await.unwrap();
}

#[tokio::test]
async fn losing_more_than_half_of_the_bytes_is_refused_as_well() {
    let store = Arc::new(MemoryStore::default());
    publish_to(&tree(&[("a.txt", &"x".repeat(100))]), &*store, "n1").await.unwrap();
    let outcome = publish_to(&tree(&[("a.txt", &"x".repeat(49))]), &*store, "n2").await;
    assert!(matches!(outcome, Err(Failure::Refused(Refused::Shrink { .. }))), "{outcome:?}");
}

#[tokio::test]
async fn a_lower_order_than_the_heads_is_superseded_before_any_upload() {
    let store = Arc::new(MemoryStore::default());
    let ordered = |order| Options { order, ..options() };
    publish_with(&tree(SHOP), &*store, &ordered(7), "n1").await.unwrap();

    let other = tree(&[SHOP, &[("new.txt", "new")]].concat());
    let probe = Probe::new(&store, Fault::None);
    let outcome = publish_with(&other, &probe, &ordered(6), "n2").await;
    let refused =
        matches!(outcome, Err(Failure::Refused(Refused::Superseded { order: 6, head: 7 })));
    assert!(refused, "{outcome:?}");
    assert!(probe.calls().iter().all(|call| call.starts_with("GET ")), "{:?}", probe.calls());
    publish_with(&other, &*store, &ordered(8), "n3").await.unwrap();
}

#[tokio::test]
async fn what_the_plan_will_refuse_is_refused_before_anything_is_encoded() {
    let store = Arc::new(MemoryStore::default());
    let page = "etalage ".repeat(100);
    let dir = tree(&[("a.txt", &page), ("b.txt", "text")]);
    let ordered = |order| Options { order, ..options() };
    let published = publish_with(&dir, &*store, &ordered(7), "n1").await.unwrap();
    assert_eq!(published.manifest.get("a.txt").unwrap().variants.len(), 3);
    let base = publish::base(&*store, &layout(), &channel()).await.unwrap();
    let refuse = |dir: &TempDir, order| {
        publish::refuse(&build(dir, &options()).unwrap(), &base, &ordered(order))
    };
    assert_eq!(refuse(&dir, 6), Ok(()), "it is the head already");
    let other = tree(&[("a.txt", &page), ("b.txt", "edited")]);
    assert_eq!(refuse(&other, 7), Ok(()));
    assert_eq!(refuse(&other, 6), Err(Refused::Superseded { order: 6, head: 7 }));
    let fewer = refuse(&tree(&[("b.txt", "text")]), 7);
    assert!(matches!(fewer, Err(Refused::Shrink { .. })), "{fewer:?}");
}
