//! A changed configuration, taken while the shield serves: on SIGHUP, and when
//! the file or one that holds a secret changes. One that is wrong is told with
//! all that is wrong about it, and changes nothing.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use awning::shield::{ReloadError, Reloaded, Shield, Tls};
use awning::store::s3::{S3Config, S3Store};
use awning::store::{ObjectRead, Renewable};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::commands::Context;
use crate::config::{CONFIG_BYTES_MAX, ConfigError};
use crate::served::{Served, renewed};
use crate::watch::Watch;

/// How long a configuration is left alone whose channel could not be read.
const RETRY: Duration = Duration::from_secs(5);

/// Hears of changes from the moment it is made: none is lost until it is asked.
#[derive(Debug)]
pub(crate) struct Changes {
    hangup: Signal,
    watch: Option<Watch>,
    files: Vec<PathBuf>,
    seen: Vec<Option<Vec<u8>>>,
}

/// A shield whose configuration may change.
pub(crate) struct Reloading<'a> {
    /// Where the configuration comes from.
    pub(crate) context: &'a Context,
    /// What it was when the shield started, and the flags that go before it.
    pub(crate) began: Served,
    pub(crate) flags: [Option<std::net::SocketAddr>; 2],
    pub(crate) shield: Arc<Shield>,
    /// The certificate, which is read again with every change.
    pub(crate) tls: Option<Arc<Tls>>,
    /// The files of the certificate that the configuration names now.
    pub(crate) named: Vec<PathBuf>,
    /// The bucket, and how it is reached now.
    pub(crate) store: Option<(Arc<Renewable>, S3Config)>,
}

impl Changes {
    /// Begins to listen; until then, SIGHUP ends the process.
    pub(crate) fn listen(files: Vec<PathBuf>) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
        let watch = Watch::files(&files)
            .inspect_err(|error| {
                let error = format!("{error:#}");
                tracing::warn!(error, "only SIGHUP reads the configuration again");
            })
            .ok();
        let seen = contents(&files);
        Ok(Self { hangup, watch, files, seen })
    }

    /// Listens to these files from now on; whether they are others than before.
    fn follow(&mut self, files: Vec<PathBuf>) -> bool {
        if files == self.files {
            return false;
        }
        if let Some(watch) = &mut self.watch {
            watch.follow(&files);
        }
        self.seen = contents(&files);
        self.files = files;
        true
    }

    /// Returns when the configuration is to be read again; `retry` when it is
    /// to be even if nothing changes.
    async fn next(&mut self, retry: Option<Duration>) {
        loop {
            let changed = async {
                match &mut self.watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            let retry = async {
                match retry {
                    Some(pause) => sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                _ = self.hangup.recv() => true,
                () = retry => true,
                () = changed => false,
            };
            if let Some(watch) = &mut self.watch {
                // What was replaced is another file now.
                watch.look_again(&self.files);
            }
            let now = contents(&self.files);
            // Other files in the same directories change as well.
            if std::mem::replace(&mut self.seen, now) != self.seen || asked {
                return;
            }
        }
    }
}

impl Reloading<'_> {
    /// Takes every change until `shutdown`.
    pub(crate) async fn run(mut self, mut changes: Changes, shutdown: CancellationToken) {
        let reloading = async {
            let mut retry = None;
            loop {
                changes.next(retry).await;
                retry = self.reload().await;
                if changes.follow(self.files()) {
                    // Once more, for what changed before anybody watched.
                    retry = self.reload().await;
                }
            }
        };
        shutdown.run_until_cancelled(reloading).await;
    }

    /// The files that a change of which may change what is served.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = self.context.config_files();
        files.extend(self.named.iter().cloned());
        files
    }

    /// Reads the configuration and takes it; how long to wait until it should
    /// be tried again although it is the same.
    async fn reload(&mut self) -> Option<Duration> {
        let known = self.shield.standing().problems;
        let error = match self.take().await {
            Ok(Reloaded { needs_restart, .. }) => {
                tracing::info!("the configuration was read again and is in effect");
                if !needs_restart.is_empty() {
                    let settings = needs_restart.join(", ");
                    tracing::warn!(settings, "changed, but needs a restart");
                }
                return None;
            }
            Err(error) => error,
        };
        if self.shield.standing().problems != known {
            tracing::error!(
                "the configuration was not taken, and the one before stays:\n{error:#}"
            );
        }
        let later = matches!(error.downcast_ref(), Some(ReloadError::Unread { .. }));
        later.then_some(RETRY)
    }

    async fn take(&mut self) -> anyhow::Result<Reloaded> {
        let served = self.read().inspect_err(|error| {
            self.shield.reject_config(&error.to_string());
        })?;
        self.named = served.tls_files();
        let certificate = served.certificate().inspect_err(|error| {
            self.shield.reject_config(&error.to_string());
        })?;
        let fixed = self.began.fixed_in(&served);
        let newer = match (&self.store, &served.store) {
            // Credentials for another bucket are of no use at this one.
            (Some((_, before)), Some((newer, _))) if !fixed.contains(&"store") => {
                renewed(before, newer)
            }
            _ => None,
        };
        let connection = newer.clone().map(|newer| Arc::new(S3Store::new(newer)));
        let through = connection.as_deref().map(|store| store as &dyn ObjectRead);
        // Nothing takes effect before the whole of it is found to be good.
        let reloaded = self.shield.reload_through(served.config, fixed, through).await?;
        if let (Some((store, before)), Some(newer), Some(connection)) =
            (&mut self.store, newer, connection)
        {
            store.renew(connection);
            tracing::info!("the bucket is read with other credentials or limits from now on");
            *before = newer;
        }
        if let (Some(tls), Some(certificate)) = (&self.tls, certificate) {
            tls.renew(&certificate);
        }
        self.shield.set_admin_tokens(&served.tokens);
        Ok(reloaded)
    }

    fn read(&self) -> Result<Served, ConfigError> {
        let [listen, admin_listen] = self.flags;
        let served = Served::read(self.context, listen, admin_listen)?;
        if self.store.is_none() && served.store.is_some() {
            return Err(ConfigError::missing("`[store]` is new, and needs a restart"));
        }
        Ok(served)
    }
}

/// What is in the files, as far as it can be read.
fn contents(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    files.iter().map(|path| content(path).ok()).collect()
}

fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is taken, so that a change of the size is seen.
    std::fs::File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
