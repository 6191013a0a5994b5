//! Finding uploads in parts that an earlier run began and did not complete.
//!
//! The store itself is the journal: it lists them by key, so any machine can
//! go on where another was killed. What is never taken up again is for the
//! collector.

use std::collections::BTreeMap;

use tracing::debug;

use super::Upload;
use crate::store::{ObjectWrite, StoreError, Unfinished};

/// Most pages that are listed: 10,000 uploads.
const PAGES_MAX: usize = 10;

impl Upload<'_> {
    /// The name of the newest unfinished upload of `key`.
    pub(super) async fn unfinished(&self, key: &str) -> Option<String> {
        let found = self.unfinished.get_or_init(|| async {
            let large = self.puts().into_iter().filter(|put| self.file_of_parts(put).is_some());
            let keys: Vec<String> = large.map(|put| self.layout.object(put.key)).collect();
            // Whatever goes wrong, everything is sent: that is always right.
            newest(self.store, shared_prefix(&keys)).await.unwrap_or_else(|error| {
                debug!(%error, "unfinished uploads are not looked for");
                BTreeMap::new()
            })
        });
        found.await.get(key).cloned()
    }
}

/// The newest upload of each key that begins with `prefix`.
async fn newest(
    store: &dyn ObjectWrite,
    prefix: &str,
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut newest: BTreeMap<String, Unfinished> = BTreeMap::new();
    let mut after: Option<Unfinished> = None;
    for _ in 0..PAGES_MAX {
        let page = store.list_uploads(prefix, after.as_ref()).await?;
        after = page.uploads.last().cloned();
        for found in page.uploads {
            match newest.get(&found.key) {
                Some(known) if known.begun > found.begun => {}
                _ => _ = newest.insert(found.key.clone(), found),
            }
        }
        if !page.more {
            break;
        }
    }
    Ok(newest.into_iter().map(|(key, found)| (key, found.upload)).collect())
}

/// What all keys begin with.
fn shared_prefix(keys: &[String]) -> &str {
    let Some((first, rest)) = keys.split_first() else { return "" };
    let shared = |one: &str, other: &str| {
        let pairs = one.char_indices().zip(other.chars());
        let differs = pairs.into_iter().find(|((_, one), other)| one != other);
        differs.map_or(one.len().min(other.len()), |((at, _), _)| at)
    };
    let length = rest.iter().fold(first.len(), |length, key| shared(&first[..length], key));
    &first[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_listing_covers_all_keys() {
        for (keys, prefix) in [
            (&[][..], ""),
            (&["a/video.x.mp4"], "a/video.x.mp4"),
            (&["a/img/1.png", "a/img/12.png", "a/img/2.png"], "a/img/"),
            (&["a/b", "a/bc"], "a/b"),
            (&["a/bc", "a/b"], "a/b"),
            (&["a/é", "a/è"], "a/"),
        ] {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(shared_prefix(&keys), prefix, "{keys:?}");
        }
    }
}
