//! Uploads in parts that someone began long ago and nobody goes on with. The
//! store keeps and bills their parts, and no other listing tells of them.
//!
//! Ends those of objects below the prefix alone. One that has no date, that is
//! younger than the grace, or whose key an unexpired intent names stays. An
//! upload whose publisher begins to use it behind the last look at the intents
//! is safe to end all the same: the publisher is told that it is gone, and
//! sends the object anew. One that was completed by then is not there to end.

use std::time::{Duration, SystemTime};

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::Run;
use super::report::{Abandoned, Uploads};
use super::survey::{age, seconds};
use crate::asset::{KeyLayout, Place};
use crate::store::{ObjectWrite, StoreError, StoreErrorKind, UPLOADS_PAGE_MAX, Unfinished};

/// Most pages that a run lists: it ends no more than 10,000 uploads.
const PAGES_MAX: usize = 10;

/// Uploads that are under way or abandoned.
#[derive(Debug, Default)]
pub(super) struct Listing {
    uploads: Vec<Unfinished>,
    /// What kept some of them from being listed.
    pub(super) remarks: Vec<String>,
}

/// What becomes of an upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Abort,
    Keep,
    /// Kept, because the store does not say how old it is.
    Undated,
}

impl Listing {
    /// Lists the uploads of objects. Has to come before the intents are read:
    /// whoever uses an upload by then has written one. A store that does not
    /// list uploads gives a remark.
    pub(super) async fn of(
        store: &dyn ObjectWrite,
        layout: &KeyLayout,
    ) -> Result<Self, StoreError> {
        let (prefix, mut listing) = (layout.objects(), Self::default());
        for _ in 0..PAGES_MAX {
            let page = match store.list_uploads(&prefix, listing.uploads.last()).await {
                Err(error) if error.kind() == StoreErrorKind::Unsupported => {
                    let remark = "the store does not list unfinished uploads: none is aborted";
                    listing.remarks.push(remark.to_owned());
                    return Ok(listing);
                }
                page => page?,
            };
            listing.uploads.extend(page.uploads);
            if !page.more {
                return Ok(listing);
            }
        }
        let most = PAGES_MAX * UPLOADS_PAGE_MAX;
        let remark = format!("only the first {most} unfinished uploads were looked at");
        listing.remarks.push(remark);
        Ok(listing)
    }
}

impl Run<'_> {
    /// Which uploads nobody goes on with, and what they hold: a LIST each.
    pub(super) async fn abandoned(&self, listing: &mut Listing) -> Result<Uploads, StoreError> {
        let (mut uploads, mut old, mut undated) = (Uploads::default(), Vec::new(), 0);
        let own = listing.uploads.iter().filter(|it| self.layout.place(&it.key) == Place::Object);
        for upload in own {
            match self.fate(upload) {
                Fate::Abort => old.push(upload),
                Fate::Keep => uploads.kept += 1,
                Fate::Undated => {
                    uploads.kept += 1;
                    undated += 1;
                }
            }
        }
        let weighed = old.into_iter().map(|upload| self.weigh(upload).boxed());
        let at_once = self.policy.concurrency.max(1);
        let weighed: Vec<_> = stream::iter(weighed).buffered(at_once).try_collect().await?;
        uploads.aborted = weighed.into_iter().flatten().collect();
        if undated > 0 {
            let remark = format!("the store does not say when {undated} uploads were begun");
            listing.remarks.push(remark);
        }
        Ok(uploads)
    }

    /// Ends uploads. One that is gone by now is taken for ended.
    pub(super) async fn abort(&self, abandoned: &[Abandoned]) -> Result<(), StoreError> {
        let ends = abandoned.iter().map(|it| self.store.abort_upload(&it.key, &it.upload));
        let at_once = self.policy.concurrency.max(1);
        stream::iter(ends).buffered(at_once).try_collect().await
    }

    fn fate(&self, upload: &Unfinished) -> Fate {
        let claimed = self.roots.claimed.contains(&upload.key);
        fate(upload.begun, claimed, self.policy.grace, self.now)
    }

    /// What an upload holds; `None` if it has ended by now.
    async fn weigh(&self, upload: &Unfinished) -> Result<Option<Abandoned>, StoreError> {
        let Unfinished { key, upload, begun } = upload;
        match self.store.list_parts(key, upload).await {
            Ok(parts) => Ok(Some(Abandoned {
                key: key.clone(),
                upload: upload.clone(),
                begun: begun.map(seconds).unwrap_or_default(),
                size: parts.iter().map(|part| part.size).sum(),
            })),
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn fate(begun: Option<SystemTime>, claimed: bool, grace: Duration, now: SystemTime) -> Fate {
    match begun {
        None => Fate::Undated,
        Some(begun) if claimed || age(now, begun) <= grace => Fate::Keep,
        Some(_) => Fate::Abort,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_old_and_claimed_by_nobody_is_aborted() {
        let (hour, now) = (Duration::from_secs(3600), SystemTime::UNIX_EPOCH + DAYS);
        let grace = hour * 24;
        for (begun, claimed, expected) in [
            (Some(now - grace - Duration::from_secs(1)), false, Fate::Abort),
            (Some(now - grace - Duration::from_secs(1)), true, Fate::Keep),
            (Some(now - grace), false, Fate::Keep),
            (Some(now), false, Fate::Keep),
            // A store whose clock ran ahead.
            (Some(now + grace * 9), false, Fate::Keep),
            (None, false, Fate::Undated),
            (None, true, Fate::Undated),
        ] {
            assert_eq!(fate(begun, claimed, grace, now), expected, "{begun:?} {claimed}");
        }
    }

    const DAYS: Duration = Duration::from_secs(20_000 * 24 * 3600);
}
