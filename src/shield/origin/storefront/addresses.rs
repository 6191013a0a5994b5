//! The addresses of one upstream: looked up now and then, never for each
//! request, and kept for when its name cannot be looked up any more.
//!
//! Only the name of the configuration is looked up, whatever a request says.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tower::Service;

use crate::shield::metrics::Metrics;

/// How long addresses are used before their name is looked up again.
const FRESH: Duration = Duration::from_secs(5);

/// How long a failure is believed when there are no addresses at all.
const FAILED: Duration = Duration::from_secs(1);

/// How long a lookup is waited for while there are older addresses, from its
/// start: only the first connections of a time without DNS notice it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same while there are none.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(5);

/// Most addresses that are tried: they share the time to connect.
const ADDRESSES_MAX: usize = 8;

/// How a name is looked up.
type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The addresses of one upstream.
#[derive(Clone)]
pub(super) struct Addresses(Arc<Upstream>);

struct Upstream {
    host: String,
    lookup: Box<Lookup>,
    metrics: Arc<Metrics>,
    known: Mutex<Known>,
}

/// What the last lookups came to.
#[derive(Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    failure: Option<String>,
    again_at: Option<Instant>,
    running: Option<Running>,
}

/// The one lookup that is under way. Its sender is dropped at the end.
#[derive(Clone)]
struct Running {
    since: Instant,
    ended: watch::Receiver<()>,
}

impl Addresses {
    /// The addresses that the system finds for `host`.
    pub(super) fn of(host: &str, metrics: Arc<Metrics>) -> Self {
        let lookup = |host: String| {
            let found = async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) };
            found.boxed()
        };
        Self::found_by(host, Box::new(lookup), metrics)
    }

    fn found_by(host: &str, lookup: Box<Lookup>, metrics: Arc<Metrics>) -> Self {
        let (host, known) = (host.to_owned(), Mutex::default());
        Self(Arc::new(Upstream { host, lookup, metrics, known }))
    }

    async fn find(self, name: Name) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        if !name.as_str().eq_ignore_ascii_case(&self.0.host) {
            let refused = "only the upstream of the configuration is connected to";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused));
        }
        let waiting = {
            let mut known = self.0.known();
            let is_fresh = known.again_at.is_some_and(|at| Instant::now() < at);
            if is_fresh && known.running.is_none() {
                return known.answer();
            }
            // One whose task is gone without a word will not end any more.
            let running = known.running.clone().filter(|known| known.ended.has_changed().is_ok());
            let running = running.unwrap_or_else(|| self.start());
            let patience = if known.addresses.is_empty() { PATIENCE_AT_FIRST } else { PATIENCE };
            let deadline = running.since + patience;
            let mut ended = running.ended.clone();
            known.running = Some(running);
            async move { timeout_at(deadline, ended.changed()).await }
        };
        // Too late or not, what is known by then is the answer.
        let _ = waiting.await;
        self.0.known().answer()
    }

    /// Looks the name up in a task of its own, which whoever asked first may
    /// leave. There is one at a time.
    fn start(&self) -> Running {
        let (sender, ended) = watch::channel(());
        let upstream = Arc::clone(&self.0);
        tokio::spawn(async move {
            let found = (upstream.lookup)(upstream.host.clone()).await;
            upstream.learn(found);
            drop(sender);
        });
        Running { since: Instant::now(), ended }
    }
}

impl Upstream {
    fn learn(&self, found: io::Result<Vec<SocketAddr>>) {
        let found = found.map_err(|error| error.to_string()).and_then(usable);
        let outcome = if found.is_ok() { "found" } else { "failed" };
        let labels = [("outcome", outcome)];
        self.metrics.counter("awning_upstream_lookups_total", &labels).increment(1);
        let now = Instant::now();
        let mut known = self.known();
        known.running = None;
        match found {
            Ok(addresses) => {
                *known = Known { addresses, again_at: Some(now + FRESH), ..Known::default() };
            }
            Err(failure) => {
                // Told once, not at every look that finds the same.
                if known.failure.as_ref() != Some(&failure) {
                    let kept = known.addresses.len();
                    tracing::warn!(host = self.host, failure, kept, "cannot look up an upstream");
                }
                let pause = if known.addresses.is_empty() { FAILED } else { FRESH };
                known.again_at = Some(now + pause);
                known.failure = Some(failure);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn answer(&self) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        if self.addresses.is_empty() {
            let failure = self.failure.as_deref().unwrap_or("the lookup takes too long");
            return Err(io::Error::new(io::ErrorKind::NotFound, failure.to_owned()));
        }
        Ok(self.addresses.clone().into_iter())
    }
}

/// The addresses that an upstream may have, as many as are tried. A name that
/// was made to lead to the metadata of a cloud machine, or to a group of
/// machines, leads nowhere.
fn usable(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    let is_usable = |address: &SocketAddr| match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.is_link_local())
        }
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()),
    };
    let usable: Vec<_> = found.into_iter().filter(is_usable).take(ADDRESSES_MAX).collect();
    if usable.is_empty() { Err("no usable address is found".to_owned()) } else { Ok(usable) }
}

