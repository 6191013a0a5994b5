//! `awning up`: bucket, publisher and shield in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use awning::asset::KeyLayout;
use awning::clock::Clock;
use awning::publish::Modules;
use awning::rewrite::{Mount, PublicBase};
use awning::shield::Shield;
use awning::shield::config::{Config, Limits, MountedChannel, Serve, SiteConfig};
use awning::shield::metrics::Metrics;
use awning::store::ObjectRead;
use awning::store::s3::{Profile, S3Store};
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::publish::{How, NOTHING_ACTIVATED, Outcome, Publisher, coder, options};
use super::serve::{Listeners, Urls, run_shield};
use super::{Context, bucket};
use crate::config::{self, ConfigError, Settings, admin_tokens};
use crate::embedded::Embedded;
use crate::interrupt::Signals;
use crate::watch::Watch;

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

    /// Directory that keeps the embedded bucket and coded files; created if missing
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
        let mut signals = Signals::listen()?;
        let settings = context.settings()?;
        let tokens = admin_tokens(&context.environment)?;
        self.refuse_data_in_source()?;
        // Bound first, so that an address in use is told before anything is written.
        let listeners = Listeners::bind(self.listen, self.admin_listen)?;
        let urls = listeners.urls()?;

        // Watched from before it is read, so that no change falls in between.
        // What is no directory is refused by the publish.
        let watched = self.watch && self.source.is_dir();
        let watch = watched.then(|| Watch::start(&self.source)).transpose()?;
        let first = async {
            let bucket = Embedded::start(&self.data, bucket::credentials(context)?).await?;
            let publisher = self.publisher(&settings, bucket.store(Profile::Publisher), context);
            let outcome = publisher.publish(&self.source, How::Activate).await?;
            context.output.note(&outcome);
            Ok((bucket, publisher))
        };
        let (bucket, publisher) = signals.interrupt(NOTHING_ACTIVATED, first).await?;
        let shield = self.shield(&settings, bucket.store(Profile::Shield))?;
        shield.refresh().await;
        let reachable = Reachable { urls, bucket: bucket.url() };
        context.output.data(&reachable, &reachable)?;

        let shutdown = CancellationToken::new();
        tokio::join!(
            run_shield(Arc::clone(&shield), listeners, tokens, shutdown.clone()),
            republish(&publisher, &self.source, watch, &shield, &shutdown),
            async {
                signals.received().await;
                shutdown.cancel();
            }
        );
        // Requests that the shield still finished may have needed it.
        bucket.stop().await;
        Ok(())
    }

    /// The bucket is in `.awning` when it lies in DIR, which is never published.
    /// Anywhere else, each release would hold the objects of the one before.
    fn refuse_data_in_source(&self) -> anyhow::Result<()> {
        // What cannot be told is judged by those who use the directories.
        let Ok(source) = std::fs::canonicalize(&self.source) else { return Ok(()) };
        let Ok(data) = absolute(&self.data) else { return Ok(()) };
        match data.strip_prefix(&source) {
            Ok(inside) if !inside.starts_with(".awning") => {
                let (data, source) = (self.data.display(), self.source.display());
                let message = format!(
                    "--data `{data}` lies in `{source}`, so the bucket would be published: \
                     choose another place, or `.awning` at the root of it"
                );
                Err(ConfigError::missing(&message).into())
            }
            _ => Ok(()),
        }
    }

    fn publisher(
        &self,
        settings: &Settings,
        store: S3Store,
        context: &Context,
    ) -> Publisher<S3Store> {
        let mut options = options(&settings.publish);
        options.mount = self.mount(settings);
        options.public = PublicBase::default();
        if self.upstream.is_some() {
            // Its pages get no import map from here.
            options.modules = Modules::Rewrite;
        }
        // On one machine the author decides, and deleting half a site is ordinary work.
        options.allow_shrink = true;
        let layout = KeyLayout::default();
        let coder = coder(Some(&self.data.join("cache")));
        Publisher::new(Arc::new(store), layout, options, coder, context.output)
    }

    fn shield(&self, settings: &Settings, store: S3Store) -> anyhow::Result<Arc<Shield>> {
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
            pages: Default::default(),
        };
        let config = Config {
            sites: vec![site],
            memory_bytes_max: settings.shield.memory_bytes_max,
            disk: settings.shield.disk.clone(),
            trusted_proxies: settings.shield.trusted_proxies.clone(),
            limits: Limits::standard(),
        };
        let metrics = Arc::new(Metrics::default());
        let store: Arc<dyn ObjectRead> = Arc::new(store);
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
    source: &Path,
    watch: Option<Watch>,
    shield: &Shield,
    shutdown: &CancellationToken,
) {
    let Some(mut watch) = watch else { return };
    let publishing = async {
        loop {
            watch.changed().await;
            match publisher.publish(source, How::Activate).await {
                Ok(Outcome::Unchanged(_)) => {}
                Ok(outcome) => {
                    publisher.output.note(&outcome);
                    shield.refresh().await;
                }
                Err(error) => publisher.output.error(&error),
            }
        }
    };
    // A publish under way is given up too: the bucket it writes to is ending.
    shutdown.run_until_cancelled(publishing).await;
}

/// The absolute path of a directory, of which the last parts need not be there.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find_map(|part| Some((part, std::fs::canonicalize(part).ok()?)));
    Ok(match there {
        Some((part, real)) => real.join(path.strip_prefix(part).unwrap_or(Path::new(""))),
        None => path,
    })
}

impl std::fmt::Display for Reachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nbucket  {}", self.urls, self.bucket)
    }
}
