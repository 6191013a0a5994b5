//! What survives in the directory, and what must not appear.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use awning::bucket::BucketError;
use aws_sdk_s3::presigning::PresigningConfig;
use futures_util::{StreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Server, body, keys, open, put, target};

/// The files under a directory of the bucket.
fn files(server: &Server, dir: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.dir.path().join(dir)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let server = Server::start().await;
    let client = server.client();
    let first = put(&client, "k", b"first").await;
    put(&client, "k", b"second").await;
    put(&client, "hidden", b"x").await;
    client.delete_object().bucket("shop").key("hidden").send().await.unwrap();
    let deleted = put(&client, "k", b"third").await;
    let delete = client.delete_object().bucket("shop").key("k").version_id(deleted);
    delete.send().await.unwrap();

    let server = server.reopen().await;
    let client = server.client();
    assert_eq!(keys(&client, "").await, ["k"]);
    assert_eq!(body(&client, "k").await.as_deref(), Some(&b"second"[..]));
    let old = client.get_object().bucket("shop").key("k").version_id(first).send().await.unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"first");
    put(&client, "k", b"fourth").await;
    assert_eq!(body(&client, "k").await.as_deref(), Some(&b"fourth"[..]));
}

#[tokio::test]
async fn what_was_half_written_is_removed() {
    let server = Server::start().await;
    put(&server.client(), "k", b"x").await;
    fs::write(server.dir.path().join("drafts/7"), b"half an object").unwrap();
    let server = server.reopen().await;
    assert!(files(&server, "drafts").is_empty());
    assert_eq!(keys(&server.client(), "").await, ["k"]);
}

#[tokio::test]
async fn a_damaged_record_is_set_aside_and_the_others_are_served() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "whole", b"whole").await;
    put(&client, "torn", b"older").await;
    put(&client, "torn", b"torn").await;
    let newest = files(&server, "buckets/shop").into_iter().max().unwrap();
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 1]).unwrap();
    fs::write(server.dir.path().join("buckets/shop/stray"), b"no record").unwrap();

    let server = server.reopen().await;
    let client = server.client();
    assert_eq!(files(&server, "damaged").len(), 2);
    assert_eq!(keys(&client, "").await, ["torn", "whole"]);
    assert_eq!(body(&client, "torn").await.as_deref(), Some(&b"older"[..]));
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let mut server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"old").await;
    let expiry = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let presigned = client.put_object().bucket("shop").key("k").presigned(expiry).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 2000000\r\n\r\n",
        target(presigned.uri()),
        server.address
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 1_999_999]).await.unwrap();
    drop(stream);
    assert_eq!(body(&client, "k").await.as_deref(), Some(&b"old"[..]));
    // Stopping waits for the connection to notice.
    server.stop().await;
    assert!(files(&server, "drafts").is_empty());
    assert_eq!(files(&server, "buckets/shop").len(), 1);
}

#[tokio::test]
async fn a_directory_is_open_once() {
    let server = Server::start().await;
    let second = open(server.dir.path()).unwrap_err();
    assert!(matches!(second, BucketError::Locked { .. }), "{second:?}");
    assert!(second.to_string().contains("in use by another process"));
    server.reopen().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, b"no directory").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, BucketError::Directory { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_one_whole_write_or_another() {
    let server = Server::start().await;
    let client = server.client();
    put(&client, "k", b"aaaa").await;
    let writes = stream::iter(0..24u8).map(|at| {
        let client = client.clone();
        async move { put(&client, "k", &vec![b'a' + at; 1000 * usize::from(at + 1)]).await }
    });
    let reads = stream::iter(0..100).map(|_| {
        let client = client.clone();
        async move {
            let read = body(&client, "k").await.unwrap();
            assert!(read.iter().all(|byte| *byte == read[0]));
            let length = if read.len() == 4 { 4 } else { 1000 * (usize::from(read[0] - b'a') + 1) };
            assert_eq!(read.len(), length);
        }
    });
    let writes = writes.buffer_unordered(8).collect::<Vec<_>>();
    let (writes, _) = tokio::join!(writes, reads.buffer_unordered(8).collect::<Vec<_>>());
    let newest = client.head_object().bucket("shop").key("k").send().await.unwrap().version_id;
    assert_eq!(newest.as_ref(), writes.iter().max());
}
