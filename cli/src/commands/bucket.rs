//! `awning bucket`: the embedded S3 server alone, for other tools and tests.

use std::net::SocketAddr;
use std::path::PathBuf;

use awning::bucket::{Bucket, Credentials};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::serve::bind;
use crate::config::{self, ConfigError};
use crate::interrupt::Signals;

/// Run the embedded S3 server alone
///
/// It keeps objects under PATH and answers as Backblaze B2 does. The access
/// key is `awning` / `awning-secret`, or AWNING_BUCKET_KEY_ID and
/// AWNING_BUCKET_KEY. Buckets are created on first use. `GET /_/calls` tells
/// how often each operation was called, by B2 class.
#[derive(Args, Debug)]
pub(crate) struct RunBucket {
    /// Directory that keeps the objects; created if missing
    #[arg(long, value_name = "PATH")]
    data: PathBuf,

    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
}

impl RunBucket {
    /// Serves until it is told to end, then prints what was called.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let mut signals = Signals::listen()?;
        let bucket = Bucket::open(&self.data, credentials(context)?)?;
        let listener = bind(self.listen)?;
        let url = format!("http://{}", listener.local_addr()?);
        context
            .output
            .data(format_args!("bucket  {url}"), &serde_json::json!({ "bucket": url }))?;

        let shutdown = CancellationToken::new();
        let ending = shutdown.clone();
        tokio::join!(bucket.serve(listener, shutdown), async move {
            signals.received().await;
            ending.cancel();
        });
        context.output.note(bucket.calls());
        Ok(())
    }
}

/// The key of the embedded bucket.
pub(crate) fn credentials(context: &Context) -> Result<Credentials, ConfigError> {
    let get = |name, default| context.environment.get(name).unwrap_or(default);
    let key = get("BUCKET_KEY", "awning-secret").into();
    let config::Credentials { key_id, key } =
        config::Credentials::checked(get("BUCKET_KEY_ID", "awning"), key)?;
    Ok(Credentials { key_id, key })
}
