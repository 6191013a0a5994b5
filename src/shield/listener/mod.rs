//! The listener: an accept loop that bounds what a client can hold.
//!
//! `axum::serve` installs no timer and cannot refuse a silent client, so the
//! loop is our own. It refuses connections by closing them, and never dies of a
//! failed accept.

#[cfg(test)]
mod agreement;
mod answering;
mod arrival;
mod connection;
mod framed;
mod framing;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod in_flight;
mod proxied;
mod roster;
mod socket;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod trusted;
mod tunnel;
mod vigil;
mod watched;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::Counter;
use futures_util::FutureExt as _;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

pub use answering::Answering;
pub use arrival::Entry;
pub(crate) use arrival::Secure;
pub(crate) use connection::Endings;
pub use tls::{Tls, TlsError};
pub(crate) use trusted::Trusted;
pub use tunnel::Tunnel;

use self::arrival::{Arrived, Turned};
use self::connection::{Ended, Protocol, protocol, serve_connection};
use self::roster::{Roster, Slot, Unadmitted, connections_under};
use self::vigil::{Overdue, Patience};
use super::config::Limits;
use super::metrics::Metrics;

/// How long a connection may wait for its next request. hyper's own default
/// is for ever; a connection that is needed more urgently goes earlier.
const IDLE: Duration = Duration::from_secs(15);
/// The pause after an accept that failed, in which others may end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Connections that are still let in at the end; the kernel queues no more.
const QUEUED_MAX: usize = 4096;
/// How many of them between two turns of other tasks.
const QUEUED_AT_ONCE: usize = 64;

