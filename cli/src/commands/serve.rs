//! `awning serve`: the shield, from the configuration.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use awning::clock::Clock;
use awning::shield::metrics::Metrics;
use awning::shield::server;
use awning::shield::{Entry, Shield};
use awning::store::s3::S3Store;
use awning::store::{ObjectRead, Renewable};
use clap::Args;
use secrecy::SecretString;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::exit::CannotListen;
use crate::handover::{self, Handover};
use crate::interrupt::Signals;
use crate::open_files;
use crate::reload::{Changes, Reloading};
use crate::served::Served;

/// How often channel heads are read again.
pub(crate) const REFRESH_EVERY: Duration = Duration::from_secs(5);

/// How long the releases of a process that takes over may take to be read.
const RELEASES_MAX: Duration = Duration::from_secs(30);

/// The same where all of them were kept on disk: then a bucket that cannot be
/// read does not stand in the way of a restart.
const KEPT_RELEASES_MAX: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted; the usual 128 is short for a burst.
const BACKLOG: u32 = 1024;

/// Run the shield, from the configuration
///
/// SIGTERM and SIGINT let requests in progress finish. SIGHUP reads the
/// configuration, the certificate and the files with secrets again; so does a
/// change of one of them. A configuration that is wrong changes nothing.
///
/// SIGUSR2 restarts without losing a request: the same command is started again
/// with the same sockets, and once it answers this process finishes what it has
/// begun; if it does not, this process goes on. An address that was changed in
/// the configuration is taken by such a restart. Sockets of systemd are used when
/// there are any, the one for visitors first.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Address for visitors [default: shield.listen]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,

    /// Address for operators [default: shield.admin_listen]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
}

impl Serve {
    /// Serves until it is told to end, then lets requests in progress finish.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let mut signals = Signals::listen()?;
        let sockets = handover::inherited()?;
        let served = Served::read(context, self.listen, self.admin_listen)?;
        let mut files = context.config_files();
        files.extend(served.tls_files());
        let changes = Changes::listen(files)?;
        // Read again, for what changed before anybody watched.
        let served = Served::read(context, self.listen, self.admin_listen)?;
        let tls = served.certificate()?;
        let store = served.store.as_ref().map(|(s3, _)| {
            (Arc::new(Renewable::new(Arc::new(S3Store::new(s3.clone())))), s3.clone())
        });
        let layout = served.store.as_ref().map(|(_, layout)| layout.clone()).unwrap_or_default();
        let shield = Shield::new(
            served.config.clone(),
            store.as_ref().map(|(store, _)| Arc::clone(store) as Arc<dyn ObjectRead>),
            layout,
            Clock::System,
            Arc::new(Metrics::default()),
        )?;
        let addresses = [served.listen, served.admin_listen];
        let sockets = handover::still_meant(sockets, addresses, &context.environment);
        let listeners = Listeners::open(sockets, served.listen, served.admin_listen)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let urls = listeners.urls_by(scheme)?;
        let handover = Handover::prepare(&listeners.public, &listeners.admin, addresses)?;
        if handover::has_predecessor(&context.environment) {
            // Until then that one answers, which has releases.
            read_releases(&shield).await?;
        }
        context.output.data(&urls, &urls)?;

        let (shutdown, tokens) = (CancellationToken::new(), served.tokens.clone());
        let leaving = CancellationToken::new();
        let left = Arc::clone(&shield);
        let entry = Entry {
            proxy_protocol: served.proxy_protocol,
            tls: tls.clone(),
            leaving: leaving.clone(),
        };
        let reloading = Reloading {
            context,
            named: served.tls_files(),
            began: served,
            flags: [self.listen, self.admin_listen],
            shield: Arc::clone(&shield),
            tls,
            store,
        };
        tokio::join!(
            async {
                handover::tell_ready(&context.environment);
                run_shield_by(shield, listeners, tokens, entry, shutdown.clone()).await;
            },
            reloading.run(changes, shutdown.clone()),
            shutdown.run_until_cancelled(async {
                handover.done().await;
                leaving.cancel();
                left.leave_disk().await;
            }),
            shutdown.run_until_cancelled(async {
                signals.received().await;
                shutdown.cancel();
            })
        );
        Ok(())
    }
}

