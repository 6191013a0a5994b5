//! Content codings of what is published: what is made, sent, taken over and served.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use std::time::SystemTime;

use awning::clock::Clock;
use awning::manifest::Variant;
use awning::manifest::field::FieldValue;
use awning::publish::{Cache, Compress, Diff, Event, Pattern, Rule, Rules, Step};
use awning::semantics::encoding::Coding;
use awning::shield::Shield;
use awning::shield::metrics::Metrics;
use awning::store::Operation;

use super::*;
use crate::harness::probe::{Fault, Probe};
use crate::harness::release::{CDN, SITE, config};
use crate::harness::visit::get;

const CACHE_BYTES: u64 = 1 << 20;

/// Text that any coding makes shorter.
fn prose(word: &str, times: usize) -> String {
    (0..times).map(|n| format!("/* {word} {} */ a{{color:red}}\n", n % 7)).collect()
}

/// Bytes that no coding makes shorter.
fn noise(count: u32) -> Vec<u8> {
    (0..count).flat_map(|n| *Digest::of(&n.to_le_bytes()).as_bytes()).collect()
}

/// A sheet, a script, a page that names both, and what is not coded.
fn shop() -> TempDir {
    let dir = tree(&[
        ("css/app.css", &prose("sheet", 100)),
        ("js/app.js", &prose("script", 50)),
        ("index.html", &format!("<link rel=stylesheet href=css/app.css>{}", "<p>hi".repeat(99))),
        ("fonts/a.woff2", &prose("font", 100)),
        ("small.css", "a{}"),
    ]);
    fs::write(dir.path().join("noise.txt"), noise(60)).unwrap();
    dir
}

fn build_on(dir: &TempDir, base: &publish::Base, coder: &Coder, options: &Options) -> Build {
    let build = build(dir, options).unwrap();
    publish::encode(build, base, coder, options, &mut |_| ()).unwrap()
}

/// What a publish codes: the files and bytes that it tells of.
fn coded(dir: &TempDir, base: &publish::Base, coder: &Coder) -> Option<(usize, u64)> {
    coded_under(dir, base, coder, &options())
}

fn coded_under(
    dir: &TempDir,
    base: &publish::Base,
    coder: &Coder,
    options: &Options,
) -> Option<(usize, u64)> {
    let mut told = None;
    let build = build(dir, options).unwrap();
    let mut tell = |event| {
        if let Event::Encoding { files, bytes } = event {
            told = Some((files, bytes));
        }
    };
    publish::encode(build, base, coder, options, &mut tell).unwrap();
    told
}

async fn base_of(store: &dyn ObjectRead) -> publish::Base {
    publish::base(store, &layout(), &channel()).await.unwrap()
}

fn decoded(coding: Coding, coded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    match coding {
        Coding::Br => brotli::BrotliDecompress(&mut &coded[..], &mut decoded).unwrap(),
        Coding::Zstd => decoded = zstd::stream::decode_all(coded).unwrap(),
        Coding::Gzip => drop(flate2::read::GzDecoder::new(coded).read_to_end(&mut decoded)),
    }
    decoded
}

#[tokio::test]
async fn assets_that_compress_are_stored_in_three_codings_besides() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&shop(), &*store, "n1").await.unwrap();
    assert_eq!(release.sent.0, 6 + 3 * 3);
    whole_head(&store).await.unwrap();
    for path in ["css/app.css", "js/app.js", "index.html"] {
        let entry = release.manifest.get(path).unwrap();
        let identity = read(&*store, &layout().object(&entry.key)).await.unwrap();
        assert_eq!(entry.variants.len(), 3, "{path}");
        for (coding, Variant { b3, key, size }) in &entry.variants {
            assert_eq!(key.to_string(), format!("{}{}", entry.key, coding.suffix()));
            assert!(*size <= entry.size * 95 / 100, "{path} as {coding}");
            let key = layout().object(key);
            let headers = store.head(&key).await.unwrap().headers;
            assert_eq!(headers.content_encoding.as_deref(), Some(coding.name()));
            assert_eq!(headers.content_type.as_ref(), Some(&entry.content_type));
            assert_eq!(headers.cache_control.as_ref(), Some(&entry.cache));
            assert_eq!(headers.meta["blake3"], b3.to_string());
            assert_eq!(decoded(*coding, &read(&*store, &key).await.unwrap()), identity);
        }
    }
    for path in ["fonts/a.woff2", "small.css", "noise.txt"] {
        assert!(release.manifest.get(path).unwrap().variants.is_empty(), "{path}");
    }
    let left = &release.manifest.encoding().unwrap().left;
    assert_eq!(left.iter().map(|path| path.as_str()).collect::<Vec<_>>(), ["noise.txt"]);
}

