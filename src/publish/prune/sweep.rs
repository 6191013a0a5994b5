//! Carrying out lists: deleting, version by version, what was condemned and
//! still is not needed.

use std::collections::{BTreeSet, HashMap};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::error::PruneError;
use super::report::{Kind, Swept, Unneeded};
use super::survey::seconds;
use super::{Identity, Run, is_ripe, unneeded};
use crate::asset::KeyLayout;
use crate::publish::activate::json_headers;
use crate::publish::condemned::{Pair, StoredList};
use crate::store::{ObjectWrite, StoreError, StoreErrorKind, is_exact};

/// Deletions between two signs that lists without versions are being carried out.
const DELETIONS_A_SIGN: usize = 500;

/// `Cache-Control` of a sign.
const CACHE_SIGN: &str = "no-store";

/// Says that a list without versions is about to be carried out, or still is.
/// Publishers that need what it names give up; those that came before have
/// written intents, which are read after this.
pub(super) async fn sign(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    list: &StoredList,
) -> Result<(), StoreError> {
    let key = layout.sweeping(&list.name);
    store.put(&key, "sweeping".into(), &json_headers(CACHE_SIGN)).await.map(drop)
}

impl Run<'_> {
    /// Carries out the lists whose grace has passed.
    pub(super) async fn sweep(&self) -> Result<Swept, PruneError> {
        let mut swept = Swept::default();
        let mut ripe = Vec::new();
        for list in &self.lists {
            if is_ripe(list, self.layout, self.policy, self.now)? {
                ripe.push(list);
            } else {
                swept.waiting.insert(list.name.clone(), list.list.pairs.len());
            }
        }
        let due = self.due(&ripe, &mut swept);
        unneeded::refuse_too_many(&due, &self.survey, self.policy)?;
        if self.policy.dry_run {
            swept.deleted = due;
            return Ok(swept);
        }
        for batch in due.chunks(DELETIONS_A_SIGN) {
            for list in ripe.iter().filter(|list| !list.is_exact()) {
                sign(self.store, self.layout, list).await?;
            }
            self.delete(batch, &mut swept).await?;
        }
        for list in ripe {
            self.remove(list).await?;
            swept.lists.push(list.name.clone());
        }
        Ok(swept)
    }

    /// What the lists name and nothing needs, in the order of deletion.
    fn due(&self, ripe: &[&StoredList], swept: &mut Swept) -> Vec<Unneeded> {
        let unneeded: HashMap<Identity<'_>, &Unneeded> =
            self.found.unneeded.iter().map(|one| (Self::identity(one), one)).collect();
        let versions = self.survey.objects.iter().chain(&self.survey.own);
        let there: HashMap<(&str, Option<&str>), ()> =
            versions.map(|it| ((it.key.as_str(), it.version.as_deref()), ())).collect();
        let mut due = BTreeSet::new();
        for pair in ripe.iter().flat_map(|list| &list.list.pairs) {
            match unneeded.get(&Pair::identity(pair)) {
                Some(one) => {
                    due.insert((*one).clone());
                }
                None if there.contains_key(&(pair.key.as_str(), pair.version.as_deref())) => {
                    swept.spared += 1;
                }
                // An earlier run that was cut short has deleted it.
                None => {}
            }
        }
        due.into_iter().collect()
    }

    /// Deletes a batch: what is of one kind at the same time, and the kinds
    /// one after another. Records go one by one, the oldest first: cut short,
    /// a log must not end with an older record than it did, because that may
    /// be of a release that is gone, or of a preview that would not have ended.
    async fn delete(&self, batch: &[Unneeded], swept: &mut Swept) -> Result<(), PruneError> {
        for kind in batch.chunk_by(|one, other| one.kind == other.kind) {
            let deletions = kind.iter().map(|one| self.delete_one(one).boxed());
            let are_records = kind.iter().any(|one| one.kind == Kind::Record);
            let at_once = if are_records { 1 } else { self.policy.concurrency.max(1) };
            let done: Vec<bool> = stream::iter(deletions).buffered(at_once).try_collect().await?;
            for (one, done) in kind.iter().zip(done) {
                if done {
                    swept.deleted.push(one.clone());
                } else {
                    swept.spared += 1;
                }
            }
        }
        Ok(())
    }

    /// Deletes a version. Where the name of the version does not stand for one
    /// write alone, looks once more whether it still is the one that was listed.
    async fn delete_one(&self, one: &Unneeded) -> Result<bool, StoreError> {
        let version = one.version.as_deref();
        if !is_exact(version) {
            match self.store.head(&one.key).await {
                Ok(head) if head.last_modified.map(seconds) == Some(one.stored) => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.store.delete(&one.key, version).await?;
        Ok(true)
    }

    /// Removes a list that was carried out, and then the sign that it was.
    async fn remove(&self, list: &StoredList) -> Result<(), StoreError> {
        let key = self.layout.list(&list.name);
        let sign = self.layout.sweeping(&list.name);
        let versions = self.survey.own.iter().filter(|it| it.key == key || it.key == sign);
        for version in versions {
            self.store.delete(&version.key, version.version.as_deref()).await?;
        }
        if !list.is_exact() {
            self.store.delete(&sign, None).await?;
        }
        Ok(())
    }
}
