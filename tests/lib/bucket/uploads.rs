//! Multipart uploads.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::{Server, body, keys, status_and_code};

/// B2's smallest part that is not the last.
const PART_BYTES: usize = 5_000_000;

async fn begin(client: &Client) -> String {
    let create = client.create_multipart_upload().bucket("shop").key("big");
    let create = create.content_type("video/mp4").cache_control("no-cache").metadata("a", "b");
    create.send().await.unwrap().upload_id.unwrap()
}

async fn upload_part(client: &Client, id: &str, number: i32, bytes: Vec<u8>) -> CompletedPart {
    let part = client.upload_part().bucket("shop").key("big").upload_id(id).part_number(number);
    let etag = part.body(ByteStream::from(bytes)).send().await.unwrap().e_tag.unwrap();
    CompletedPart::builder().part_number(number).e_tag(etag).build()
}

async fn complete(client: &Client, id: &str, parts: &[CompletedPart]) -> Result<String, String> {
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
    let complete = client.complete_multipart_upload().bucket("shop").key("big").upload_id(id);
    let completed = complete.multipart_upload(parts).send().await;
    completed.map(|done| done.e_tag.unwrap()).map_err(|error| status_and_code(&error).1)
}

fn part_of(letter: u8) -> Vec<u8> {
    vec![letter; PART_BYTES]
}

#[tokio::test]
async fn parts_become_one_object_with_its_headers() {
    let server = Server::start().await;
    let client = server.client();
    let id = begin(&client).await;
    upload_part(&client, &id, 1, part_of(b'x')).await;
    let parts = [
        upload_part(&client, &id, 1, part_of(b'a')).await,
        upload_part(&client, &id, 3, b"end".to_vec()).await,
    ];
    let uploads = client.list_multipart_uploads().bucket("shop").send().await.unwrap();
    assert_eq!(uploads.uploads()[0].upload_id(), Some(id.as_str()));
    let list = client.list_parts().bucket("shop").key("big").upload_id(&id).max_parts(1);
    let listed = list.send().await.unwrap();
    assert_eq!((listed.is_truncated, listed.parts()[0].size()), (Some(true), Some(5_000_000)));
    assert_eq!(body(&client, "big").await, None);

    let etag = complete(&client, &id, &parts).await.unwrap();
    assert!(etag.ends_with("-2\""), "{etag}");
    assert_eq!(body(&client, "big").await.unwrap(), [part_of(b'a'), b"end".to_vec()].concat());
    let head = client.head_object().bucket("shop").key("big").send().await.unwrap();
    assert_eq!(head.e_tag, Some(etag));
    assert_eq!(head.content_type.as_deref(), Some("video/mp4"));
    assert_eq!(head.cache_control.as_deref(), Some("no-cache"));
    assert_eq!(head.metadata.unwrap()["a"], "b");
    assert_eq!(complete(&client, &id, &parts).await.unwrap_err(), "NoSuchUpload");
}

#[tokio::test]
async fn a_wrong_list_of_parts_completes_nothing_and_can_be_put_right() {
    let server = Server::start().await;
    let client = server.client();
    let id = begin(&client).await;
    let small = upload_part(&client, &id, 1, b"small".to_vec()).await;
    let last = upload_part(&client, &id, 2, b"last".to_vec()).await;
    let swapped = CompletedPart::builder().part_number(1).e_tag(last.e_tag().unwrap()).build();
    let missing = CompletedPart::builder().part_number(9).e_tag(last.e_tag().unwrap()).build();
    for (parts, code) in [
        (vec![small.clone(), last.clone()], "EntityTooSmall"),
        (vec![last.clone(), small.clone()], "InvalidPartOrder"),
        (vec![small.clone(), small.clone()], "InvalidPartOrder"),
        (vec![swapped], "InvalidPart"),
        (vec![missing], "InvalidPart"),
    ] {
        assert_eq!(complete(&client, &id, &parts).await.unwrap_err(), code);
    }
    assert_eq!(body(&client, "big").await, None);
    complete(&client, &id, &[last]).await.unwrap();
    assert_eq!(body(&client, "big").await.unwrap(), b"last");
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let server = Server::start().await;
    let client = server.client();
    let id = begin(&client).await;
    let part = upload_part(&client, &id, 1, b"before".to_vec()).await;
    let server = server.reopen().await;
    let client = server.client();
    assert_eq!(keys(&client, "").await, Vec::<String>::new());
    complete(&client, &id, &[part]).await.unwrap();
    assert_eq!(body(&client, "big").await.unwrap(), b"before");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let server = Server::start().await;
    let client = server.client();
    let id = begin(&client).await;
    let part = upload_part(&client, &id, 1, b"x".to_vec()).await;
    let abort = || client.abort_multipart_upload().bucket("shop").key("big").upload_id(&id);
    abort().send().await.unwrap();
    assert!(abort().send().await.is_err());
    assert_eq!(complete(&client, &id, &[part]).await.unwrap_err(), "NoSuchUpload");
    let server = server.reopen().await;
    let uploads = server.client().list_multipart_uploads().bucket("shop").send().await.unwrap();
    assert!(uploads.uploads().is_empty());
}

#[tokio::test]
async fn parts_have_numbers_from_one_to_ten_thousand() {
    let server = Server::start().await;
    let client = server.client();
    let id = begin(&client).await;
    for number in [0, 10_001] {
        let part = client.upload_part().bucket("shop").key("big").upload_id(&id);
        let error = part.part_number(number).body(ByteStream::from_static(b"x")).send().await;
        assert_eq!(status_and_code(&error.unwrap_err()), (400, "InvalidArgument".to_owned()));
    }
    let last = upload_part(&client, &id, 10_000, b"last".to_vec()).await;
    complete(&client, &id, &[last]).await.unwrap();
}
