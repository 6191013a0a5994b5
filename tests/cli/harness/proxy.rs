//! The front as most tests script it: by method and path, with what becomes
//! of a call in one word. Tests of single faults script the front itself.

use std::net::SocketAddr;
use std::ops::Deref;

use awning_front::{Fault, Front, Moment, Script};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Pass,
    /// Answered by the front with this status and S3 error code.
    Refuse(u16, &'static str),
    /// Never forwarded and never answered.
    HoldBefore,
    /// Forwarded, but never answered.
    HoldAfter,
}

/// A front before the bucket.
pub(crate) struct Proxy(Front);

impl Proxy {
    pub(crate) async fn before(behind: SocketAddr) -> Self {
        Self(Front::before(behind).await.unwrap())
    }

    /// From now on, calls go by what this decides by method and path; what
    /// was seen is forgotten.
    pub(crate) fn follow(&self, mut decide: impl FnMut(&str, &str) -> Action + Send + 'static) {
        self.0.follow(Script::by(move |call| decide(&call.method, &call.path).fault()));
    }

    /// From now on, calls go by this script; what was seen is forgotten.
    pub(crate) fn script(&self, script: Script) {
        self.0.follow(script);
    }

    /// Calls since the script began: method and path.
    pub(crate) fn seen(&self) -> Vec<String> {
        let counts = self.0.counts();
        counts.seen().iter().map(|call| format!("{} {}", call.method, call.path)).collect()
    }
}

impl Deref for Proxy {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.0
    }
}

impl Action {
    fn fault(self) -> Fault {
        match self {
            Self::Pass => Fault::Pass,
            Self::Refuse(status, code) => Fault::error(status, code, "refused by the test"),
            Self::HoldBefore => Fault::Hold(Moment::Head),
            Self::HoldAfter => Fault::Hold(Moment::Effect),
        }
    }
}
