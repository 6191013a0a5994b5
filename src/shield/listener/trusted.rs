//! Whose connections are not counted against one address: those of trusted
//! proxies, as the configuration names them at that moment.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// Tells trusted proxies from other peers.
#[derive(Clone)]
pub(crate) struct Trusted(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Trusted {
    /// Those that `is_trusted` says are, each time that it is asked.
    pub(crate) fn by(is_trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_trusted))
    }

    /// Whether this address is a trusted proxy's now.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        (self.0)(address)
    }
}

impl From<Vec<IpNet>> for Trusted {
    fn from(nets: Vec<IpNet>) -> Self {
        Self::by(move |address| nets.iter().any(|net| net.contains(&address)))
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trusted")
    }
}
