//! `awning serve`: the shield, from the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use awning::clock::Clock;
use awning::shield::Shield;
use awning::shield::metrics::Metrics;
use awning::shield::server;
use awning::store::s3::S3Store;
use awning::store::{ObjectRead, Renewable};
use clap::Args;
use secrecy::SecretString;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::exit::CannotListen;
use crate::interrupt::Signals;
use crate::open_files;
use crate::reload::{Changes, Reloading};
use crate::served::Served;

/// How often channel heads are read again.
pub(crate) const REFRESH_EVERY: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted; the usual 128 is short for a burst.
const BACKLOG: u32 = 1024;

/// Run the shield, from the configuration
///
/// SIGHUP reads the configuration and the files with secrets again; so does a
/// change of one of them. A configuration that is wrong changes nothing.
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
        let changes = Changes::listen(context.config_files())?;
        let served = Served::read(context, self.listen, self.admin_listen)?;
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
        let listeners = Listeners::bind(served.listen, served.admin_listen)?;
        let urls = listeners.urls()?;
        context.output.data(&urls, &urls)?;

        let (shutdown, tokens) = (CancellationToken::new(), served.tokens.clone());
        let reloading = Reloading {
            context,
            began: served,
            flags: [self.listen, self.admin_listen],
            shield: Arc::clone(&shield),
            store,
        };
        tokio::join!(
            run_shield(shield, listeners, tokens, shutdown.clone()),
            reloading.run(changes, shutdown.clone()),
            async move {
                signals.received().await;
                shutdown.cancel();
            }
        );
        Ok(())
    }
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
        Ok(Self { public: bind(public)?, admin: bind(admin)? })
    }

    /// The URLs that reach them.
    pub(crate) fn urls(&self) -> anyhow::Result<Urls> {
        Ok(Urls {
            shield: format!("http://{}", self.public.local_addr()?),
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
    if let Err(error) = open_files::raise_limit() {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
    let Listeners { public, admin } = listeners;
    tokio::join!(
        Arc::clone(&shield).watch(REFRESH_EVERY, shutdown.clone()),
        server::serve(shield, public, admin, &tokens, shutdown),
    );
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
