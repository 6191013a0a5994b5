//! `awning health`: is a shield on this machine well? For container checks.

use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use url::Url;

use super::Context;
use crate::exit::Unreachable;

/// How long a shield may take to say that it is well.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask a running shield whether it is well
///
/// Exits 0 when the URL answers 200, and 4 otherwise.
#[derive(Args, Debug)]
pub(crate) struct Health {
    /// What to ask [default: /readyz of the configured admin listener]
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
}

impl Health {
    /// Asks once.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let url = match self.url {
            Some(url) => url,
            None => {
                let admin = context.settings()?.shield.admin_listen;
                Url::parse(&format!("http://{admin}/readyz"))?
            }
        };
        let status = tokio::time::timeout(PATIENCE, ask(&url))
            .await
            .map_err(|_| Unreachable(format!("{url} did not answer within 3 s")))?
            .map_err(|error| Unreachable(format!("{url}: {error:#}")))?;
        if status != 200 {
            bail!(Unreachable(format!("{url} answered {status}")));
        }
        context.output.data("well", &serde_json::json!({ "status": status }))?;
        Ok(())
    }
}

/// The status of one GET.
async fn ask(url: &Url) -> anyhow::Result<u16> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(url.as_str().parse()?).await?;
    Ok(answer.status().as_u16())
}
