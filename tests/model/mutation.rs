//! Guards taken out, one at a time, by a store that lies to those who ask:
//! what the model must then find, or its check is worth nothing.

use std::time::UNIX_EPOCH;

use awning::asset::Place;
use awning::store::StoreError;

use super::actor::Role;
use super::bucket::{Answer, Call, time};
use super::catalog::layout;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Mutation {
    #[default]
    None,
    /// Publishers and people who switch see no list of what is condemned.
    NoCondemnedRule,
    /// A deletion takes the key away, whatever version was named.
    DeleteByKey,
    /// For publishers and people who switch, no time passes.
    NoDeadline,
    /// Collectors take every list for old, so that both phases are one.
    OnePhase,
}

impl Mutation {
    /// The call that is really made.
    pub(super) fn call(self, call: &Call) -> Call {
        match call {
            Call::Delete(key, _) if self == Self::DeleteByKey => Call::Delete(key.clone(), None),
            call => call.clone(),
        }
    }

    /// What the asker is told.
    pub(super) fn answer(
        self,
        role: &Role,
        began: u64,
        call: &Call,
        answer: &mut Result<Answer, StoreError>,
    ) {
        let collects = matches!(role, Role::Collect { .. });
        let of_lists = call.key() == layout().lists();
        match (self, answer) {
            (Self::NoCondemnedRule, Ok(Answer::Page(page))) if !collects && of_lists => {
                page.objects.clear();
            }
            (Self::NoDeadline, Ok(Answer::Object(head, _))) if !collects => {
                head.last_modified = Some(time(began));
            }
            (Self::OnePhase, Ok(Answer::Page(page))) if collects && of_lists => {
                let lists = page.objects.iter_mut();
                for list in lists.filter(|it| matches!(layout().place(&it.key), Place::List(_))) {
                    list.last_modified = Some(UNIX_EPOCH);
                }
            }
            _ => {}
        }
    }
}
