//! The embedded bucket of `awning up`: served on a port of its own, and
//! spoken to through the S3 API like any other.

use std::path::Path;

use anyhow::Context as _;
use awning::bucket::{Bucket, Credentials};
use awning::store::s3::{Profile, S3Config, S3Store, Waits};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The bucket that is used inside the server.
const BUCKET: &str = "awning";

/// A bucket that is being served.
#[derive(Debug)]
pub(crate) struct Embedded {
    endpoint: Url,
    credentials: Credentials,
    ending: CancellationToken,
    served: JoinHandle<()>,
}

impl Embedded {
    /// Opens the bucket below `data` and serves it on a free port.
    pub(crate) async fn start(data: &Path, credentials: Credentials) -> anyhow::Result<Self> {
        let bucket = Bucket::open(&data.join("bucket"), credentials.clone())?;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot listen for the embedded bucket")?;
        let endpoint = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
        let ending = CancellationToken::new();
        let end = ending.clone();
        let served = tokio::spawn(async move { bucket.serve(listener, end).await });
        Ok(Self { endpoint, credentials, ending, served })
    }

    /// A client of it.
    pub(crate) fn store(&self, profile: Profile) -> S3Store {
        S3Store::new(S3Config {
            endpoint: self.endpoint.clone(),
            region: "awning".to_owned(),
            bucket: BUCKET.to_owned(),
            key_id: self.credentials.key_id.clone(),
            key: self.credentials.key.clone(),
            profile,
            attempts: 0,
            waits: Waits::default(),
        })
    }

    /// Where other S3 clients find it.
    pub(crate) fn url(&self) -> String {
        format!("{}{BUCKET}", self.endpoint)
    }

    /// Lets calls in progress finish, then ends.
    pub(crate) async fn stop(self) {
        self.ending.cancel();
        // It cannot fail but by a panic, which was told already.
        let _ = self.served.await;
    }
}