/// An accept loop and what it serves.
pub(crate) struct Listener<R> {
    tcp: TcpListener,
    router: R,
    entry: Entry,
    roster: Arc<Roster>,
    protocol: Arc<Protocol>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl<R: Answering> Listener<R> {
    /// A listener whose open connections are counted as `gauge`.
    pub(crate) fn new(
        gauge: &'static str,
        tcp: TcpListener,
        router: R,
        entry: Entry,
        limits: &Limits,
        trusted: &Trusted,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let patience =
            Patience { head: limits.head_timeout, idle: IDLE, write: limits.write_timeout };
        let open_files_max = getrlimit(Resource::Nofile).current;
        let fitting = connections_under(open_files_max, limits.connections_max);
        if fitting < limits.connections_max {
            tracing::info!(fitting, ?open_files_max, "open files limit the connections");
        }
        let roster = Roster::new(
            fitting,
            limits.connections_per_peer_max,
            trusted.clone(),
            patience,
            metrics.gauge(gauge, &[]),
        );
        Self {
            tcp,
            router,
            entry,
            roster,
            protocol: Arc::new(protocol(limits, rejections(metrics, "slow-reader"))),
            limits: limits.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    /// Accepts connections until `endings` says to stop. Those that are open
    /// then go on, as tasks of `endings`.
    pub(crate) async fn run(self, endings: Endings) {
        let endings = Arc::new(endings);
        loop {
            let accepted = tokio::select! {
                () = endings.graceful.cancelled() => break,
                // Who is queued is the next process's now.
                () = endings.leaving.cancelled() => return,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.receive(stream, peer, &endings),
                Err(error) => self.recover(&error).await,
            }
        }
        self.receive_queued(&endings).await;
    }

    /// Lets in who has connected already. They would be reset otherwise, with
    /// the requests that they have sent.
    async fn receive_queued(&self, endings: &Arc<Endings>) {
        yield_now().await;
        for taken in 1..=QUEUED_MAX {
            // A task that does much without a pause is made to wait, which
            // would look here as if nobody were queued.
            if taken % QUEUED_AT_ONCE == 0 {
                yield_now().await;
            }
            let Some(Ok((stream, peer))) = self.tcp.accept().now_or_never() else { return };
            self.receive(stream, peer, endings);
        }
    }

    fn receive(&self, stream: TcpStream, peer: SocketAddr, endings: &Arc<Endings>) {
        let slot = match self.roster.admit(peer.ip(), Instant::now()) {
            Ok(slot) => slot,
            Err(Unadmitted::Full) => return self.count_rejected("connections"),
            Err(Unadmitted::PeerFull) => return self.count_rejected("connections-of-peer"),
        };
        if let Err(error) = socket::configure(&stream) {
            // The peer is gone already; reading from it will say so.
            tracing::debug!(%error, "cannot configure a socket");
        }
        let (router, protocol) = (self.router.clone(), Arc::clone(&self.protocol));
        let (metrics, inner) = (Arc::clone(&self.metrics), Arc::clone(endings));
        if self.entry.is_plain() {
            endings.tasks.spawn(async move {
                let ended = serve_connection(stream, slot, None, router, &protocol, &inner).await;
                count_end(&metrics, ended);
            });
            return;
        }
        let (entry, limit) = (self.entry.clone(), self.limits.head_timeout);
        endings.tasks.spawn(async move {
            let ended =
                serve_arriving(stream, slot, &entry, limit, router, &protocol, &inner).await;
            match ended {
                Ok(ended) => count_end(&metrics, ended),
                Err(turned) => count_rejected(&metrics, reason(&turned)),
            }
        });
    }

    /// Makes room when the process has no descriptor left, and lets other
    /// failures pass: they are about one client, or over in a moment.
    async fn recover(&self, error: &io::Error) {
        if is_out_of_descriptors(error) {
            self.roster.make_room();
            self.count_rejected("descriptors");
        }
        tracing::debug!(%error, "cannot accept a connection");
        sleep(ACCEPT_PAUSE).await;
    }

    fn count_rejected(&self, reason: &'static str) {
        count_rejected(&self.metrics, reason);
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// Serves a connection on which something comes before HTTP.
async fn serve_arriving<R: Answering>(
    stream: TcpStream,
    mut slot: Slot,
    entry: &Entry,
    limit: Duration,
    router: R,
    protocol: &Protocol,
    endings: &Arc<Endings>,
) -> Result<Ended, Turned> {
    let cut = slot.cut().clone();
    let arrived = tokio::select! {
        arrived = entry.arrive(stream, &mut slot, limit) => arrived?,
        () = cut.cancelled() => return Ok(Ended::Shed),
        () = endings.abrupt.cancelled() => return Ok(Ended::Aborted),
    };
    Ok(match arrived {
        Arrived::Plain(stream) => {
            serve_connection(stream, slot, None, router, protocol, endings).await
        }
        Arrived::Secure(stream, secure) => {
            serve_connection(stream, slot, Some(secure), router, protocol, endings).await
        }
    })
}

fn reason(turned: &Turned) -> &'static str {
    match turned {
        Turned::Late => "slow-head",
        Turned::Proxy => "proxy-protocol",
        Turned::Handshake => "tls-handshake",
        Turned::Unadmitted(Unadmitted::Full) => "connections",
        Turned::Unadmitted(Unadmitted::PeerFull) => "connections-of-peer",
    }
}

fn count_end(metrics: &Metrics, ended: Ended) {
    if let Some(reason) = rejection(ended) {
        count_rejected(metrics, reason);
    }
}

fn count_rejected(metrics: &Metrics, reason: &'static str) {
    rejections(metrics, reason).increment(1);
}

fn rejections(metrics: &Metrics, reason: &'static str) -> Counter {
    metrics.counter("awning_rejected_total", &[("reason", reason)])
}

fn rejection(ended: Ended) -> Option<&'static str> {
    match ended {
        Ended::Overdue(Overdue::Head) => Some("slow-head"),
        Ended::Overdue(Overdue::Reading) => Some("slow-reader"),
        Ended::Shed => Some("shed"),
        Ended::Faulty(fault) => Some(fault.reason()),
        Ended::Refused(refusal) => Some(refusal.reason()),
        Ended::Closed | Ended::Aborted | Ended::Overdue(Overdue::Request) => None,
    }
}
