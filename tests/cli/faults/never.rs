//! What B2 refuses and a publish never asks for (cases 10 to 13, 20, 31).

use awning_front::{Script, When, cases};

use super::{CALM, red, site};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_that_b2_would_refuse() {
    let world = red().await;
    site(&world, "blue");
    let put = || When::method("PUT");
    let script = Script::new()
        .on(put().with_field("if-"), cases::not_implemented())
        .on(When::any().with_field("x-amz-checksum"), cases::unsupported_header("crc32"))
        .on(When::any().with_field("x-amz-sdk-checksum"), cases::unsupported_header("crc32"))
        .on(When::any().with_field("x-amz-acl"), cases::unsupported_acl())
        .on(When::any().with_field("x-amz-tagging"), cases::unsupported_acl())
        .on(put().without_field("content-md5"), cases::missing_md5())
        .on(When::operation("HeadBucket"), cases::denied())
        .on(When::operation("ListBuckets"), cases::denied())
        .on(When::operation("CreateBucket"), cases::denied())
        .on(When::method("DELETE"), cases::denied());
    world.proxy.script(script);
    world.run(&["publish", "site"]).await.exited(0);
    assert_eq!(world.proxy.fired(), [0; 10]);
    assert_eq!(world.proxy.counts().total(), CALM);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_but_the_head_has_one_version() {
    let world = red().await;
    world.run(&["publish", "site"]).await.exited(0);
    site(&world, "blue");
    world.run(&["publish", "site"]).await.exited(0);
    let seen = world.proxy.seen();
    let puts: Vec<_> = seen.iter().filter(|call| call.starts_with("PUT")).collect();
    let mut twice: Vec<_> = puts.iter().filter(|call| !call.ends_with("/head.json")).collect();
    let written = twice.len();
    twice.sort();
    twice.dedup();
    // Three objects and the successor of one, two intents, manifests and records.
    assert_eq!((written, twice.len()), (10, 10), "{puts:?}");
    assert_eq!(puts.len() - written, 2, "{puts:?}");
    assert_eq!(world.bucket.calls().of("PutObject"), 12);
}
