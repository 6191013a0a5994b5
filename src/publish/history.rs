//! What a channel was switched to, and when: its log as people read it.
//! Nothing is written here.

use super::base;
use super::error::PublishError;
use super::log::Log;
use crate::asset::KeyLayout;
use crate::manifest::{ACTIVATION_BYTES_MAX, Activation, Channel, ReleaseId};
use crate::store::{ObjectWrite, StoreError};

/// The newest records of a channel.
#[derive(Clone, Debug)]
pub struct History {
    pub(super) channel: Channel,
    /// What `head.json` repeats: the release that visitors see.
    shown: Option<Activation>,
    /// Newest first.
    records: Vec<Activation>,
    remarks: Vec<String>,
}

/// Reads the newest `limit` records of a channel, at least one.
///
/// Costs a GET, a LIST for every 1,000 records that are listed, and a GET for
/// each record. The listing begins `limit` numbers before the head, because
/// every number up to the head's has a record. A record that cannot be read
/// is a remark, unless it may be the head: then the history is refused.
pub async fn history(
    store: &dyn ObjectWrite,
    layout: &KeyLayout,
    channel: &Channel,
    limit: usize,
) -> Result<History, PublishError> {
    let mut history =
        History { channel: channel.clone(), shown: None, records: Vec::new(), remarks: Vec::new() };
    history.read_shown(store, layout).await?;
    let shown = history.shown.as_ref().map_or(0, |shown| shown.seq);
    let from = shown.saturating_sub(limit as u64);
    history.read_log(&Log { store, layout, channel, from }, limit).await?;
    Ok(history)
}

impl History {
    /// The head of the channel; `None` for a new channel.
    pub fn head(&self) -> Option<&Activation> {
        self.records.first()
    }

    /// The record that visitors see, as far as it can be read.
    pub fn shown(&self) -> Option<&Activation> {
        self.shown.as_ref()
    }

    /// The records, newest first: as many as were asked for, and those with
    /// the number of the last.
    pub fn records(&self) -> &[Activation] {
        &self.records
    }

    /// What could not be read.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Whether visitors see the head. They do not while someone switches the
    /// channel, or after someone died doing so.
    pub fn is_settled(&self) -> bool {
        self.shown.as_ref() == self.head()
    }

    /// Whether a record won its number: others with the same number were
    /// written at the same time and lost.
    pub fn has_won(&self, record: &Activation) -> bool {
        let mut same = self.records.iter().filter(|other| other.seq == record.seq);
        !same.any(|other| other.newer(record).is_gt())
    }

    /// The release that stood before the one that visitors see.
    ///
    /// A rollback takes back what it skipped, so what was rolled away from is
    /// never what stood before. `None` where the records that were read know
    /// no other release.
    pub fn before(&self) -> Option<ReleaseId> {
        let seen = self.shown.as_ref().or(self.head())?;
        let mut line: Vec<ReleaseId> = Vec::new();
        for record in self.records.iter().rev() {
            if record.newer(seen).is_gt() || !self.has_won(record) {
                continue;
            }
            match line.iter().rposition(|stood| *stood == record.release) {
                Some(at) if record.locked || at + 1 == line.len() => line.truncate(at + 1),
                _ => line.push(record.release),
            }
        }
        line.pop();
        line.pop()
    }

    async fn read_shown(
        &mut self,
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
    ) -> Result<(), StoreError> {
        let key = layout.head(&self.channel);
        match base::read(store, &key, ACTIVATION_BYTES_MAX).await? {
            None => {}
            Some(bytes) => match Activation::from_bytes(&self.channel, &bytes) {
                Ok(shown) => self.shown = Some(shown),
                Err(error) => self.remarks.push(format!("`{key}` is not readable: {error}")),
            },
        }
        Ok(())
    }

    async fn read_log(&mut self, log: &Log<'_>, limit: usize) -> Result<(), PublishError> {
        let reads = log.newest(limit).await?;
        let greatest = reads.last().map_or(0, |read| read.seq);
        for read in reads {
            match read.record {
                Ok(record) => self.records.push(record),
                Err(error @ PublishError::Record { .. }) if read.seq < greatest => {
                    self.remarks.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        // A listing may lag behind the head.
        if let Some(shown) = &self.shown
            && self.records.iter().all(|record| shown.newer(record).is_gt())
        {
            self.records.push(shown.clone());
        }
        self.records.sort_by(|one, other| other.newer(one));
        Ok(())
    }
}
