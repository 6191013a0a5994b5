//! `awning doctor` before a bucket that is well, and before all that may be
//! wrong with one.

use awning_front::{Change, Fault, Reply, Script, When, cases};
use serde_json::Value;

use crate::harness::{Finished, World, finish};

async fn visit(world: &World, script: Script, arguments: &[&str]) -> Finished {
    world.proxy.script(script);
    let arguments: Vec<_> = ["doctor"].iter().chain(arguments).copied().collect();
    let mut command = world.command(&arguments);
    command.env("AWNING_STORE_TIMEOUT", "2s").env("AWNING_STORE_BACKOFF_MAX", "50ms");
    finish(command).await
}

/// One finding of a JSON document.
fn found<'a>(document: &'a Value, check: &str) -> &'a Value {
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|found| found["check"] == check).unwrap_or_else(|| panic!("{document}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_well_gets_a_line_a_check() {
    let world = World::new().await;
    let well = visit(&world, Script::new(), &[]).await.exited(0);
    for check in ["region", "clock", "endpoint", "credentials", "reading", "listing"] {
        let line = well.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(check));
        assert!(line.is_some_and(|line| line.starts_with("ok ")), "{check}: {}", well.stdout);
    }
    let counts = world.proxy.counts();
    assert_eq!((counts.total(), counts.of("PutObject")), (5, 0), "{}", counts.to_json());
    for never in ["HeadBucket", "ListBuckets", "CreateBucket"] {
        assert_eq!(counts.of(never), 0, "{never}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_writes_and_leaves_nothing_behind() {
    let world = World::new().await;
    let well = visit(&world, Script::new(), &["--probe", "--json"]).await.exited(0);
    let well: Value = serde_json::from_str(&well.stdout).unwrap();
    assert_eq!(well["outcome"], "well", "{well}");
    let text = |check| found(&well, check)["text"].as_str().unwrap();
    assert!(text("conditional-writes").starts_with("none"), "{well}");
    assert_eq!(text("writing"), "the key may write");
    assert!(text("deleting").contains("may delete"), "{well}");
    // Refused on condition, plain, with a checksum; two versions are removed.
    let counts = world.proxy.counts();
    assert_eq!((counts.of("PutObject"), counts.of("DeleteObject")), (3, 2));
    let puts = counts.seen().iter().filter(|call| call.method == "PUT");
    assert!(puts.clone().all(|call| call.key.starts_with(".awning/probe/")));
    let key = puts.clone().next().unwrap().key.clone();
    assert_eq!(world.text(&key).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_wrong_is_named_with_its_remedy() {
    let read = || When::operation("GetObject");
    let list = || When::operation("ListObjectsV2");
    let put = || When::operation("PutObject");
    let date = |date: &str| Fault::Change(Change::Field("date".to_owned(), date.to_owned()));
    let long_ago = "Wed, 21 Oct 2015 07:28:00 GMT";
    let table = [
        (When::any(), cases::master_key(), 7, "credentials", "create an application key"),
        (When::any(), cases::wrong_cluster("003"), 7, "credentials", "another region"),
        (When::any(), cases::bad_secret(), 7, "credentials", "not the one of this key id"),
        (When::any(), cases::not_s3_enabled(), 7, "credentials", "create a new one"),
        (When::any(), cases::skewed(), 7, "clock", "NTP"),
        (When::any(), date(long_ago), 7, "clock", "ahead of the store's"),
        (When::any(), cases::edge(502), 4, "endpoint", "answered 502"),
        (When::any(), cases::pod_busy(), 4, "endpoint", "no tomes available"),
        (When::any(), Fault::error(404, "NoSuchBucket", ""), 2, "endpoint", "no such bucket"),
        (When::any(), Fault::Reply(Reply::html(400)), 2, "endpoint", "look like the S3 API"),
        (read(), cases::denied(), 7, "reading", "readFiles"),
        (read(), cases::download_cap(), 7, "reading", "(Class B) cap exceeded"),
        (list(), cases::denied(), 7, "listing", "listFiles"),
        (list(), cases::transaction_cap(), 7, "listing", "Transaction cap exceeded"),
        (put(), cases::denied(), 7, "writing", "publisher listFiles, readFiles, writeFiles"),
        (put(), cases::storage_cap(), 7, "writing", "storage cap exceeded"),
    ];
    for (when, fault, exit, check, says) in table {
        let world = World::new().await;
        let script = Script::new().on(when, fault);
        let ill = visit(&world, script, &["--probe", "--json"]).await.exited(exit);
        let ill: Value = serde_json::from_str(&ill.stdout).unwrap();
        let finding = found(&ill, check);
        assert_eq!(finding["level"], "problem", "{ill}");
        let told = format!("{} {}", finding["text"], finding["advice"]);
        assert!(told.contains(says), "`{says}` in {told}");
        assert_eq!(ill["exit_code"], exit, "{ill}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_are_no_failure() {
    let world = World::new().await;
    let lifecycle = When::operation("GetBucketLifecycleConfiguration");
    let none = Fault::error(404, "NoSuchLifecycleConfiguration", "there is none");
    let told = visit(&world, Script::new().on(lifecycle, none), &[]).await.exited(0);
    assert!(told.stdout.contains("warning  lifecycle"), "{}", told.stdout);
    assert!(told.stdout.contains("\"daysFromHidingToDeleting\":1"), "{}", told.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_not_denied_by_an_answer_that_cannot_be_read() {
    let world = World::new().await;
    let odd = || {
        let reply = Reply::xml(
            200,
            "<GetBucketVersioningResponse><Status>Enabled</Status></GetBucketVersioningResponse>",
        );
        Script::new().on(When::operation("GetBucketVersioning"), Fault::Reply(reply))
    };
    for (arguments, says) in [(&[][..], "cannot be seen"), (&["--probe"][..], "on: ")] {
        let told = visit(&world, odd(), arguments).await.exited(0);
        let line = told.stdout.lines().find(|line| line.contains(" versioning "));
        assert!(line.is_some_and(|line| line.contains(says)), "{}", told.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_conditions_has_none() {
    let world = World::new().await;
    let conditional = || When::operation("PutObject").with_field("if-none-match");
    let taken = || Fault::Reply(Reply::xml(200, ""));
    let failed = Fault::error(412, "PreconditionFailed", "it is there");
    for (script, says) in [
        (Script::new().on(conditional(), taken()), "ignored by the store"),
        (Script::new().on(conditional().nth(2), failed).on(conditional(), taken()), "has them"),
    ] {
        let well = visit(&world, script, &["--probe", "--json"]).await.exited(0);
        let well: Value = serde_json::from_str(&well.stdout).unwrap();
        let text = found(&well, "conditional-writes")["text"].as_str().unwrap();
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_delete_hides_its_probe() {
    let world = World::new().await;
    let by_version = When::operation("DeleteObject").query("versionId");
    let script = Script::new().on(by_version, cases::denied());
    let well = visit(&world, script, &["--probe"]).await.exited(0);
    assert!(well.stdout.contains("may not delete versions"), "{}", well.stdout);
    let counts = world.proxy.counts();
    let key = counts.seen().iter().find(|call| call.method == "PUT").unwrap().key.clone();
    assert_eq!(world.text(&key).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_may_be_the_mistake() {
    let world = World::new().await;
    for (name, value, exit, says) in [
        ("AWNING_STORE_ENDPOINT", "http://bucket.invalid", 4, "there is no answer"),
        ("AWNING_STORE_ENDPOINT", "https://s3.eu-central-003.backblazeb2.invalid.", 4, "no answer"),
        ("AWNING_STORE_BUCKET", "", 2, "no bucket is configured"),
        ("B2_APPLICATION_KEY", "wrong", 7, "not the one of this key id"),
        ("B2_APPLICATION_KEY_ID", "another", 7, "the key was deleted"),
    ] {
        let mut command = world.command(&["doctor"]);
        command.env("AWNING_STORE_TIMEOUT", "1s").env("AWNING_STORE_BACKOFF_MAX", "50ms");
        if name == "AWNING_STORE_BUCKET" {
            command.env_remove("AWNING_STORE_ENDPOINT");
        }
        command.env(name, value);
        let ill = finish(command).await.exited(exit);
        let told = ill.stdout + &ill.stderr;
        assert!(told.contains(says), "{name}={value}: {told}");
    }
    let mut command = world.command(&["doctor"]);
    command.env("AWNING_STORE_ENDPOINT", "http://s3.eu-central-003.backblazeb2.invalid");
    command.env("AWNING_STORE_REGION", "us-east-1").env("AWNING_STORE_TIMEOUT", "1s");
    let ill = finish(command).await.exited(2);
    assert!(ill.stdout.contains("the endpoint is in `eu-central-003`"), "{}", ill.stdout);
}
