//! Objects, versions, listings and who may use them.

use std::time::Duration;

use awning::bucket::Class;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RequestChecksumCalculation, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, DateTime, SdkBody};
use aws_sdk_s3::types::{Delete, MetadataDirective, ObjectCannedAcl, ObjectIdentifier};

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{KEY, KEY_ID, Server, body, keys, put, raw, raw_get, status_and_code, target};
use crate::harness::open_files::make_room;

/// A refusal as status and code.
macro_rules! refused {
    ($call:expr) => {{
        let error = $call.send().await.map(|_| ()).unwrap_err();
        let (status, code) = status_and_code(&error);
        format!("{status} {code}").trim_end().to_owned()
    }};
}

#[tokio::test]
async fn an_object_comes_back_with_its_bytes_and_headers() {
    let server = Server::start().await;
    let client = server.client();
    let put = client
        .put_object()
        .bucket("shop")
        .key("css/app.css")
        .body(ByteStream::from_static(b"a {}"));
    let put = put
        .content_type("text/css; charset=utf-8")
        .cache_control("public, max-age=31536000, immutable")
        .content_encoding("br")
        .content_disposition("inline")
        .content_language("nl")
        .expires(DateTime::from_secs(2_000_000_000))
        .metadata("blake3", "abc")
        .send()
        .await
        .unwrap();
    let etag = Some("\"3d1a83e550d58944e1302c48126c0872\"".to_owned());
    assert_eq!(put.e_tag, etag);
    let got = client.get_object().bucket("shop").key("css/app.css").send().await.unwrap();
    assert_eq!(got.e_tag, etag);
    assert_eq!(got.version_id, put.version_id);
    assert_eq!(got.content_type.as_deref(), Some("text/css; charset=utf-8"));
    assert_eq!(got.cache_control.as_deref(), Some("public, max-age=31536000, immutable"));
    assert_eq!(got.content_encoding.as_deref(), Some("br"));
    assert_eq!(got.content_disposition.as_deref(), Some("inline"));
    assert_eq!(got.content_language.as_deref(), Some("nl"));
    assert_eq!(got.expires_string.as_deref(), Some("Wed, 18 May 2033 03:33:20 GMT"));
    assert_eq!(got.metadata.unwrap()["blake3"], "abc");
    assert!(got.last_modified.is_some());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"a {}");
    let head = client.head_object().bucket("shop").key("css/app.css").send().await.unwrap();
    assert_eq!((head.content_length, head.e_tag), (Some(4), etag));
}

#[tokio::test]
async fn an_object_stored_without_a_rule_must_not_be_stored_by_caches() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"x").await;
    let got = client.get_object().bucket("shop").key("k").send().await.unwrap();
    assert_eq!(got.cache_control.as_deref(), Some("max-age=0, no-cache, no-store"));
}

#[tokio::test]
async fn a_part_is_sent_with_its_place_in_the_whole() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"0123456789").await;
    let get = |range: &str| client.get_object().bucket("shop").key("k").range(range);
    for (range, content_range, bytes) in [
        ("bytes=2-5", "bytes 2-5/10", "2345"),
        ("bytes=8-99", "bytes 8-9/10", "89"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
    ] {
        let got = get(range).send().await.unwrap();
        assert_eq!(got.content_range.as_deref(), Some(content_range));
        assert_eq!(got.content_length, Some(bytes.len() as i64));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes.as_bytes());
    }
    assert_eq!(refused!(get("bytes=10-")), "416 InvalidRange");
    put(&client, "k", b"").await;
    assert_eq!(refused!(get("bytes=-1")), "416 InvalidRange");
}

#[tokio::test]
async fn a_known_object_is_not_sent_again() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"x").await;
    let head = client.head_object().bucket("shop").key("k").send().await.unwrap();
    let (etag, modified) = (head.e_tag.unwrap(), head.last_modified.unwrap());
    let earlier = DateTime::from_secs(modified.secs() - 1);
    let get = || client.get_object().bucket("shop").key("k");
    let head = || client.head_object().bucket("shop").key("k");
    assert_eq!(refused!(get().if_none_match(&etag)), "304");
    assert_eq!(refused!(head().if_none_match(&etag)), "304");
    assert_eq!(refused!(get().if_modified_since(modified)), "304");
    assert_eq!(refused!(get().if_match("\"other\"")), "412 PreconditionFailed");
    assert_eq!(refused!(get().if_unmodified_since(earlier)), "412 PreconditionFailed");
    get().if_none_match("\"other\"").if_match(etag.clone()).send().await.unwrap();

    let error = get().if_none_match(&etag).send().await.unwrap_err();
    let headers = error.raw_response().unwrap().headers();
    assert_eq!(headers.get("etag"), Some(etag.as_str()));
    assert!(headers.get("last-modified").is_some() && headers.get("content-type").is_none());
}

