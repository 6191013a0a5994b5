//! Reading the log of a channel: which of its records is the head.

use super::base;
use super::error::PublishError;
use crate::asset::KeyLayout;
use crate::manifest::{ACTIVATION_BYTES_MAX, Activation, Channel};
use crate::store::ObjectWrite;

/// Pages of the log that are listed: 100,000 records.
const LOG_PAGES_MAX: usize = 100;

/// Records with the same number that are read.
const TIES_MAX: usize = 100;

/// The log of one channel.
pub(super) struct Log<'a> {
    pub(super) store: &'a dyn ObjectWrite,
    pub(super) layout: &'a KeyLayout,
    pub(super) channel: &'a Channel,
    /// The number of a record that is known; older ones are not listed.
    pub(super) from: u64,
}

impl Log<'_> {
    /// The greatest record of the log.
    ///
    /// Keys carry the records' numbers, so only those with the greatest one
    /// are read. Keys of another form are no records. A record that cannot be
    /// read is an error: without it the head might be a wrong one.
    pub(super) async fn head(&self) -> Result<Option<Activation>, PublishError> {
        let keys = self.greatest().await?;
        let mut head: Option<Activation> = None;
        for key in keys {
            let record = self.read(&key).await?;
            if head.as_ref().is_none_or(|head| record.newer(head).is_gt()) {
                head = Some(record);
            }
        }
        Ok(head)
    }

    /// The keys of the records with the greatest number.
    async fn greatest(&self) -> Result<Vec<String>, PublishError> {
        let prefix = self.layout.log(self.channel);
        let mut after = self.layout.records_from(self.channel, self.from);
        let mut greatest = 0;
        let mut keys = Vec::new();
        for _ in 0..LOG_PAGES_MAX {
            let page = self.store.list(&prefix, Some(&after)).await?;
            for listed in &page.objects {
                match self.layout.record_seq(self.channel, &listed.key) {
                    Some(seq) if seq > greatest => {
                        greatest = seq;
                        keys = vec![listed.key.clone()];
                    }
                    Some(seq) if seq == greatest => keys.push(listed.key.clone()),
                    _ => {}
                }
            }
            match page.objects.last() {
                Some(last) if page.more => after.clone_from(&last.key),
                _ if keys.len() > TIES_MAX => return Err(PublishError::LogTooLong),
                _ => return Ok(keys),
            }
        }
        Err(PublishError::LogTooLong)
    }

    async fn read(&self, key: &str) -> Result<Activation, PublishError> {
        let unreadable = |source| PublishError::Record { key: key.to_owned(), source };
        let bytes = base::read(self.store, key, ACTIVATION_BYTES_MAX).await?;
        let bytes = bytes.ok_or_else(|| unreadable(None))?;
        let record = Activation::from_bytes(self.channel, &bytes)
            .map_err(|error| unreadable(Some(error)))?;
        let named = self.layout.record(self.channel, record.seq, &record.nonce);
        if named == key { Ok(record) } else { Err(unreadable(None)) }
    }
}