#[tokio::test]
async fn without_compression_nothing_is_coded() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_with(&shop(), &*store, &plain(), "n1").await.unwrap();
    assert_eq!(release.sent.0, 6);
    assert_eq!(release.manifest.encoding(), None);

    // Turned on, the variants are new, and what is there is kept.
    let release = publish_to(&shop(), &*store, "n2").await.unwrap();
    assert_eq!(release.sent.0, 9);
    whole_head(&store).await.unwrap();
}

#[tokio::test]
async fn a_publish_of_the_same_tree_codes_nothing_and_costs_two_reads() {
    let store = Arc::new(MemoryStore::default());
    publish_to(&shop(), &*store, "n1").await.unwrap();
    assert_eq!(coded(&shop(), &base_of(&*store).await, &Coder::default()), None);

    let probe = Probe::new(&store, Fault::None);
    let again = publish_to(&shop(), &probe, "n2").await.unwrap();
    assert!(again.unchanged);
    assert_eq!(probe.calls().len(), 2, "{:?}", probe.calls());
}

#[tokio::test]
async fn only_what_changed_is_coded_and_sent() {
    let store = Arc::new(MemoryStore::default());
    let dir = shop();
    publish_to(&dir, &*store, "n1").await.unwrap();
    let text = prose("changed", 50);
    write(dir.path(), "js/app.js", &text);
    let base = base_of(&*store).await;
    assert_eq!(coded(&dir, &base, &Coder::default()), Some((1, text.len() as u64)));

    let plan = planned(&dir, &*store, &options()).await.unwrap();
    let sent = |step: &Step| match step {
        Step::Put { path, coding, .. } => Some((path.to_string(), *coding)),
        Step::Keep { .. } => None,
    };
    let sent: Vec<_> = plan.steps().iter().filter_map(sent).collect();
    let script = |coding| ("js/app.js".to_owned(), coding);
    let codings = [None, Some(Coding::Br), Some(Coding::Zstd), Some(Coding::Gzip)];
    assert_eq!(sent, codings.map(script));
    let shown = plan.to_string();
    assert!(shown.contains("\n  js/app.js as br -> a/js/app."), "{shown}");
    let json = serde_json::to_value(&plan).unwrap();
    let codings: Vec<_> = json["steps"].as_array().unwrap().iter().map(|s| &s["coding"]).collect();
    assert_eq!(codings.iter().filter(|coding| **coding == "zstd").count(), 3);
}

#[tokio::test]
async fn a_renamed_asset_takes_its_codings_along() {
    let store = Arc::new(MemoryStore::default());
    let dir = shop();
    publish_to(&dir, &*store, "n1").await.unwrap();
    fs::rename(dir.path().join("js/app.js"), dir.path().join("js/main.js")).unwrap();
    assert_eq!(coded(&dir, &base_of(&*store).await, &Coder::default()), None);
    publish_to(&dir, &*store, "n2").await.unwrap();
    whole_head(&store).await.unwrap();
}

