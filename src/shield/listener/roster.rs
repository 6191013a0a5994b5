//! Who is connected, how many may be, and who has to go first.
//!
//! A full house never locks a visitor out while somebody in it does nothing:
//! the oldest connection that has not yet asked for anything makes room, then
//! the one that has been idle longest.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::Gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::trusted::Trusted;
use super::vigil::{Patience, Vigil};

/// File descriptors that are left to everything that is not a visitor's
/// connection: at least this many, and at least a quarter. `awning up` holds
/// about 80, those of its embedded bucket included.
const DESCRIPTORS_RESERVED: u64 = 96;

/// How many connections go when descriptors run out all the same. One at a
/// time would let a crowd of silent clients keep a visitor waiting for seconds.
const SHED_AT_ONCE: usize = 16;

/// The bits of an IPv6 address that its holder cannot choose: a customer is
/// given a /64 at least (RFC 6177), and has all the addresses in it.
const NETWORK: u128 = u128::MAX << 64;

/// How many connections fit under a limit on open files.
pub(crate) fn connections_under(open_files_max: Option<u64>, connections_max: usize) -> usize {
    let Some(files) = open_files_max else { return connections_max };
    let reserved = DESCRIPTORS_RESERVED.max(files / 4);
    let fitting = usize::try_from(files.saturating_sub(reserved)).unwrap_or(usize::MAX);
    // Under an absurdly low limit it is better to try than to refuse everybody.
    connections_max.min(fitting.max(1))
}

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unadmitted {
    /// Everybody who is in is busy.
    Full,
    /// This peer holds as many connections as one peer may.
    PeerFull,
}

/// The open connections of one listener.
#[derive(Debug)]
pub(crate) struct Roster {
    connections_max: usize,
    per_peer_max: usize,
    trusted: Trusted,
    patience: Patience,
    gauge: Gauge,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    connections: HashMap<u64, Connection>,
    /// By [`holder`].
    peers: HashMap<IpAddr, usize>,
    /// Those that have not sent a whole head yet; numbers grow, so the first is the oldest.
    silent: BTreeSet<u64>,
}

#[derive(Debug)]
struct Connection {
    peer: IpAddr,
    vigil: Arc<Vigil>,
    cut: CancellationToken,
}

impl Roster {
    /// A roster for at most `connections_max`, of which `per_peer_max` belong
    /// to one address outside `trusted`, or to one network of IPv6.
    pub(crate) fn new(
        connections_max: usize,
        per_peer_max: usize,
        trusted: impl Into<Trusted>,
        patience: Patience,
        gauge: Gauge,
    ) -> Arc<Self> {
        let (open, trusted) = (Mutex::default(), trusted.into());
        Arc::new(Self { connections_max, per_peer_max, trusted, patience, gauge, open })
    }

    /// Lets a new connection in, at the cost of a silent one if need be.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<Slot, Unadmitted> {
        let peer = peer.to_canonical();
        let mut open = self.open();
        if !self.has_room_for(&open, peer) {
            return Err(Unadmitted::PeerFull);
        }
        if open.connections.len() >= self.connections_max && !open.shed() {
            return Err(Unadmitted::Full);
        }
        open.last += 1;
        let id = open.last;
        let vigil = Arc::new(Vigil::new(self.patience, now));
        let cut = CancellationToken::new();
        let connection = Connection { peer, vigil: Arc::clone(&vigil), cut: cut.clone() };
        open.connections.insert(id, connection);
        open.silent.insert(id);
        *open.peers.entry(holder(peer)).or_default() += 1;
        self.gauge.increment(1.0);
        Ok(Slot { roster: Arc::clone(self), id, peer, vigil, cut })
    }

    /// Whether `peer` is a trusted proxy.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.has(peer)
    }

    fn has_room_for(&self, open: &Open, peer: IpAddr) -> bool {
        let held = open.peers.get(&holder(peer)).copied().unwrap_or(0);
        held < self.per_peer_max || self.trusts(peer)
    }

    /// Makes room by closing the connections that will be missed least, at
    /// most [`SHED_AT_ONCE`] of them.
    pub(crate) fn make_room(&self) {
        let mut open = self.open();
        (0..SHED_AT_ONCE).take_while(|_| open.shed()).for_each(drop);
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.open().connections.len()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn shed(&mut self) -> bool {
        let idle_longest = || {
            let idle = |(id, connection): (&u64, &Connection)| {
                connection.vigil.idle_since().map(|since| (since, *id))
            };
            self.connections.iter().filter_map(idle).min().map(|(_, id)| id)
        };
        let Some(id) = self.silent.first().copied().or_else(idle_longest) else { return false };
        if let Some(connection) = self.remove(id) {
            connection.cut.cancel();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.silent.remove(&id);
        self.leave(connection.peer);
        Some(connection)
    }

    fn leave(&mut self, peer: IpAddr) {
        let holder = holder(peer);
        if let Some(held) = self.peers.get_mut(&holder) {
            *held -= 1;
            if *held == 0 {
                self.peers.remove(&holder);
            }
        }
    }
}

/// Whose connection it is, as far as that can be told from an address.
fn holder(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
    }
}

