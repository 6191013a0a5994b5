//! The invariants, checked after every effect on the bucket:
//!
//! 1. the head, and every release that the policy keeps, has all its objects;
//! 2. the head of the log never goes back, and so no reader does;
//! 3. what was acknowledged is the head, or something greater is;
//! 4. a collector deletes nothing that is needed: (1) right after a deletion;
//! 6. bytes under a fingerprinted key, or a release's name, hash to it.
//!
//! (5), that a second run finishes, is checked when a schedule has ended.
//! What must stay is computed here from the records alone, and not by the code
//! that is under test.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use awning::asset::{Digest, Place};
use awning::manifest::{Activation, Channel, ReleaseId};
use awning::publish::prune::Policy;

use super::bucket::{Bucket, Call, time};
use super::catalog::{Catalog, layout};

#[derive(Clone, Debug)]
pub(super) struct Watch {
    catalog: Arc<Catalog>,
    pub(super) policy: Policy,
    /// Every record that was ever written, by its key.
    records: HashMap<String, Activation>,
    channels: BTreeMap<Channel, Line>,
}

/// What is known of a channel.
#[derive(Clone, Debug, Default)]
struct Line {
    /// The greatest record that was ever in the log.
    greatest: Option<Activation>,
    /// What a reader that follows `head.json` serves; it never goes back.
    reader: Option<Activation>,
    /// Records in the log: their number, when they were stored, what they name.
    log: BTreeMap<u64, BTreeMap<String, (u64, Activation)>>,
}

impl Watch {
    pub(super) fn new(catalog: Arc<Catalog>, policy: Policy) -> Self {
        Self { catalog, policy, records: HashMap::new(), channels: BTreeMap::new() }
    }

    /// Checks what a call that took effect has left behind.
    pub(super) fn after(&mut self, call: &Call, bucket: &Bucket) -> Result<(), String> {
        match call {
            Call::Put(key, body, _) => self.after_put(key, body, bucket),
            Call::Delete(key, _) => self.after_delete(key, bucket),
            _ => Ok(()),
        }
    }

    /// Something was acknowledged: it is the head, or was outranked.
    pub(super) fn acknowledged(
        &self,
        channel: &Channel,
        activation: &Activation,
        bucket: &Bucket,
    ) -> Result<(), String> {
        if activation.ends().is_some_and(|end| end <= time(bucket.now)) {
            // It may have been collected before its publisher heard of it.
            return Ok(());
        }
        let greatest = self.channels.get(channel).and_then(|line| line.greatest.as_ref());
        if greatest.is_none_or(|greatest| greatest.newer(activation).is_lt()) {
            return Err(format!("(3) acknowledged {activation:?}, and the log is at {greatest:?}"));
        }
        self.check_whole(channel, bucket)
    }

    /// The greatest record of a channel.
    pub(super) fn head(&self, channel: &Channel) -> Option<&Activation> {
        self.channels.get(channel)?.greatest.as_ref()
    }

    /// Whether a channel has ended, as its heads say.
    pub(super) fn has_ended(&self, channel: &Channel, bucket: &Bucket) -> bool {
        let now = time(bucket.now);
        self.shown(channel, bucket)
            .iter()
            .chain(self.head(channel))
            .all(|head| head.ends().is_some_and(|end| end <= now))
    }

    /// What `head.json` says.
    pub(super) fn shown(&self, channel: &Channel, bucket: &Bucket) -> Option<Activation> {
        let bytes = bucket.body(&layout().head(channel))?;
        Activation::from_bytes(channel, bytes).ok()
    }

    /// Every release that must be whole just now.
    pub(super) fn kept(&self, channel: &Channel, bucket: &Bucket) -> BTreeSet<ReleaseId> {
        let Some(line) = self.channels.get(channel) else { return BTreeSet::new() };
        let now = time(bucket.now);
        let shown = self.shown(channel, bucket);
        let heads = shown.iter().chain(line.newest()).chain(&line.reader);
        let running = heads.filter(|head| head.ends().is_none_or(|end| end > now));
        let mut kept: BTreeSet<ReleaseId> = running.map(|head| head.release).collect();
        let previews = line.log.values().flat_map(BTreeMap::values);
        if previews.into_iter().all(|(_, record)| record.expires.is_none()) {
            kept.extend(line.retained(&self.policy, bucket.now));
        }
        kept
    }

    /// Full keys that must be there just now.
    pub(super) fn needed(&self, bucket: &Bucket) -> BTreeSet<&str> {
        let kept = self.channels.keys().flat_map(|channel| self.kept(channel, bucket));
        let keys = kept.filter_map(|release| self.catalog.releases.get(&release));
        keys.flatten().map(String::as_str).collect()
    }

    pub(super) fn check_all(&self, bucket: &Bucket) -> Result<(), String> {
        self.channels.keys().try_for_each(|channel| self.check_whole(channel, bucket))
    }