#[tokio::test]
async fn without_the_right_key_nothing_is_answered() {
    let server = Server::start().await;
    put(&server.client(), "k", b"x").await;
    let checksums = RequestChecksumCalculation::WhenRequired;
    for (id, key, expected) in
        [(KEY_ID, "wrong", "403 SignatureDoesNotMatch"), ("other", KEY, "403 InvalidAccessKeyId")]
    {
        let client = server.client_with(id, key, checksums);
        assert_eq!(refused!(client.get_object().bucket("shop").key("k")), expected);
        assert_eq!(refused!(client.list_objects_v2().bucket("shop")), expected);
    }
    for target in ["/shop/k", "/shop?list-type=2", "/", "/_/other", "/_/calls?x", "/_/calls/"] {
        let answer = raw_get(&server, target, "").await;
        let refused = answer.starts_with("HTTP/1.1 403") || answer.starts_with("HTTP/1.1 400");
        assert_ne!(refused, target.contains("calls?"), "{target}: {answer}");
    }
}

#[tokio::test]
async fn a_request_for_no_region_is_told_which_to_sign_for() {
    let server = Server::start().await;
    let scope = "Credential=awning/20261125/US/s3/aws4_request";
    let line =
        format!("Authorization: AWS4-HMAC-SHA256 {scope},SignedHeaders=host,Signature=0\r\n");
    let answer = raw_get(&server, "/", &line).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("<Code>AuthorizationHeaderMalformed</Code>"), "{answer}");
    assert!(answer.contains("<Region>us-east-1</Region>"), "{answer}");
    assert_eq!(server.bucket.calls().refused(), 1);
}

#[tokio::test]
async fn a_large_refused_upload_hears_the_answer() {
    let server = Server::start().await;
    let client = server.client_with(KEY_ID, "wrong", RequestChecksumCalculation::WhenRequired);
    let body = ByteStream::from(vec![b'x'; 8_000_000]);
    let put = client.put_object().bucket("shop").key("k").body(body);
    assert_eq!(refused!(put), "403 SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_presigned_address_opens_one_object() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"only this").await;
    put(&client, "other", b"not this").await;
    let expiry = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let presigned = client.get_object().bucket("shop").key("k").presigned(expiry).await.unwrap();
    let address = target(presigned.uri());
    let answer = raw_get(&server, address, "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("only this"), "{answer}");
    let other = address.replace("/shop/k?", "/shop/other?");
    assert!(raw_get(&server, &other, "").await.starts_with("HTTP/1.1 403"));
}

/// Changes a body after it was signed.
#[derive(Debug)]
struct Damage;

impl Intercept for Damage {
    fn name(&self) -> &'static str {
        "damage"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *context.request_mut().body_mut() = SdkBody::from("bytez");
        Ok(())
    }
}

#[tokio::test]
async fn a_damaged_upload_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    let client = server.client();
    let put = |key: &str| {
        client.put_object().bucket("shop").key(key).body(ByteStream::from_static(b"bytes"))
    };
    assert_eq!(refused!(put("k").content_md5("AAAAAAAAAAAAAAAAAAAAAA==")), "400 BadDigest");
    assert_eq!(refused!(put("k").content_md5("short")), "400 InvalidDigest");
    assert_eq!(refused!(put("k").checksum_crc32("AAAAAA==")), "400 BadDigest");
    let damaged = put("k").customize().interceptor(Damage).send().await.unwrap_err();
    assert_eq!(status_and_code(&damaged), (400, "XAmzContentSHA256Mismatch".to_owned()));
    assert_eq!(body(&client, "k").await, None);
    assert_eq!(keys(&client, "").await, Vec::<String>::new());
    put("k").content_md5("SzpiGLs+OnMD6KFxpg/Pkg==").send().await.unwrap();
    assert_eq!(body(&client, "k").await.as_deref(), Some(&b"bytes"[..]));
}

