//! Reading the log of a channel: which of its records is the head, and which
//! came before it.

use std::collections::VecDeque;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::base;
use super::error::PublishError;
use crate::asset::KeyLayout;
use crate::manifest::{ACTIVATION_BYTES_MAX, Activation, Channel};
use crate::store::ObjectWrite;

/// Pages of the log that are listed: 100,000 records.
const LOG_PAGES_MAX: usize = 100;

/// Records with the same number that are read.
const TIES_MAX: usize = 100;

/// Records that are read at the same time.
const READS_AT_ONCE: usize = 16;

/// The log of one channel.
pub(super) struct Log<'a> {
    pub(super) store: &'a dyn ObjectWrite,
    pub(super) layout: &'a KeyLayout,
    pub(super) channel: &'a Channel,
    /// The number of a record that is known; older ones are not listed.
    pub(super) from: u64,
}

/// What reading one record came to.
pub(super) struct Read {
    /// The number in the record's key.
    pub(super) seq: u64,
    pub(super) record: Result<Activation, PublishError>,
}

impl Log<'_> {
    /// The greatest record of the log.
    ///
    /// Keys carry the records' numbers, so only those with the greatest one
    /// are read. Keys of another form are no records. A record that cannot be
    /// read is an error: without it the head might be a wrong one. One that is
    /// gone was collected behind a long sleep, because two greater ones have
    /// come; then the log is listed once more.
    pub(super) async fn head(&self) -> Result<Option<Activation>, PublishError> {
        match self.listed_head().await {
            Err(PublishError::Record { source: None, .. }) => self.listed_head().await,
            outcome => outcome,
        }
    }

    async fn listed_head(&self) -> Result<Option<Activation>, PublishError> {
        let mut head: Option<Activation> = None;
        for (_, key) in self.newest_keys(1).await? {
            let record = self.read(&key).await?;
            if head.as_ref().is_none_or(|head| record.newer(head).is_gt()) {
                head = Some(record);
            }
        }
        Ok(head)
    }

    /// The records with the greatest numbers, `limit` of them and those with
    /// the number of the last, in the order of their numbers.
    pub(super) async fn newest(&self, limit: usize) -> Result<Vec<Read>, PublishError> {
        let keys = self.newest_keys(limit).await?;
        let reads = keys
            .into_iter()
            .map(|(seq, key)| async move { Read { seq, record: self.read(&key).await } }.boxed());
        Ok(stream::iter(reads).buffered(READS_AT_ONCE).collect().await)
    }

    /// The numbers and keys of the records that [`Log::newest`] reads.
    async fn newest_keys(&self, limit: usize) -> Result<VecDeque<(u64, String)>, PublishError> {
        let limit = limit.max(1);
        let prefix = self.layout.log(self.channel);
        let mut after = self.layout.records_from(self.channel, self.from);
        let mut keys = VecDeque::new();
        for _ in 0..LOG_PAGES_MAX {
            let page = self.store.list(&prefix, Some(&after)).await?;
            for listed in &page.objects {
                if let Some(seq) = self.layout.record_seq(self.channel, &listed.key) {
                    keys.push_back((seq, listed.key.clone()));
                    drop_older(&mut keys, limit);
                }
            }
            match page.objects.last() {
                Some(last) if page.more => after.clone_from(&last.key),
                _ if keys.len() >= limit.saturating_add(TIES_MAX) => {
                    return Err(PublishError::LogTooLong);
                }
                _ => return Ok(keys),
            }
        }
        Err(PublishError::LogTooLong)
    }

    /// The record under a key.
    pub(super) async fn read(&self, key: &str) -> Result<Activation, PublishError> {
        let unreadable = |source| PublishError::Record { key: key.to_owned(), source };
        let bytes = base::read(self.store, key, ACTIVATION_BYTES_MAX).await?;
        let bytes = bytes.ok_or_else(|| unreadable(None))?;
        let record = Activation::from_bytes(self.channel, &bytes)
            .map_err(|error| unreadable(Some(error)))?;
        let named = self.layout.record(self.channel, record.seq, &record.nonce);
        if named == key { Ok(record) } else { Err(unreadable(None)) }
    }
}

/// Drops the numbers that are older than the last `limit` keys. Keys come in
/// the order of their numbers.
fn drop_older(keys: &mut VecDeque<(u64, String)>, limit: usize) {
    let Some(oldest) = keys.len().checked_sub(limit).map(|at| keys[at].0) else { return };
    while keys.front().is_some_and(|(seq, _)| *seq < oldest) {
        keys.pop_front();
    }
}
