//! What a publish leaves in the bucket, and what it costs.

use super::*;
use crate::harness::probe::{Fault, Probe};

#[tokio::test]
async fn a_publish_leaves_objects_a_manifest_a_record_and_a_head() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let release = publish_to(&dir, &*store, "n1").await.unwrap();
    assert!(!release.unchanged);
    assert_eq!(release.sent.0, 4);

    let key = |path: &str| release.manifest.get(path).unwrap().key.to_string();
    let id = release.activation.release;
    let mut expected = vec![
        ".awning/channels/production/head.json".to_owned(),
        ".awning/channels/production/log/00000000000000000001-n1.json".to_owned(),
        ".awning/intents/".to_owned(),
        format!(".awning/releases/{id}.json"),
        key("css/app.css"),
        key("img/awning.svg"),
        key("index.html"),
        key("js/app.js"),
    ];
    expected.sort();
    let mut keys = keys(&store).await;
    let intent = keys.iter_mut().find(|key| key.starts_with(".awning/intents/")).unwrap();
    intent.truncate(".awning/intents/".len());
    assert_eq!(keys, expected);
    assert_eq!(whole_head(&store).await, Some(release.activation));
}

#[tokio::test]
async fn an_object_carries_its_type_lifetime_and_digest() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&tree(SHOP), &*store, "n1").await.unwrap();
    let entry = release.manifest.get("css/app.css").unwrap();
    let head = store.head(&layout().object(&entry.key)).await.unwrap();
    assert_eq!(head.headers.content_type.as_deref(), Some("text/css; charset=utf-8"));
    let cache = head.headers.cache_control.as_deref();
    assert_eq!(cache, Some("public, max-age=31536000, immutable"));
    assert_eq!(head.headers.meta["blake3"], entry.b3.to_string());

    let head = store.head(&layout().head(channel())).await.unwrap();
    assert_eq!(head.headers.cache_control.as_deref(), Some("no-cache"));
}

#[tokio::test]
async fn publishing_the_same_tree_again_is_two_reads_however_large_it_is() {
    let store = Arc::new(MemoryStore::default());
    let dir = tempfile::tempdir().unwrap();
    for number in 0..10_000 {
        write(dir.path(), &format!("{}/{number}.txt", number % 100), &number.to_string());
    }
    let first = publish_to(&dir, &*store, "n1").await.unwrap();

    let probe = Probe::new(&store, Fault::None);
    let again = publish_to(&dir, &probe, "n2").await.unwrap();
    assert!(again.unchanged);
    assert_eq!((again.activation, again.sent.0), (first.activation.clone(), 0));
    let head = format!("GET {}", layout().head(channel()));
    let manifest = format!("GET {}", layout().manifest(first.activation.release));
    assert_eq!(probe.calls(), [head, manifest]);
}

#[tokio::test]
async fn a_publish_says_what_it_is_about_to_store_and_reads_what_is_condemned() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    publish_to(&tree(SHOP), &probe, "n1").await.unwrap();
    let calls = probe.calls();
    assert_eq!(calls[0], format!("GET {}", layout().head(channel())));
    assert!(calls[1].starts_with("PUT shop/.awning/intents/"), "{calls:#?}");
    assert_eq!(calls[2], calls[1].replace("PUT", "HEAD"));
    assert_eq!(calls[3], "LIST shop/.awning/gc/");
    assert!(calls[4].starts_with("PUT shop/a/"), "{calls:#?}");
}

#[tokio::test]
async fn a_changed_leaf_is_sent_with_what_refers_to_it_and_nothing_else() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    publish_to(&dir, &*store, "n1").await.unwrap();
    write(dir.path(), "img/awning.svg", "<svg xmlns='http://www.w3.org/2000/svg' id='b'/>");

    let probe = Probe::new(&store, Fault::None);
    let release = publish_to(&dir, &probe, "n2").await.unwrap();
    let mut puts: Vec<_> = probe.calls();
    puts.retain(|call| call.starts_with("PUT ") && !call.contains("/intents/"));
    let put = |path: &str| {
        let key = &release.manifest.get(path).unwrap().key;
        format!("PUT {}", layout().object(key))
    };
    let mut objects = vec![put("css/app.css"), put("img/awning.svg"), put("index.html")];
    objects.sort();
    puts[..3].sort();
    assert_eq!(puts[..3], objects);
    let rest = [
        format!("PUT {}", layout().manifest(release.activation.release)),
        format!("PUT {}", layout().record(channel(), 2, "n2")),
        format!("PUT {}", layout().head(channel())),
    ];
    assert_eq!(puts[3..], rest);
    assert_eq!(whole_head(&store).await, Some(release.activation));
}

