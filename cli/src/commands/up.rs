//! `awning up`: bucket, publisher and shield in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use awning::asset::KeyLayout;
use awning::bucket::Bucket;
use awning::clock::Clock;
use awning::rewrite::{Mount, PublicBase};
use awning::shield::Shield;
use awning::shield::config::{Config, Limits, MountedChannel, Serve, SiteConfig};
use awning::shield::metrics::Metrics;
use awning::store::s3::{Profile, S3Config, S3Store};
use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::publish::{How, NOTHING_ACTIVATED, Outcome, Publisher, options};
use super::serve::{Listeners, Urls, run_shield};
use super::{Context, bucket};
use crate::config::{self, Settings, admin_tokens};
use crate::interrupt::{signalled, until_interrupted};
use crate::watch::Watch;

/// The bucket that is used inside the embedded server.
const BUCKET: &str = "awning";

/// Run the whole product on this machine: bucket, publisher and shield
///
/// Starts the embedded bucket, publishes DIR to it through the S3 API, starts
/// the shield before it and prints the URLs. With --upstream, the shield
/// stands before a running web shop and rewrites its pages.
#[derive(Args, Debug)]
pub(crate) struct Up {
    /// Directory to publish
    #[arg(value_name = "DIR")]
    source: PathBuf,

    /// Directory that keeps the embedded bucket; created if missing
    #[arg(long, value_name = "PATH", default_value = ".awning")]
    data: PathBuf,

    /// Address for visitors
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Address for operators
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9080")]
    admin_listen: SocketAddr,

    /// A running web shop to stand before, as in http://127.0.0.1:8000
    #[arg(long, value_name = "URL", value_parser = config::upstream)]
    upstream: Option<Url>,

    /// Where the root of DIR is in the shop's URL space [default: publish.mount]
    #[arg(long, value_name = "PATH", value_parser = config::mount)]
    mount: Option<Mount>,

    /// Publish again whenever a file in DIR changes
    #[arg(long)]
    watch: bool,
}

/// Where everything can be reached.
#[derive(Debug, Serialize)]
struct Reachable {
    #[serde(flatten)]
    urls: Urls,
    bucket: String,
}

impl Up {
    /// Runs until it is told to end.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let settings = context.settings()?;
        let tokens = admin_tokens(&context.environment)?;
        // Bound first, so that an address in use is told before anything is written.
        let listeners = Listeners::bind(self.listen, self.admin_listen)?;
        let urls = listeners.urls()?;

        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (store, url) = self.start_bucket(context, &tasks, &shutdown).await?;
        let reachable = Reachable { urls, bucket: format!("{url}{BUCKET}") };

        let publisher = self.publisher(&settings, Arc::clone(&store), context);
        let first = publisher.publish(&self.source, How::Activate);
        let outcome = until_interrupted(NOTHING_ACTIVATED, first).await?;
        context.output.note(&outcome);

        let shield = self.shield(&settings, store)?;
        shield.refresh().await;
        context.output.data(&reachable, &reachable);

        let watch = self.watch.then(|| Watch::start(&self.source)).transpose()?;
        let republish = republish(&publisher, &self.source, watch, &shield, &shutdown);
        tokio::join!(
            run_shield(Arc::clone(&shield), listeners, tokens, shutdown.clone()),
            republish,
            async {
                signalled().await;
                shutdown.cancel();
            }
        );
        tasks.close();
        tasks.wait().await;
        Ok(())
    }

    async fn start_bucket(
        &self,
        context: &Context,
        tasks: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<(Arc<S3Store>, Url)> {
        let credentials = bucket::credentials(context);
        let embedded = Bucket::open(&self.data.join("bucket"), credentials.clone())?;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot listen for the embedded bucket")?;
        let endpoint = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
        let shutdown = shutdown.clone();
        tasks.spawn(async move { embedded.serve(listener, shutdown).await });
        let store = S3Store::new(S3Config {
            endpoint: endpoint.clone(),
            region: "awning".to_owned(),
            bucket: BUCKET.to_owned(),
            key_id: credentials.key_id,
            key: credentials.key,
            profile: Profile::Publisher,
            attempts: 0,
        });
        Ok((Arc::new(store), endpoint))
    }

    fn publisher(
        &self,
        settings: &Settings,
        store: Arc<S3Store>,
        context: &Context,
    ) -> Publisher<S3Store> {
        let mut options = options(&settings.publish);
        options.mount = self.mount(settings);
        options.public = PublicBase::default();
        // On one machine the author decides, and deleting half a site is ordinary work.
        options.allow_shrink = true;
        let layout = KeyLayout::default();
        Publisher { store, layout, options, output: context.output }
    }

    fn shield(&self, settings: &Settings, store: Arc<S3Store>) -> anyhow::Result<Arc<Shield>> {
        let channel = settings.publish.channel.clone();
        let site = SiteConfig {
            hosts: vec!["*".to_owned()],
            serve: match &self.upstream {
                Some(upstream) => Serve::Storefront { upstream: upstream.clone() },
                None => Serve::Release,
            },
            assets: vec![MountedChannel { mount: self.mount(settings), channel }],
            public: PublicBase::default(),
            rewrite: true,
        };
        let config = Config {
            sites: vec![site],
            memory_bytes_max: settings.shield.memory_bytes_max,
            trusted_proxies: settings.shield.trusted_proxies.clone(),
            limits: Limits::standard(),
        };
        let metrics = Arc::new(Metrics::default());
        Ok(Shield::new(config, Some(store), KeyLayout::default(), Clock::System, metrics)?)
    }

    fn mount(&self, settings: &Settings) -> Mount {
        self.mount.clone().unwrap_or_else(|| settings.publish.mount.clone())
    }
}

/// Publishes again after every change, until `shutdown`. A tree that cannot be
/// published is reported, and the release that is there stays.
async fn republish(
    publisher: &Publisher<S3Store>,
    source: &std::path::Path,
    watch: Option<Watch>,
    shield: &Shield,
    shutdown: &CancellationToken,
) {
    let Some(mut watch) = watch else { return };
    while shutdown.run_until_cancelled(watch.changed()).await.is_some() {
        match publisher.publish(source, How::Activate).await {
            Ok(Outcome::Unchanged(_)) => {}
            Ok(outcome) => {
                publisher.output.note(&outcome);
                shield.refresh().await;
            }
            Err(error) => publisher.output.error(&error),
        }
    }
}

impl std::fmt::Display for Reachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nbucket  {}", self.urls, self.bucket)
    }
}