/// Reads what the process before serves already.
async fn read_releases(shield: &Shield) -> anyhow::Result<()> {
    let mut reading = pin!(shield.refresh());
    let read = timeout(KEPT_RELEASES_MAX, reading.as_mut()).await;
    if read.is_err() && !shield.readiness().ready {
        // What is lacking then is told below.
        let _ = timeout(RELEASES_MAX - KEPT_RELEASES_MAX, reading).await;
    }
    let lacking = shield.readiness().reasons;
    if !lacking.is_empty() {
        let reasons: Vec<_> = lacking.into_iter().map(|lacking| lacking.reason).collect();
        bail!("the releases could not be read: {}", reasons.join("; "));
    }
    Ok(())
}

/// The two addresses of a shield, bound but not yet answered.
#[derive(Debug)]
pub(crate) struct Listeners {
    public: TcpListener,
    admin: TcpListener,
}

/// Where a shield can be reached.
#[derive(Debug, Serialize)]
pub(crate) struct Urls {
    /// For visitors.
    pub(crate) shield: String,
    /// For operators.
    pub(crate) admin: String,
}

impl Listeners {
    /// Binds both addresses, so that an address in use is told before anything starts.
    pub(crate) fn bind(public: SocketAddr, admin: SocketAddr) -> anyhow::Result<Self> {
        Self::open([None, None], public, admin)
    }

    /// The same, for sockets that are not there yet.
    fn open(
        [given_public, given_admin]: [Option<std::net::TcpListener>; 2],
        public: SocketAddr,
        admin: SocketAddr,
    ) -> anyhow::Result<Self> {
        let open = |given: Option<std::net::TcpListener>, address| match given {
            None => anyhow::Ok(bind(address)?),
            Some(socket) => {
                socket.set_nonblocking(true)?;
                Ok(TcpListener::from_std(socket)?)
            }
        };
        Ok(Self { public: open(given_public, public)?, admin: open(given_admin, admin)? })
    }

    /// The URLs that reach them.
    pub(crate) fn urls(&self) -> anyhow::Result<Urls> {
        self.urls_by("http")
    }

    fn urls_by(&self, scheme: &str) -> anyhow::Result<Urls> {
        Ok(Urls {
            shield: format!("{scheme}://{}", self.public.local_addr()?),
            admin: format!("http://{}", self.admin.local_addr()?),
        })
    }
}

impl std::fmt::Display for Urls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "shield  {}/\nadmin   {}/", self.shield, self.admin)
    }
}

/// Serves and watches the channels until `shutdown`.
pub(crate) async fn run_shield(
    shield: Arc<Shield>,
    listeners: Listeners,
    tokens: Vec<SecretString>,
    shutdown: CancellationToken,
) {
    run_shield_by(shield, listeners, tokens, Entry::default(), shutdown).await;
}

/// The same, for visitors who come by `entry`. It also ends when another
/// process has taken over and everything here is finished.
async fn run_shield_by(
    shield: Arc<Shield>,
    listeners: Listeners,
    tokens: Vec<SecretString>,
    entry: Entry,
    shutdown: CancellationToken,
) {
    if let Err(error) = open_files::raise_limit() {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
    let Listeners { public, admin } = listeners;
    tokio::join!(Arc::clone(&shield).watch(REFRESH_EVERY, shutdown.clone()), async {
        server::serve_by(shield, public, admin, &tokens, entry, shutdown.clone()).await;
        shutdown.cancel();
    },);
}

/// Listens on an address, or says why that cannot be.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    listen(address).map_err(|source| CannotListen { address, source })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // Without it, a restart would find connections of the last run in its way.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
