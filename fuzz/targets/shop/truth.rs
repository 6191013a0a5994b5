//! What the origin really sent, and to whom. It judges every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::play::varies;

/// All that happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// What was sent, by serial number.
    pub(crate) sent: Vec<Sent>,
    /// Visits whose requests came to the origin, as often as they did.
    pub(crate) asked: Vec<u32>,
    pub(crate) purges: u32,
    /// The serial number below which nothing of a host and target may be used.
    floors: BTreeMap<(String, String), u32>,
}

/// How long a response may be used at most without its origin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) fresh: Duration,
    pub(crate) while_revalidate: Duration,
    /// It is validated each time.
    pub(crate) never: bool,
}

/// What an answer that is a hit says of itself.
#[derive(Debug)]
pub(crate) struct Hit<'a> {
    pub(crate) now: SystemTime,
    pub(crate) age: Option<u64>,
    pub(crate) detail: Option<&'a str>,
    /// What its visitor accepts, unless that is anything.
    pub(crate) max_stale: Option<Duration>,
}

/// One response of the origin.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) serial: u32,
    pub(crate) visit: u32,
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) kind: Option<String>,
    pub(crate) htmx: bool,
    /// Whether it is for the one visit alone.
    pub(crate) personal: bool,
    /// Whether it allows to be shared although `Authorization` was sent.
    pub(crate) allowed: bool,
    /// Purges before it was asked for.
    pub(crate) purges: u32,
    pub(crate) at: SystemTime,
    pub(crate) bounds: Bounds,
    /// The whole representation, of which a part may have been sent.
    pub(crate) body: Vec<u8>,
}

/// Who is answered, and since when.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) visit: u32,
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) kind: Option<String>,
    pub(crate) htmx: bool,
    pub(crate) purges: u32,
    pub(crate) floor: u32,
}

impl Truth {
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the origin was asked for a visit.
    pub(crate) fn asked_for(&self, visit: u32) -> usize {
        self.facts().asked.iter().filter(|asked| **asked == visit).count()
    }

    /// A request changed what has this name: what was sent before is over.
    pub(crate) fn changed(&self, host: &str, target: &str, serial: u32) {
        let mut facts = self.facts();
        let floor = facts.floors.entry((host.to_owned(), target.to_owned())).or_default();
        *floor = serial.max(*floor);
    }

    pub(crate) fn floor(&self, host: &str, target: &str) -> u32 {
        let floors = &self.facts().floors;
        floors.get(&(host.to_owned(), target.to_owned())).copied().unwrap_or_default()
    }

    /// The response whose fields were used may be used for who asks.
    pub(crate) fn assert_fields(&self, serial: u32, asking: &Asking) {
        let facts = self.facts();
        let sent = facts.sent.get(serial as usize).expect("the origin sent it");
        let wrong = sent.unfit_for(asking, false);
        assert!(wrong.is_none(), "{wrong:?}: the fields of {sent:?} for {asking:?}");
    }

    /// A response that is told to be a hit is one that may be used now.
    pub(crate) fn assert_age(&self, serial: u32, asking: &Asking, hit: &Hit<'_>) {
        let facts = self.facts();
        let sent = facts.sent.get(serial as usize).expect("the origin sent it");
        let past = hit.now.duration_since(sent.at).unwrap_or_default();
        let bound = match hit.detail {
            None => Some(sent.bounds.fresh),
            Some("stale-while-revalidate") => {
                Some(sent.bounds.fresh + sent.bounds.while_revalidate)
            }
            Some("max-stale") => hit.max_stale.map(|stale| sent.bounds.fresh + stale),
            // Without an origin there is no bound.
            Some(_) => None,
        };
        assert!(bound.is_none_or(|bound| past <= bound), "{past:?}: {hit:?} of {sent:?}");
        assert!(hit.age.is_some_and(|age| age >= past.as_secs()), "{past:?}: {hit:?} of {sent:?}");
        assert!(!sent.bounds.never, "{hit:?} of {sent:?} for {asking:?}");
    }

    /// The bytes, from `first` on of a representation of `size`, are those of
    /// a response that may be used for who asks. `whole`: to their end.
    pub(crate) fn assert_body(
        &self,
        bytes: &[u8],
        first: usize,
        size: Option<usize>,
        whole: bool,
        asking: &Asking,
    ) {
        let facts = self.facts();
        let fits = |sent: &&Sent| {
            let rest = sent.body.get(first..);
            let same = rest.is_some_and(|rest| rest.starts_with(bytes));
            let sized = size.is_none_or(|size| size == sent.body.len());
            same && sized && (!whole || first + bytes.len() == sent.body.len() || size.is_some())
        };
        let found: Vec<&Sent> = facts.sent.iter().filter(fits).collect();
        let why: BTreeSet<_> =
            found.iter().map(|sent| (sent.serial, sent.unfit_for(asking, true))).collect();
        let text = String::from_utf8_lossy(bytes);
        assert!(
            why.iter().any(|(_, why)| why.is_none()),
            "{text:?} from {first} of {size:?} for {asking:?}: {why:?}"
        );
    }
}

impl Sent {
    /// Why it may not be used for who asks. `body`: it is about its content.
    fn unfit_for(&self, asking: &Asking, body: bool) -> Option<&'static str> {
        let own = self.visit == asking.visit;
        let other_kind = varies(&self.target) && self.kind != asking.kind;
        match () {
            () if self.host != asking.host || self.target != asking.target => Some("another URI"),
            () if self.personal && !own => Some("another visitor's"),
            () if self.purges < asking.purges => Some("purged"),
            () if self.serial < asking.floor => Some("changed"),
            () if body && (other_kind || self.htmx != asking.htmx) && !own => {
                Some("another variant")
            }
            () => None,
        }
    }
}
