//! The embedded bucket as S3 clients see it, and what survives in its directory.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use awning::bucket::{self, Bucket, BucketError, Class};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const KEY_ID: &str = "awning";
pub(crate) const KEY: &str = "awning-secret";

/// An embedded bucket behind a port of its own, stopped when it is dropped.
pub(crate) struct Server {
    pub(crate) bucket: Bucket,
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    task: Option<JoinHandle<()>>,
    dir: Arc<TempDir>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn start_in(dir: Arc<TempDir>) -> Self {
        let bucket = open(dir.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let (bucket, shutdown) = (bucket.clone(), shutdown.clone());
            async move { bucket.serve(listener, shutdown).await }
        });
        Self { bucket, address, shutdown, task: Some(task), dir }
    }

    /// Stops it and opens its directory again.
    async fn reopen(mut self) -> Self {
        self.stop().await;
        let dir = Arc::clone(&self.dir);
        drop(self);
        Self::start_in(dir).await
    }

    async fn stop(&mut self) {
        self.shutdown.cancel();
        self.task.take().unwrap().await.unwrap();
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn client(&self) -> Client {
        self.client_with(KEY_ID, KEY, RequestChecksumCalculation::WhenRequired)
    }

    fn client_with(&self, id: &str, key: &str, checksums: RequestChecksumCalculation) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-003"))
            .endpoint_url(self.endpoint())
            .force_path_style(true)
            .credentials_provider(Credentials::new(id, key, None, None, "test"))
            .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
            .request_checksum_calculation(checksums)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Client::from_conf(config.build())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn open(dir: &Path) -> Result<Bucket, BucketError> {
    let credentials = bucket::Credentials { key_id: KEY_ID.to_owned(), key: KEY.into() };
    Bucket::open(dir, credentials)
}

async fn put(client: &Client, key: &str, body: &[u8]) -> String {
    let body = ByteStream::from(body.to_vec());
    let put = client.put_object().bucket("shop").key(key).body(body).send().await.unwrap();
    put.version_id.unwrap()
}

async fn body(client: &Client, key: &str) -> Option<Vec<u8>> {
    match client.get_object().bucket("shop").key(key).send().await {
        Ok(object) => Some(object.body.collect().await.unwrap().to_vec()),
        Err(error) => {
            assert_eq!(status_and_code(&error), (404, "NoSuchKey".to_owned()));
            None
        }
    }
}

async fn keys(client: &Client, prefix: &str) -> Vec<String> {
    let list = client.list_objects_v2().bucket("shop").prefix(prefix).max_keys(7);
    let pages = list.into_paginator().send().try_collect().await.unwrap();
    pages
        .into_iter()
        .flat_map(|page| page.contents.unwrap_or_default())
        .filter_map(|o| o.key)
        .collect()
}

fn status_and_code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> (u16, String) {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
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
        .expires(aws_sdk_s3::primitives::DateTime::from_secs(2_000_000_000))
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