    fn after_put(&mut self, key: &str, body: &[u8], bucket: &Bucket) -> Result<(), String> {
        match layout().place(key) {
            Place::Object => match self.catalog.digests.get(key) {
                Some(digest) if *digest == Digest::of(body) => Ok(()),
                _ => Err(format!("(6) other bytes were stored under `{key}`")),
            },
            Place::Manifest(name) if Digest::of(body).to_string() != name => {
                Err(format!("(6) other bytes were stored under `{key}`"))
            }
            Place::Record(name, seq) => {
                let channel = Channel::parse(name).unwrap();
                let record = Activation::from_bytes(&channel, body).map_err(|e| e.to_string())?;
                if self.records.insert(key.to_owned(), record.clone()).is_some_and(|r| r != record)
                {
                    return Err(format!("the record `{key}` was written over"));
                }
                let line = self.channels.entry(channel.clone()).or_default();
                let stored = bucket.stored(key).unwrap_or_default();
                let numbered = line.log.entry(seq).or_default();
                numbered.insert(key.to_owned(), (stored, record.clone()));
                if line.greatest.as_ref().is_none_or(|greatest| record.newer(greatest).is_gt()) {
                    line.greatest = Some(record);
                }
                self.check_whole(&channel, bucket)
            }
            Place::Head(name) => {
                let channel = Channel::parse(name).unwrap();
                let shown = Activation::from_bytes(&channel, body).map_err(|e| e.to_string())?;
                let line = self.channels.entry(channel.clone()).or_default();
                if line.reader.as_ref().is_none_or(|reader| shown.newer(reader).is_gt()) {
                    line.reader = Some(shown);
                }
                self.check_whole(&channel, bucket)
            }
            _ => Ok(()),
        }
    }

    fn after_delete(&mut self, key: &str, bucket: &Bucket) -> Result<(), String> {
        if bucket.has(key) {
            return Ok(());
        }
        match layout().place(key) {
            Place::Record(name, seq) => {
                let channel = Channel::parse(name).unwrap();
                let ended = self.has_ended(&channel, bucket);
                let line = self.channels.entry(channel).or_default();
                let numbered = line.log.entry(seq).or_default();
                numbered.remove(key);
                if numbered.is_empty() {
                    line.log.remove(&seq);
                }
                match line.newest() {
                    newest if newest == line.greatest.as_ref() => Ok(()),
                    _ if ended => {
                        // A channel that has ended begins anew, for readers as well.
                        line.greatest = line.newest().cloned();
                        line.reader = None;
                        Ok(())
                    }
                    newest => Err(format!("(2) the log went back to {newest:?}")),
                }
            }
            Place::Head(name) => {
                let channel = Channel::parse(name).unwrap();
                let line = self.channels.entry(channel).or_default();
                match line.newest() {
                    None => Ok(()),
                    Some(newest) if newest.ends().is_some_and(|end| end <= time(bucket.now)) => {
                        Ok(())
                    }
                    Some(newest) => Err(format!("(4) the head is gone, and the log at {newest:?}")),
                }
            }
            Place::Object | Place::Manifest(_) => self.check_all(bucket),
            _ => Ok(()),
        }
    }

    fn check_whole(&self, channel: &Channel, bucket: &Bucket) -> Result<(), String> {
        for release in self.kept(channel, bucket) {
            let Some(keys) = self.catalog.releases.get(&release) else {
                return Err(format!("(1) nobody built {release}"));
            };
            if let Some(key) = keys.iter().find(|key| !bucket.has(key)) {
                let short = release.short();
                return Err(format!("(1) `{key}` is missing of {short}, which {channel} needs"));
            }
        }
        Ok(())
    }
}

impl Line {
    /// The greatest record that is in the log.
    fn newest(&self) -> Option<&Activation> {
        let (_, numbered) = self.log.last_key_value()?;
        let records = numbered.values().map(|(_, record)| record);
        records.max_by(|one, other| one.newer(other))
    }

    /// The releases that the policy keeps, by its own words: the newest `keep`
    /// that differ, whatever was replaced no longer than `keep_for` or the
    /// grace ago, and those of the two greatest numbers.
    fn retained(&self, policy: &Policy, now: u64) -> BTreeSet<ReleaseId> {
        let keep_for = policy.keep_for.max(policy.grace).as_secs();
        let mut kept = BTreeSet::new();
        let mut replaced: Option<u64> = None;
        for (at, numbered) in self.log.values().rev().enumerate() {
            let recent = replaced.is_none_or(|at| now.saturating_sub(at) <= keep_for);
            if recent || at < 2 || kept.len() < policy.keep {
                kept.extend(numbered.values().map(|(_, record)| record.release));
            }
            replaced = numbered.values().map(|(stored, _)| *stored).min();
        }
        kept
    }
}