#[tokio::test]
async fn a_tree_published_before_is_head_again_without_its_objects_being_trusted() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let first = publish_to(&dir, &*store, "n1").await.unwrap();
    write(dir.path(), "js/app.js", "console.log('closed')");
    publish_to(&dir, &*store, "n2").await.unwrap();
    write(dir.path(), "js/app.js", "console.log('open')");
    let third = publish_to(&dir, &*store, "n3").await.unwrap();
    assert_eq!(third.activation.release, first.activation.release);
    assert_eq!(third.activation.seq, 3);
    // The script and the page: the head's manifest does not name the old ones.
    assert_eq!(third.sent.0, 2);
    assert_eq!(whole_head(&store).await, Some(third.activation));
}

#[tokio::test]
async fn a_damaged_head_or_manifest_is_replaced_by_a_publish() {
    let dir = tree(SHOP);
    for damaged in ["head", "manifest"] {
        let store = Arc::new(MemoryStore::default());
        let first = publish_to(&dir, &*store, "n1").await.unwrap();
        let key = match damaged {
            "head" => layout().head(channel()),
            _ => layout().manifest(first.activation.release),
        };
        store.put(&key, Bytes::from("{"), &Default::default()).await.unwrap();

        let plan = planned(&dir, &*store, &options()).await.unwrap();
        assert!(plan.to_string().contains(&format!("remark: `{key}` is not readable")), "{plan}");
        assert_eq!(plan.uploads().0, 4, "{damaged}");
        let again = publish_to(&dir, &*store, "n2").await.unwrap();
        assert_eq!(again.activation.release, first.activation.release);
        assert_eq!(whole_head(&store).await, Some(again.activation), "{damaged}");
    }
}

#[tokio::test]
async fn a_staged_release_is_stored_but_not_the_head() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    let plan = planned(&dir, &*store, &options()).await.unwrap();
    let uploaded =
        publish::upload(plan, &*store, &layout(), &options(), &mut |_| ()).await.unwrap();
    let release = publish::stage(&uploaded, &*store, &layout()).await.unwrap();
    assert!(read(&*store, &layout().manifest(release)).await.is_some());
    assert_eq!(whole_head(&store).await, None);
}

#[tokio::test]
async fn a_plan_reads_as_a_dry_run_and_as_json() {
    let store = Arc::new(MemoryStore::default());
    let dir = tree(SHOP);
    publish_to(&dir, &*store, "n1").await.unwrap();
    write(dir.path(), "js/app.js", "console.log('closed')");
    write(dir.path(), "new.txt", &"x".repeat(1536));
    write(dir.path(), "img/.DS_Store", "");
    fs::remove_file(dir.path().join("css/app.css")).unwrap();

    let plan = planned(&dir, &*store, &plain()).await.unwrap();
    let shown = plan.to_string();
    let key = |path: &str| plan.manifest().get(path).unwrap().key.clone();
    for line in [
        "upload new, 1 object(s), 1.5 KiB".to_owned(),
        format!("  new.txt -> {}  1.5 KiB", key("new.txt")),
        "upload changed, 2 object(s), ".to_owned(),
        format!("  js/app.js -> {}  21 B", key("js/app.js")),
        "keep 1 object(s), 41 B".to_owned(),
        "gone from the release, 1 asset(s); their objects stay\n  css/app.css".to_owned(),
        "leave out 1 path(s)\n  img/.DS_Store (built-in: .DS_Store)".to_owned(),
        "then switch the channel".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line:?} is missing in\n{shown}");
    }
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["step"], "keep");
    assert_eq!(json["steps"][3]["reason"], "new");
    assert_eq!(json["steps"][3]["size"], 1536);
    assert_eq!(json["release"], plan.release().to_string());
    assert_eq!(json["warnings"][0]["line"], 1);
}