impl Service<Name> for Addresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        self.clone().find(name).boxed()
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Addresses").field(&self.0.host).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;

    use super::*;

    /// What DNS says next, and how often it was asked.
    #[derive(Clone, Default)]
    struct Dns(Arc<(Mutex<Says>, AtomicUsize)>);

    #[derive(Clone, Default)]
    enum Says {
        #[default]
        Nothing,
        Fails,
        Is(Vec<&'static str>),
    }

    impl Dns {
        fn says(&self, says: Says) {
            *self.0.0.lock().unwrap() = says;
        }

        fn asked(&self) -> usize {
            self.0.1.load(Ordering::SeqCst)
        }

        fn addresses(&self) -> Addresses {
            let dns = self.clone();
            let lookup = move |host: String| {
                assert_eq!(host, "shop");
                dns.0.1.fetch_add(1, Ordering::SeqCst);
                let says = dns.0.0.lock().unwrap().clone();
                async move {
                    match says {
                        Says::Nothing => std::future::pending().await,
                        Says::Fails => Err(io::Error::other("SERVFAIL")),
                        Says::Is(found) => Ok(found
                            .iter()
                            .map(|ip| (ip.parse::<IpAddr>().unwrap(), 0).into())
                            .collect()),
                    }
                }
                .boxed()
            };
            Addresses::found_by("shop", Box::new(lookup), Arc::default())
        }
    }

    async fn found(addresses: &Addresses) -> Result<Vec<String>, String> {
        let found = addresses.clone().find("shop".parse().unwrap()).await;
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_at_most_every_five_seconds() {
        let dns = Dns::default();
        let addresses = dns.addresses();
        dns.says(Says::Is(vec!["10.0.0.1", "10.0.0.2"]));
        for _ in 0..1000 {
            assert_eq!(found(&addresses).await.unwrap(), ["10.0.0.1", "10.0.0.2"]);
        }
        assert_eq!(dns.asked(), 1);
        dns.says(Says::Is(vec!["10.0.0.3"]));
        advance(FRESH).await;
        let many = (0..100).map(|_| found(&addresses));
        for found in futures_util::future::join_all(many).await {
            assert_eq!(found.unwrap(), ["10.0.0.3"]);
        }
        assert_eq!(dns.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_addresses_outlive_the_names_servers() {
        let dns = Dns::default();
        let addresses = dns.addresses();
        dns.says(Says::Is(vec!["10.0.0.1"]));
        assert!(found(&addresses).await.is_ok());
        for says in [Says::Fails, Says::Is(vec![]), Says::Is(vec!["0.0.0.0"])] {
            dns.says(says);
            advance(FRESH).await;
            let begun = Instant::now();
            assert_eq!(found(&addresses).await.unwrap(), ["10.0.0.1"]);
            assert_eq!(begun.elapsed(), Duration::ZERO);
        }
        dns.says(Says::Nothing);
        advance(FRESH).await;
        let (asked, begun) = (dns.asked(), Instant::now());
        for _ in 0..10 {
            assert_eq!(found(&addresses).await.unwrap(), ["10.0.0.1"]);
        }
        assert_eq!(
            (dns.asked(), begun.elapsed()),
            (asked + 1, PATIENCE),
            "the first waits for all"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_address_a_failure_is_believed_for_a_second() {
        let dns = Dns::default();
        let addresses = dns.addresses();
        dns.says(Says::Fails);
        for _ in 0..10 {
            assert_eq!(found(&addresses).await.unwrap_err(), "SERVFAIL");
        }
        assert_eq!(dns.asked(), 1);
        dns.says(Says::Is(vec!["10.0.0.1"]));
        advance(FAILED).await;
        assert_eq!(found(&addresses).await.unwrap(), ["10.0.0.1"]);

        let silent = Dns::default().addresses();
        let begun = Instant::now();
        assert_eq!(found(&silent).await.unwrap_err(), "the lookup takes too long");
        assert_eq!(begun.elapsed(), PATIENCE_AT_FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_eight_addresses_are_tried_and_none_that_is_no_servers() {
        let dns = Dns::default();
        dns.says(Says::Is(vec!["10.0.0.1"; 1000]));
        assert_eq!(found(&dns.addresses()).await.unwrap().len(), ADDRESSES_MAX);
        for odd in
            ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "::"]
        {
            dns.says(Says::Is(vec![odd]));
            assert_eq!(found(&dns.addresses()).await.unwrap_err(), "no usable address is found");
            dns.says(Says::Is(vec![odd, "127.0.0.1"]));
            assert_eq!(found(&dns.addresses()).await.unwrap(), ["127.0.0.1"], "{odd}");
        }
    }

    #[tokio::test]
    async fn no_other_name_is_looked_up() {
        let dns = Dns::default();
        let found = dns.addresses().find("evil.example".parse().unwrap()).await;
        assert_eq!(found.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(dns.asked(), 0);
    }
}
