//! What collectors have condemned, and will delete after the grace.
//!
//! A publish reads these lists before it relies on an object that is already
//! stored, and stores again what they name: the new version is in no list.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::base;
use super::error::PublishError;
use crate::asset::{KeyLayout, Place};
use crate::store::{ObjectWrite, is_exact};

/// Largest list that is read, in bytes.
pub(super) const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most pairs of one list; what is condemned beyond them goes to another.
pub(super) const LIST_PAIRS_MAX: usize = 100_000;

/// How long the sign that a list is being carried out counts. Its collector
/// renews it far more often, unless it died.
pub(super) const SWEEPING_MAX: Duration = Duration::from_secs(60 * 60);

/// Condemned versions of objects.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct List {
    pub(super) pairs: Vec<Pair>,
}

/// One version that will be deleted, if nothing needs it by then.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub(super) struct Pair {
    /// The full key.
    pub(super) key: String,
    /// When it was stored, in seconds since 1970.
    pub(super) stored: u64,
    /// The version. Absent, or `null`, where the store has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
}

/// A list as it lies in the bucket.
#[derive(Clone, Debug)]
pub(super) struct StoredList {
    pub(super) name: String,
    /// When it was written, by the store's time.
    pub(super) written: Option<SystemTime>,
    /// When its collector last said that it is deleting.
    pub(super) sweeping: Option<SystemTime>,
    pub(super) list: List,
}

/// Everything that is condemned.
#[derive(Debug, Default)]
pub(super) struct Condemned {
    lists: Vec<StoredList>,
}

impl Condemned {
    /// Reads all lists: a LIST for every 1,000, and a GET each.
    ///
    /// A list that is gone when it is read was carried out, to its last pair.
    pub(super) async fn read(
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
    ) -> Result<Self, PublishError> {
        let mut lists = Vec::new();
        let mut signs = Vec::new();
        let prefix = layout.lists();
        let mut after: Option<String> = None;
        loop {
            let page = store.list(&prefix, after.as_deref()).await?;
            for listed in &page.objects {
                match layout.place(&listed.key) {
                    Place::List(name) => {
                        if let Some(list) = read_list(store, &listed.key).await? {
                            let (name, written) = (name.to_owned(), listed.last_modified);
                            lists.push(StoredList { name, written, sweeping: None, list });
                        }
                    }
                    Place::Sweeping(name) => signs.push((name.to_owned(), listed.last_modified)),
                    _ => {}
                }
            }
            after = page.objects.last().map(|last| last.key.clone());
            if !page.more || after.is_none() {
                break;
            }
        }
        for list in &mut lists {
            let sign = signs.iter().find(|(name, _)| *name == list.name);
            list.sweeping = sign.and_then(|(_, at)| *at);
        }
        Ok(Self { lists })
    }

    /// The lists.
    pub(super) fn into_lists(self) -> Vec<StoredList> {
        self.lists
    }

    /// All keys of which a version is condemned.
    pub(super) fn keys(&self) -> HashSet<&str> {
        self.pairs().map(|pair| pair.key.as_str()).collect()
    }

    /// All keys that will be deleted, or are, whatever their version.
    pub(super) fn keys_without_version(&self) -> HashSet<&str> {
        self.pairs().filter(|pair| !pair.is_exact()).map(|pair| pair.key.as_str()).collect()
    }

    /// One of `keys` that a collector may be deleting just now, whatever its
    /// version. Where no time is known, any sign counts.
    pub(super) fn being_deleted<'k>(
        &self,
        mut keys: impl Iterator<Item = &'k str>,
        now: Option<SystemTime>,
    ) -> Option<&'k str> {
        let counts = |sign: SystemTime| {
            now.is_none_or(|now| {
                now < sign || now.duration_since(sign).is_ok_and(|age| age < SWEEPING_MAX)
            })
        };
        let swept = self.lists.iter().filter(|list| list.sweeping.is_some_and(counts));
        let pairs = swept.flat_map(|list| &list.list.pairs).filter(|pair| !pair.is_exact());
        let deleted: HashSet<&str> = pairs.map(|pair| pair.key.as_str()).collect();
        keys.find(|key| deleted.contains(key))
    }

    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.lists.iter().flat_map(|list| &list.list.pairs)
    }
}

impl Pair {
    /// Whether the version stands for one write alone.
    pub(super) fn is_exact(&self) -> bool {
        is_exact(self.version.as_deref())
    }
}

async fn read_list(store: &dyn ObjectWrite, key: &str) -> Result<Option<List>, PublishError> {
    let Some(bytes) = base::read(store, key, LIST_BYTES_MAX).await? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| PublishError::Condemned { key: key.to_owned(), source: Some(source) })
}