/// A connection's place; leaving happens on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    roster: Arc<Roster>,
    id: u64,
    peer: IpAddr,
    vigil: Arc<Vigil>,
    cut: CancellationToken,
}

impl Slot {
    /// The address at the other end.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The connection turns out to be another peer's: a proxy says so.
    pub(crate) fn now_of(&mut self, peer: IpAddr) -> Result<(), Unadmitted> {
        let peer = peer.to_canonical();
        let mut open = self.roster.open();
        if !self.roster.has_room_for(&open, peer) {
            return Err(Unadmitted::PeerFull);
        }
        // A connection that was shed is no longer counted for anybody.
        if let Some(connection) = open.connections.get_mut(&self.id) {
            let before = std::mem::replace(&mut connection.peer, peer);
            open.leave(before);
            *open.peers.entry(holder(peer)).or_default() += 1;
        }
        self.peer = peer;
        Ok(())
    }

    /// Whether a trusted proxy is at the other end.
    pub(crate) fn is_of_trusted_proxy(&self) -> bool {
        self.roster.trusts(self.peer)
    }

    /// The connection's vigil.
    pub(crate) fn vigil(&self) -> Arc<Vigil> {
        Arc::clone(&self.vigil)
    }

    /// Cancelled when the connection has to make room.
    pub(crate) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// The peer sent a whole head: it is not silent any more.
    pub(crate) fn heard(&self) {
        self.roster.open().silent.remove(&self.id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.roster.open().remove(self.id);
        self.roster.gauge.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(5),
        idle: Duration::from_secs(15),
        write: Duration::from_secs(15),
    };

    fn roster(connections_max: usize, per_peer_max: usize) -> Arc<Roster> {
        let trusted = vec!["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()];
        Roster::new(connections_max, per_peer_max, trusted, PATIENCE, Gauge::noop())
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test]
    async fn a_full_house_sheds_its_oldest_silent_connection() {
        let (roster, now) = (roster(3, 3), Instant::now());
        let slots: Vec<_> = (1..=3).map(|n| roster.admit(peer(n), now).unwrap()).collect();
        slots[0].heard();
        slots[0].vigil.request_began(false);
        let _newcomer = roster.admit(peer(4), now).unwrap();
        let cut: Vec<_> = slots.iter().map(|slot| slot.cut.is_cancelled()).collect();
        assert_eq!(cut, [false, true, false]);
        assert_eq!(roster.len(), 3);
    }

    #[tokio::test]
    async fn sixteen_make_room_at_once_the_oldest_first() {
        let (roster, now) = (roster(20, 20), Instant::now());
        let slots: Vec<_> = (0..20).map(|_| roster.admit(peer(1), now).unwrap()).collect();
        roster.make_room();
        assert_eq!(roster.len(), 4);
        assert!(slots.iter().take(16).all(|slot| slot.cut.is_cancelled()));
        roster.make_room();
        assert_eq!(roster.len(), 0);
    }

    #[tokio::test]
    async fn without_silent_ones_the_longest_idle_connection_goes() {
        let (roster, now) = (roster(2, 2), Instant::now());
        let slots: Vec<_> = (1..=2).map(|n| roster.admit(peer(n), now).unwrap()).collect();
        for (slot, end) in slots.iter().zip([8, 7]) {
            slot.heard();
            let response = slot.vigil.request_began(false);
            slot.vigil.request_ended(response, now + Duration::from_secs(end));
        }
        let _newcomer = roster.admit(peer(3), now).unwrap();
        assert!(slots[1].cut.is_cancelled() && !slots[0].cut.is_cancelled());
    }

    #[tokio::test]
    async fn a_house_full_of_busy_connections_refuses_the_newcomer() {
        let (roster, now) = (roster(1, 1), Instant::now());
        let busy = roster.admit(peer(1), now).unwrap();
        busy.heard();
        busy.vigil.request_began(false);
        assert_eq!(roster.admit(peer(2), now).err(), Some(Unadmitted::Full));
        drop(busy);
        assert!(roster.admit(peer(2), now).is_ok());
        assert_eq!(roster.len(), 0, "a slot that was dropped has left");
    }

    #[tokio::test]
    async fn one_peer_holds_only_its_share_unless_it_is_a_trusted_proxy() {
        let (roster, now) = (roster(10, 2), Instant::now());
        let proxy = IpAddr::from([10, 0, 0, 1]);
        let _proxied: Vec<_> = (0..3).map(|_| roster.admit(proxy, now).unwrap()).collect();
        let held: Vec<_> = (0..2).map(|_| roster.admit(peer(1), now).unwrap()).collect();
        assert_eq!(roster.admit(peer(1), now).err(), Some(Unadmitted::PeerFull));
        assert!(roster.admit(peer(2), now).is_ok());
        drop(held);
        assert!(roster.admit(peer(1), now).is_ok());
    }

    #[tokio::test]
    async fn the_addresses_of_one_ipv6_network_share_what_one_peer_holds() {
        let (roster, now) = (roster(10, 2), Instant::now());
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let held: Vec<_> = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::9"]
            .map(|address| roster.admit(at(address), now).unwrap())
            .into();
        assert_eq!(held[1].peer(), at("2001:db8:0:1:ffff::9"), "it is told whole");
        let mut other = roster.admit(at("2001:db8:0:2::1"), now).unwrap();
        let full = Some(Unadmitted::PeerFull);
        assert_eq!(roster.admit(at("2001:db8:0:1::2"), now).err(), full);
        assert_eq!(other.now_of(at("2001:db8:0:1::3")).err(), full);
        for four in ["::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.1"] {
            roster.admit(at(four), now).unwrap();
        }
        drop(held);
        other.now_of(at("2001:db8:0:1::3")).unwrap();
        assert_eq!(roster.open().peers.len(), 1);
    }

    #[tokio::test]
    async fn a_proxied_connection_counts_for_its_visitor() {
        let (roster, now) = (roster(10, 1), Instant::now());
        let mut first = roster.admit([10, 0, 0, 1].into(), now).unwrap();
        first.now_of(peer(1)).unwrap();
        assert_eq!(first.peer(), peer(1));
        let mut second = roster.admit([10, 0, 0, 1].into(), now).unwrap();
        assert_eq!(second.now_of(peer(1)).err(), Some(Unadmitted::PeerFull));
        drop(first);
        second.now_of(peer(1)).unwrap();
        assert_eq!(roster.open().peers.len(), 1, "the proxy itself holds nothing");
    }

    #[tokio::test]
    async fn who_is_a_trusted_proxy_may_change() {
        let (named, by) = (Arc::new(Mutex::new(Vec::new())), peer(1));
        let names = Arc::clone(&named);
        let trusted = Trusted::by(move |address| names.lock().unwrap().contains(&address));
        let (roster, now) = (Roster::new(10, 1, trusted, PATIENCE, Gauge::noop()), Instant::now());
        let _first = roster.admit(by, now).unwrap();
        assert_eq!(roster.admit(by, now).err(), Some(Unadmitted::PeerFull));
        named.lock().unwrap().push(by);
        assert!(roster.admit(by, now).is_ok());
    }

    #[tokio::test]
    async fn a_thousand_connections_of_one_peer_leave_room_for_the_next() {
        let limits = crate::shield::config::Limits::standard();
        let roster = roster(limits.connections_max, limits.connections_per_peer_max);
        let held: Vec<_> = (0..1001).map(|_| roster.admit(peer(1), Instant::now())).collect();
        assert!(held.iter().all(Result::is_ok));
    }

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        for (files, wanted, fitting) in [
            (None, 10_000, 10_000),
            (Some(256), 10_000, 160),
            (Some(1024), 10_000, 768),
            (Some(20_000), 10_000, 10_000),
            (Some(10), 10_000, 1),
        ] {
            assert_eq!(connections_under(files, wanted), fitting, "{files:?}");
        }
    }
}