#[tokio::test]
async fn an_upload_in_signed_chunks_is_stored_without_its_framing() {
    let server = Server::start().await;
    let client = server.client_with(KEY_ID, KEY, RequestChecksumCalculation::WhenSupported);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let bytes: Vec<u8> = (0..300_000u32).map(|at| (at % 249) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    let file = ByteStream::from_path(&path).await.unwrap();
    client.put_object().bucket("shop").key("k").body(file).send().await.unwrap();
    let got = client.get_object().bucket("shop").key("k").send().await.unwrap();
    assert_eq!(got.content_encoding, None);
    assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes);
}

#[tokio::test]
async fn what_b2_refuses_is_refused() {
    let server = Server::start().await;
    let client = server.client();
    let large = || ByteStream::from(vec![b'x'; 6_000_000]);
    let put = || client.put_object().bucket("shop").key("k").body(large());
    assert_eq!(refused!(put().if_none_match("*")), "501 NotImplemented");
    assert_eq!(refused!(put().if_match("\"x\"")), "501 NotImplemented");
    assert_eq!(refused!(put().acl(ObjectCannedAcl::PublicRead)), "400 InvalidArgument");
    assert_eq!(refused!(put().tagging("a=b")), "400 InvalidArgument");
    assert_eq!(refused!(put().cache_control("x".repeat(7000))), "400 InvalidArgument");
    assert_eq!(body(&client, "k").await, None);
    put().acl(ObjectCannedAcl::Private).send().await.unwrap();
    let long = "k".repeat(1025);
    assert_eq!(refused!(client.put_object().bucket("shop").key(long)), "400 KeyTooLongError");
}

#[tokio::test]
async fn a_write_adds_a_version_and_a_delete_hides() {
    let server = Server::start().await;
    let client = server.client();
    let first = put(&client, "k", b"first").await;
    let second = put(&client, "k", b"second").await;
    assert_ne!(first, second);
    let get = |version: &str| client.get_object().bucket("shop").key("k").version_id(version);
    let delete = || client.delete_object().bucket("shop").key("k");

    let hidden = delete().send().await.unwrap();
    let marker = hidden.version_id.unwrap();
    assert_eq!(hidden.delete_marker, Some(true));
    assert_eq!(body(&client, "k").await, None);
    assert_eq!(keys(&client, "").await, Vec::<String>::new());
    let again = delete().send().await.unwrap();
    assert_eq!((again.delete_marker, again.version_id), (None, None));
    let old = get(&first).send().await.unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"first");
    assert_eq!(refused!(get(&marker)), "405 MethodNotAllowed");

    let gone = delete().version_id(&marker).send().await.unwrap();
    assert_eq!(gone.delete_marker, Some(true));
    assert_eq!(body(&client, "k").await.as_deref(), Some(&b"second"[..]));
    let gone = delete().version_id(&second).send().await.unwrap();
    assert_eq!((gone.delete_marker, gone.version_id), (None, Some(second.clone())));
    assert_eq!(body(&client, "k").await.as_deref(), Some(&b"first"[..]));
    assert_eq!(refused!(get(&second)), "404 NoSuchVersion");
    assert_eq!(refused!(get("null")), "400 InvalidArgument");
    delete().version_id(&second).send().await.unwrap();
}

