//! The embedded bucket as S3 clients see it, and what survives in its directory.

mod durability;
mod objects;
mod uploads;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use awning::bucket::{self, Bucket, BucketError};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
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

/// Sends bytes and reads the answer until the connection is closed.
async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A GET of a path and query, with further header lines.
async fn raw_get(server: &Server, target: &str, lines: &str) -> String {
    let host = server.address;
    let lines = format!("Host: {host}\r\nConnection: close\r\n{lines}");
    raw(server, &format!("GET {target} HTTP/1.1\r\n{lines}\r\n")).await
}

/// Path and query of an address.
fn target(uri: &str) -> &str {
    let (_, rest) = uri.split_once("//").unwrap();
    &rest[rest.find('/').unwrap()..]
}
