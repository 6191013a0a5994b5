//! Switching a channel by hand to a release that is in the bucket: promoting,
//! rolling back, unlocking. The same log decides as for a publish.

use std::time::SystemTime;

use super::activate::{append, settle};
use super::claim;
use super::error::PublishError;
use super::history::History;
use super::log::Log;
use super::whole::Whole;
use super::writes::Writes;
use crate::asset::KeyLayout;
use crate::manifest::{Activation, ReleaseId};
use crate::store::ObjectWrite;

/// Most characters of a name that are kept.
const NAME_CHARS_MAX: usize = 64;

/// What a channel is switched to.
///
/// Made from a release that was found whole, or from the head, which stays.
#[derive(Clone, Debug)]
pub struct Switch {
    release: ReleaseId,
    locked: bool,
    by: Option<String>,
    /// When the objects of the release were last found and safe.
    checked: Option<SystemTime>,
}

/// What a switch came to.
#[derive(Clone, Debug)]
pub struct Switched {
    /// The record that is the channel's head now.
    pub activation: Activation,
    /// Whether visitors saw it before, so that nothing was done.
    pub unchanged: bool,
}

impl Switch {
    /// To a release; publishes may follow.
    pub fn promote(whole: &Whole) -> Self {
        let checked = Some(whole.checked());
        Self { release: whole.release(), locked: false, by: None, checked }
    }

    /// To a release; publishes are refused from now on.
    pub fn roll_back(whole: &Whole) -> Self {
        Self { locked: true, ..Self::promote(whole) }
    }

    /// The head stays; publishes may follow.
    pub fn unlock(head: &Activation) -> Self {
        Self { release: head.release, locked: false, by: None, checked: None }
    }

    /// The head stays, and its lock: what is left to do is to show it.
    pub fn finish(head: &Activation) -> Self {
        Self { locked: head.locked, ..Self::unlock(head) }
    }

    /// Records who switches: 64 characters at most, without control characters.
    pub fn by(self, name: &str) -> Self {
        let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        Self { by: Some(name).filter(|name| !name.is_empty()), ..self }
    }
}

/// Switches the channel of `history` on top of its head.
///
/// `nonce` is as for [`activate`](super::activate()). The order of the head
/// stays, so that a build older than the newest one is still refused after a
/// rollback. Where the head is as wanted already, no record is written, and
/// a head that its author left unshown is shown.
///
/// The end of a preview stays too, unless it has passed and the channel is
/// switched to another release: that is to be seen.
///
/// Fails with [`PublishError::TooLate`] when the release was found whole more
/// than [`DEADLINE`](super::DEADLINE) ago, and
/// with [`PublishError::Superseded`] or [`PublishError::Locked`] when
/// someone else switched the channel meanwhile. A rollback wins over a publish
/// that was under way at the same time.
pub async fn switch(
    to: Switch,
    history: &History,
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    now: SystemTime,
    nonce: String,
) -> Result<Switched, PublishError> {
    claim::in_time(to.checked, Some(now))?;
    let (channel, known) = (&history.channel, history.head());
    let from = known.map_or(0, |head| head.seq);
    let log = Log { store, layout, channel, from };
    let is_wanted = |head: &Activation| (head.release, head.locked) == (to.release, to.locked);
    let (own, head) = match known {
        Some(head) if is_wanted(head) && history.is_settled() => {
            return Ok(Switched { activation: head.clone(), unchanged: true });
        }
        Some(head) if is_wanted(head) => (head.clone(), head.clone()),
        _ => {
            let own = Activation {
                activated: httpdate::fmt_http_date(now),
                by: to.by.clone(),
                channel: channel.clone(),
                expires: known.and_then(|head| expires(head, &to, now)),
                locked: to.locked,
                nonce,
                order: known.map_or(0, |head| head.order),
                release: to.release,
                seq: from.saturating_add(1),
            };
            let head = append(&log, &own, Writes::Plain).await?;
            (own, head)
        }
    };
    let head = settle(&log, &own, head, Writes::Plain).await?;
    if is_wanted(&head) {
        Ok(Switched { activation: head, unchanged: false })
    } else {
        Err(PublishError::outranked(to.release, head))
    }
}

/// When the channel ends behind a switch on top of `head`.
fn expires(head: &Activation, to: &Switch, now: SystemTime) -> Option<String> {
    let ended = head.ends().is_some_and(|end| end <= now);
    head.expires.clone().filter(|_| !ended || to.release == head.release)
}