#[tokio::test]
async fn all_versions_are_listed_from_the_newest_to_the_oldest() {
    let server = Server::start().await;
    let client = server.client();
    let mut expected = Vec::new();
    for key in ["a", "b"] {
        let mut of_key = vec![put(&client, key, b"1").await, put(&client, key, b"2").await];
        let hide = client.delete_object().bucket("shop").key(key).send().await.unwrap();
        of_key.push(hide.version_id.unwrap());
        expected.extend(of_key.into_iter().rev());
    }
    let mut found = Vec::new();
    let (mut key, mut version) = (None, None);
    loop {
        let list = client.list_object_versions().bucket("shop").max_keys(2);
        let page = list.set_key_marker(key).set_version_id_marker(version).send().await.unwrap();
        let versions = page.versions.unwrap_or_default().into_iter();
        let markers = page.delete_markers.unwrap_or_default().into_iter();
        let mut of_page: Vec<_> = versions
            .map(|v| (v.key, v.version_id.unwrap(), v.is_latest))
            .chain(markers.map(|m| (m.key, m.version_id.unwrap(), m.is_latest)))
            .collect();
        of_page.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        found.extend(of_page.into_iter().map(|(_, version, newest)| (version, newest)));
        if page.is_truncated != Some(true) {
            break;
        }
        (key, version) = (page.next_key_marker, page.next_version_id_marker);
    }
    let newest: Vec<_> = (0..6).map(|at| Some(at % 3 == 0)).collect();
    assert_eq!(found, expected.into_iter().zip(newest).collect::<Vec<_>>());
}

#[tokio::test]
async fn keys_are_listed_page_by_page_and_by_folder() {
    let server = Server::start().await;
    let client = server.client();
    for key in ["b", "a/2", "a/1", "a", "c/d/e", "c/d", "/lead", "ü b+%"] {
        put(&client, key, key.as_bytes()).await;
    }
    let all = ["/lead", "a", "a/1", "a/2", "b", "c/d", "c/d/e", "ü b+%"];
    assert_eq!(keys(&client, "").await, all);
    assert_eq!(keys(&client, "a").await, ["a", "a/1", "a/2"]);
    assert_eq!(body(&client, "/lead").await.as_deref(), Some(&b"/lead"[..]));

    let list = client.list_objects_v2().bucket("shop").delimiter("/").max_keys(2);
    let pages = list.into_paginator().send().try_collect().await.unwrap();
    let lines = pages.into_iter().flat_map(|page| {
        let objects = page.contents.unwrap_or_default().into_iter().filter_map(|o| o.key);
        let prefixes =
            page.common_prefixes.unwrap_or_default().into_iter().filter_map(|p| p.prefix);
        let mut lines: Vec<_> = objects.chain(prefixes).collect();
        lines.sort();
        lines
    });
    assert_eq!(lines.collect::<Vec<_>>(), ["/", "a", "a/", "b", "c/", "ü b+%"]);

    let list = client.list_objects_v2().bucket("shop").start_after("a/1").max_keys(1);
    let page = list.send().await.unwrap();
    assert_eq!(page.contents()[0].key(), Some("a/2"));
    assert_eq!(page.contents()[0].size(), Some(3));
    assert_eq!((page.key_count, page.is_truncated), (Some(1), Some(true)));
    let list = client.list_objects_v2().bucket("shop");
    assert_eq!(refused!(list.continuation_token("nonsense")), "400 InvalidArgument");

    let url = aws_sdk_s3::types::EncodingType::Url;
    let list = client.list_objects().bucket("shop").prefix("ü").encoding_type(url);
    assert_eq!(list.send().await.unwrap().contents()[0].key(), Some("%C3%BC%20b%2B%25"));
    assert_eq!(client.list_objects_v2().bucket("new").send().await.unwrap().key_count, Some(0));
}