#[tokio::test]
async fn the_manifest_does_not_tell_how_its_variants_came_about() {
    let store = Arc::new(MemoryStore::default());
    let dir = shop();
    let (cached, fresh) = (tempfile::tempdir().unwrap(), publish::Base::default());
    let coder = || Coder::new(Some(Cache::at(cached.path(), CACHE_BYTES)));
    publish_to(&dir, &*store, "n1").await.unwrap();
    write(dir.path(), "js/app.js", &prose("changed", 50));
    write(dir.path(), "twin.js", &prose("changed", 50));

    let base = base_of(&*store).await;
    let bytes = |build: Build| {
        let (release, bytes) = build.manifest().to_bytes().unwrap();
        assert_eq!(build.release(), release);
        String::from_utf8(bytes).unwrap()
    };
    let expected = bytes(build_on(&dir, &fresh, &Coder::default(), &options()));
    assert!(expected.starts_with(r#"{"encoding":{"left":["noise.txt"],"version":1},"#));
    for (how, base, coder) in [
        ("taken over in part", &base, Coder::default()),
        ("into the cache", &fresh, coder()),
        ("from the cache", &fresh, coder()),
        ("taken over and cached", &base, coder()),
    ] {
        assert_eq!(bytes(build_on(&dir, base, &coder, &options())), expected, "{how}");
    }
}

#[test]
fn two_clones_make_the_same_manifest() {
    let one = shop();
    let other = tempfile::tempdir().unwrap();
    let mut files: Vec<_> =
        ["css/app.css", "js/app.js", "index.html", "fonts/a.woff2", "small.css", "noise.txt"]
            .into();
    files.reverse();
    for (age, path) in files.iter().enumerate() {
        write(other.path(), path, "");
        fs::copy(one.path().join(path), other.path().join(path)).unwrap();
        let file = fs::File::options().write(true).open(other.path().join(path)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(age as u64)).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    }
    let bytes = |dir: &TempDir| {
        let build = build_on(dir, &publish::Base::default(), &Coder::default(), &options());
        build.manifest().to_bytes().unwrap()
    };
    assert_eq!(bytes(&one), bytes(&other));
}

#[tokio::test]
async fn what_the_cache_lost_or_damaged_is_made_again() {
    let cached = tempfile::tempdir().unwrap();
    let coder = Coder::new(Some(Cache::at(cached.path(), CACHE_BYTES)));
    let dir = shop();
    let store = Arc::new(MemoryStore::default());
    let build = build_on(&dir, &base_of(&*store).await, &coder, &options());
    let plan = publish::plan(build, base_of(&*store).await, &options()).unwrap();
    let mut files = 0;
    for part in fs::read_dir(cached.path()).unwrap() {
        for file in fs::read_dir(part.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            match files % 2 {
                0 => fs::remove_file(path).unwrap(),
                _ => fs::write(path, "damaged").unwrap(),
            }
            files += 1;
        }
    }
    assert_eq!(files, 4 * 3, "noise is coded as well, to learn that it is left");
    publish::upload(plan, &*store, &layout(), &options(), &mut |_| ()).await.unwrap();
    publish_to(&dir, &*store, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
}

#[tokio::test]
async fn no_variant_is_sent_before_every_asset_is_there() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::None);
    publish_to(&shop(), &probe, "n1").await.unwrap();
    let calls = probe.calls();
    let puts = calls.iter().filter_map(|call| call.strip_prefix("PUT shop/a/"));
    let is_variant = |key: &str| Coding::ALL.iter().any(|coding| key.ends_with(coding.suffix()));
    let order: Vec<bool> = puts.map(is_variant).collect();
    assert_eq!(order, [[false; 6].as_slice(), &[true; 9]].concat());

    let store = Arc::new(MemoryStore::default());
    let fault = Fault::Refuse(Operation::Put, "small.", StoreErrorKind::Denied);
    let probe = Probe::new(&store, fault);
    publish_to(&shop(), &probe, "n1").await.unwrap_err();
    assert!(!probe.calls().iter().any(|call| is_variant(call)), "{:?}", probe.calls());
}

#[tokio::test]
async fn a_variant_that_is_refused_fails_the_publish() {
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::Refuse(Operation::Put, ".zst", StoreErrorKind::Denied));
    let error = publish_to(&shop(), &probe, "n1").await.unwrap_err();
    let Failure::Publish(PublishError::Incomplete { failed, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(failed.iter().all(|(key, _)| key.ends_with(".css.zst") || key.contains(".zst")));
    assert_eq!(whole_head(&store).await, None);
    publish_to(&shop(), &*store, "n2").await.unwrap();
    whole_head(&store).await.unwrap();
}

#[tokio::test]
async fn a_store_that_keeps_another_variant_is_found_out() {
    let store = Arc::new(MemoryStore::default());
    let outcome = publish_to(&shop(), &Probe::new(&store, Fault::Damage(".br")), "n1").await;
    let damaged = matches!(
        &outcome,
        Err(Failure::Publish(PublishError::Damaged { key })) if key.ends_with(".br")
    );
    assert!(damaged, "{outcome:?}");

    // Where validators are foreign, what is read back decides.
    let store = Arc::new(MemoryStore::default());
    let probe = Probe::new(&store, Fault::OtherValidators);
    publish_to(&shop(), &probe, "n1").await.unwrap();
    let gets = probe.calls().into_iter().filter(|call| call.starts_with("GET shop/a/"));
    assert_eq!(gets.collect::<BTreeSet<_>>().len(), 15);
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_coded_is_not_sent_in_any_coding() {
    let dir = shop();
    let store = Arc::new(MemoryStore::default());
    let plan = planned(&dir, &*store, &options()).await.unwrap();
    let size = plan.manifest().get("js/app.js").unwrap().size;
    write(dir.path(), "js/app.js", &"x".repeat(usize::try_from(size).unwrap()));
    let outcome = publish::upload(plan, &*store, &layout(), &options(), &mut |_| ()).await;
    let changed =
        matches!(&outcome, Err(PublishError::Changed { path, .. }) if path.as_str() == "js/app.js");
    assert!(changed, "{outcome:?}");
    assert!(keys(&store).await.iter().all(|key| !key.contains("js/app.")));
}

#[tokio::test]
async fn a_file_that_changed_before_it_is_coded_is_a_problem_of_the_tree() {
    let dir = shop();
    let build = build(&dir, &options()).unwrap();
    write(dir.path(), "js/app.js", &prose("other", 50));
    let base = publish::Base::default();
    let outcome = publish::encode(build, &base, &Coder::default(), &options(), &mut |_| ());
    let Err(BuildError::Problems(problems)) = outcome else { panic!("{outcome:?}") };
    let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(problems, ["js/app.js: error: the file changed while it was being read"]);
}

#[tokio::test]
async fn a_release_without_one_of_its_variants_is_not_whole() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&shop(), &*store, "n1").await.unwrap();
    let variant = &release.manifest.get("css/app.css").unwrap().variants[&Coding::Gzip];
    let key = layout().object(&variant.key);
    store.delete(&key, None).await.unwrap();
    let id = release.activation.release;
    let (channel, now) = (options().channel, SystemTime::UNIX_EPOCH);
    let whole = publish::whole(&*store, &layout(), &channel, id, 4, now).await;
    let broken = whole.unwrap_err();
    let PublishError::Broken { objects, .. } = broken else { panic!("{broken:?}") };
    assert_eq!(objects.len(), 1);
    assert_eq!((&objects[0].key, objects[0].found), (&key, None));
}

#[tokio::test]
async fn releases_that_differ_in_codings_differ() {
    let fresh = publish::Base::default();
    let one = build_on(&shop(), &fresh, &Coder::default(), &plain());
    let other = build_on(&shop(), &fresh, &Coder::default(), &options());
    let diff = Diff::between(one.manifest(), other.manifest());
    assert_eq!((diff.changed.len(), diff.same), (3, 3));
    assert_eq!(diff.changed[0].from_codings, []);
    assert_eq!(diff.changed[0].codings, Coding::ALL);
}

#[tokio::test]
async fn a_bound_on_the_memory_of_an_upload_holds_for_variants_as_well() {
    let store = Arc::new(MemoryStore::default());
    let narrow = Options { upload_bytes: 1, ..options() };
    publish_with(&shop(), &*store, &narrow, "n1").await.unwrap();
    whole_head(&store).await.unwrap();
}

#[tokio::test]
async fn a_shield_gives_each_visitor_the_coding_it_likes() {
    let store = Arc::new(MemoryStore::default());
    let release = publish_to(&shop(), &*store, "n1").await.unwrap();
    let origin: Arc<dyn ObjectRead> = store.clone();
    let metrics = Arc::new(Metrics::default());
    let shield = Shield::new(config(1 << 20), Some(origin), layout(), Clock::System, metrics);
    let shield = shield.unwrap();
    shield.refresh().await;

    let entry = release.manifest.get("css/app.css").unwrap();
    let identity = read(&*store, &layout().object(&entry.key)).await.unwrap();
    let name = format!("/{}", entry.key.public_name().unwrap());
    let mut tags = BTreeSet::new();
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", Some(Coding::Br)),
        ("gzip, deflate, zstd", Some(Coding::Zstd)),
        ("gzip, deflate", Some(Coding::Gzip)),
        ("identity", None),
        ("br;q=0", None),
    ] {
        for (host, path) in [(CDN, name.as_str()), (SITE, "/css/app.css")] {
            let visit = || get(host, path).header("accept-encoding", accepted);
            let seen = visit().of(&shield).await;
            assert_eq!(seen.status, 200, "{accepted} of {host}");
            assert_eq!(seen.header("content-encoding"), coding.map_or("", Coding::name));
            assert_eq!(seen.header("vary"), "Accept-Encoding", "{accepted} of {host}");
            assert_eq!(seen.header("content-type"), "text/css; charset=utf-8");
            let body = seen.body.as_ref().unwrap();
            let size = coding.map_or(entry.size, |coding| entry.variants[&coding].size);
            assert_eq!(body.len() as u64, size, "{accepted} of {host}");
            let plain = coding.map_or(body.to_vec(), |coding| decoded(coding, body));
            assert_eq!(plain, identity, "{accepted} of {host}");
            tags.insert(seen.header("etag").to_owned());

            let head = visit().method("HEAD").of(&shield).await;
            assert_eq!(head.header("content-length"), size.to_string(), "{accepted} of {host}");
            assert_eq!(head.header("etag"), seen.header("etag"));
            let again = visit().header("if-none-match", seen.header("etag")).of(&shield).await;
            assert_eq!(again.status, 304, "{accepted} of {host}");
        }
    }
    assert_eq!(tags.len(), 4, "one validator for each coding: {tags:?}");
    // A font that is compressed by its own format has one form only.
    let font = get(SITE, "/fonts/a.woff2").header("accept-encoding", "br").of(&shield).await;
    assert_eq!((font.header("content-encoding"), font.header("vary")), ("", ""));
}

#[tokio::test]
async fn under_other_rules_the_variants_of_the_base_are_taken_over_as_well() {
    let (store, dir, coder) = (Arc::new(MemoryStore::default()), shop(), Coder::default());
    publish_to(&dir, &*store, "n1").await.unwrap();
    let base = base_of(&*store).await;
    let ruled = |set: fn(&mut Rule)| {
        let mut rule = Rule::of(Pattern::parse("css/**").unwrap());
        set(&mut rule);
        Options { rules: Rules::new(vec![rule]).unwrap(), ..options() }
    };
    // What has no variants may not have been tried: it is coded again.
    let untold = fs::metadata(dir.path().join("noise.txt")).unwrap().len();
    let tables: [fn(&mut Rule); 2] = [
        |rule| rule.content_type = FieldValue::media_type("text/css").ok(),
        |rule| rule.compress = Some(Compress::Only(vec![Coding::Gzip])),
    ];
    for set in tables {
        let options = ruled(set);
        assert_eq!(coded_under(&dir, &base, &coder, &options), Some((1, untold)));
        let afresh = build_on(&dir, &publish::Base::default(), &coder, &options);
        assert_eq!(build_on(&dir, &base, &coder, &options).release(), afresh.release());
    }
}