#[tokio::test]
async fn many_keys_are_deleted_at_once() {
    let server = Server::start().await;
    let client = server.client();
    for key in ["a", "b", "c"] {
        put(&client, key, b"x").await;
    }
    let objects =
        ["a", "b", "missing"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
    let deleted = client.delete_objects().bucket("shop").delete(delete).send().await.unwrap();
    let markers = deleted.deleted().iter().map(|deleted| deleted.delete_marker);
    assert_eq!(markers.collect::<Vec<_>>(), [Some(true), Some(true), None]);
    assert_eq!(keys(&client, "").await, ["c"]);

    let c = ObjectIdentifier::builder().key("c").build().unwrap();
    let delete = Delete::builder().set_objects(Some(vec![c; 1001])).build().unwrap();
    let delete = client.delete_objects().bucket("shop").delete(delete);
    assert_eq!(refused!(delete), "400 MalformedXML");
    assert_eq!(keys(&client, "").await, ["c"]);
}

#[tokio::test]
async fn a_copy_keeps_or_replaces_headers() {
    let server = Server::start().await;
    let client = server.client();
    let put = client.put_object().bucket("shop").key("a b").metadata("kind", "old");
    put.body(ByteStream::from_static(b"x")).send().await.unwrap();
    let copy = |to: &str| client.copy_object().bucket("shop").key(to).copy_source("shop/a%20b");
    copy("kept").send().await.unwrap();
    let replace = copy("replaced").metadata_directive(MetadataDirective::Replace);
    replace.metadata("kind", "new").send().await.unwrap();
    for (key, kind) in [("kept", "old"), ("replaced", "new")] {
        let head = client.head_object().bucket("shop").key(key).send().await.unwrap();
        assert_eq!(head.metadata.unwrap()["kind"], kind);
    }
    assert_eq!(refused!(copy("x").copy_source_if_match("\"other\"")), "412 PreconditionFailed");
    assert_eq!(body(&client, "kept").await.as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn buckets_come_into_being_when_they_are_used() {
    let server = Server::start().await;
    let client = server.client();
    client.head_bucket().bucket("shop").send().await.unwrap();
    put(&client, "k", b"x").await;
    client.create_bucket().bucket("made").send().await.unwrap();
    let buckets = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = buckets.buckets().iter().filter_map(|bucket| bucket.name()).collect();
    assert_eq!(names, ["made", "shop"]);
    let location = client.get_bucket_location().bucket("shop").send().await.unwrap();
    assert_eq!(location.location_constraint.unwrap().as_str(), "eu-central-003");
    let versioning = client.get_bucket_versioning().bucket("shop").send().await.unwrap();
    assert_eq!(versioning.status.unwrap().as_str(), "Enabled");
}

#[tokio::test]
async fn calls_are_counted_whatever_they_are_answered_with() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"x").await;
    assert_eq!(body(&client, "missing").await, None);
    let refused = refused!(client.put_object().bucket("shop").key("k").if_none_match("*"));
    assert_eq!(refused, "501 NotImplemented");
    keys(&client, "").await;
    client.delete_object().bucket("shop").key("k").send().await.unwrap();
    raw_get(&server, "/shop/k", "").await;
    let stranger = server.client_with("other", KEY, RequestChecksumCalculation::WhenRequired);
    let refused = refused!(stranger.get_object().bucket("shop").key("k"));
    assert_eq!(refused, "403 InvalidAccessKeyId");

    let calls = server.bucket.calls();
    assert_eq!((calls.of("PutObject"), calls.of("GetObject")), (2, 2));
    assert_eq!([Class::A, Class::B, Class::C].map(|class| calls.class(class)), [3, 2, 1]);
    assert_eq!((calls.total(), calls.refused()), (6, 1));
    let answer = raw_get(&server, "/_/calls", "").await;
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json, serde_json::to_value(&calls).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    let server = Server::start().await;
    assert_eq!(raw(&server, "").await, "");
    assert_eq!(raw(&server, "GET /shop/k HTTP/1.1\r\nHost: x").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_the_limit_waits_for_another_to_end() {
    make_room();
    let server = Server::start().await;
    let mut silent = Vec::new();
    for _ in 0..512 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let start = Instant::now();
    let answer = raw_get(&server, "/_/calls", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // It was answered when the first of the silent ones was closed.
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_form_is_not_read() {
    let server = Server::start().await;
    let part = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbytes\r\n--x--\r\n";
    let lines = format!(
        "Host: {}\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=x\r\n\
         Content-Length: {}\r\n",
        server.address,
        part.len()
    );
    let answer = raw(&server, &format!("POST /shop HTTP/1.1\r\n{lines}\r\n{part}")).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(
        server.client().list_objects_v2().bucket("shop").send().await.unwrap().key_count,
        Some(0)
    );
}

#[tokio::test]
async fn who_reads_while_the_newest_version_is_deleted_gets_the_one_before() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"first").await;
    let changing = async {
        for _ in 0..100 {
            let second = put(&client, "k", b"second").await;
            let delete = client.delete_object().bucket("shop").key("k").version_id(second);
            delete.send().await.unwrap();
        }
    };
    let reading = async {
        for _ in 0..400 {
            let head = client.head_object().bucket("shop").key("k").send().await;
            assert!(matches!(head.unwrap().content_length, Some(5 | 6)));
        }
    };
    tokio::join!(changing, reading);
}
