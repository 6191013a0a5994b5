//! The flight that makes one response of another, and the bound on how many
//! do so at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::coder;
use crate::asset::Digest;
use crate::semantics::encoding::Coding;
use crate::semantics::validator::EntityTag;
use crate::shield::cache::{Cache, CacheKey, ENTRY_BYTES, Head, Reservation, StoredResponse};
use crate::shield::fill::keep;
use crate::shield::flight::{Progress, Takeoff};
use crate::shield::metrics::Metrics;
use crate::shield::origin::Fault;
use crate::shield::render;
use crate::shield::wanted::{Page, Published};

/// Encoders and decoders at work at a time, each on a thread of its own and
/// with 32 MiB of memory at most beside the bytes, which the budget counts.
const AT_WORK_MAX: usize = 2;

/// How long the others wait for their turn, and for memory, where encoders do
/// not: there is the identity to be sent.
const WAITING_TIMEOUT: Duration = Duration::from_secs(5);

/// The encoders and decoders of one shield.
#[derive(Debug)]
pub(crate) struct Coder {
    turns: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Coder {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_WORK_MAX)), metrics: Arc::clone(metrics) }
    }

    fn count(&self, work: &Work, outcome: &'static str) {
        let (name, coding) = match work {
            Work::Code(coding) => ("awning_coded_total", coding),
            Work::Decode(coding, _) => ("awning_decoded_total", coding),
            // Pages are counted by what was rewritten in them.
            Work::Render(_) => return,
        };
        let labels = [("coding", coding.name()), ("outcome", outcome)];
        self.metrics.counter(name, &labels).increment(1);
    }
}

/// What is made of a source.
#[derive(Debug)]
pub(super) enum Work {
    /// Its coding.
    Code(Coding),
    /// The identity that it is the coding of.
    Decode(Coding, Published),
    /// The page that it is the source of.
    Render(Page),
}

/// One response that is made of another.
pub(super) struct Making {
    pub(super) cache: Arc<Cache>,
    pub(super) coder: Arc<Coder>,
    /// Where it is stored.
    pub(super) key: CacheKey,
    pub(super) source: Arc<StoredResponse>,
    pub(super) work: Work,
}

impl Making {
    pub(super) async fn fly(self, takeoff: Takeoff) {
        let end = match self.make().await {
            Ok(stored) => {
                let stored = Arc::new(stored);
                self.cache.put(self.key, Arc::clone(&stored));
                Progress::Whole(stored)
            }
            Err(fault) => {
                self.coder.count(&self.work, fault.name());
                Progress::Failed(fault)
            }
        };
        takeoff.land(end);
    }

    async fn make(&self) -> Result<StoredResponse, Fault> {
        let turn = self.turn().await?;
        match &self.work {
            Work::Code(coding) => {
                let share = self.reserve(self.source.head.size, Duration::ZERO).await?;
                self.code(*coding, share, turn).await
            }
            Work::Decode(coding, published) => {
                let share = self.reserve(published.size, WAITING_TIMEOUT).await?;
                self.decode(*coding, published, share, turn).await
            }
            Work::Render(page) => {
                let bytes = render::bytes_needed(self.source.head.size);
                let share = self.reserve(bytes, WAITING_TIMEOUT).await?;
                self.render(page.clone(), share).await
            }
        }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let turns = Arc::clone(&self.coder.turns);
        match &self.work {
            Work::Code(_) => turns.try_acquire_owned().ok(),
            Work::Decode(..) | Work::Render(_) => {
                let waiting = timeout(WAITING_TIMEOUT, turns.acquire_owned());
                waiting.await.ok().and_then(Result::ok)
            }
        }
        .ok_or(Fault::Overloaded)
    }

    async fn reserve(&self, bytes: u64, patience: Duration) -> Result<Reservation, Fault> {
        let share = self.cache.budget.reserve(bytes + ENTRY_BYTES, patience).await;
        share.ok_or(Fault::Overloaded)
    }

    async fn code(
        &self,
        coding: Coding,
        share: Reservation,
        turn: OwnedSemaphorePermit,
    ) -> Result<StoredResponse, Fault> {
        let source = Arc::clone(&self.source);
        let coded = off_the_way(turn, move || coder::code(coding, &source.pieces)).await?;
        let head = &self.source.head;
        // One that saves nothing would be made again and again; the identity in
        // its place says so, and costs no copy.
        let Some(coded) = coded.map_err(|_| Fault::Unavailable)? else {
            self.coder.count(&self.work, "useless");
            return Ok(self.stored(head.clone(), self.source.pieces.clone()));
        };
        self.coder.count(&self.work, "made");
        // The publisher's own coding of this content, in another release, is
        // other bytes: so this one's tag tells its bytes as well.
        let content = head.tag.content.with(&Digest::of(&coded));
        let head = Head {
            content_encoding: Some(HeaderValue::from_static(coding.name())),
            tag: EntityTag { content, coding: Some(coding) },
            size: coded.len() as u64,
            ..head.clone()
        };
        Ok(self.stored(head, keep(coded, share).into()))
    }

    async fn decode(
        &self,
        coding: Coding,
        published: &Published,
        share: Reservation,
        turn: OwnedSemaphorePermit,
    ) -> Result<StoredResponse, Fault> {
        let (source, size) = (Arc::clone(&self.source), published.size);
        let identity = off_the_way(turn, move || {
            let identity = coder::decode(coding, &source.pieces, size)?;
            let digest = Digest::of(&identity);
            std::io::Result::Ok((identity, digest))
        });
        let (identity, digest) = identity.await?.map_err(|_| Fault::Corrupt)?;
        if digest != published.digest {
            return Err(Fault::Corrupt);
        }
        self.coder.count(&self.work, "made");
        let head = Head {
            content_encoding: None,
            tag: EntityTag { content: published.content.clone(), coding: None },
            size: identity.len() as u64,
            ..self.source.head.clone()
        };
        let mut stored = self.stored(head, keep(identity, share).into());
        stored.object = digest;
        Ok(stored)
    }

    /// As [`Fill`](crate::shield::fill::Fill) does with a page that it has read.
    async fn render(&self, page: Page, share: Reservation) -> Result<StoredResponse, Fault> {
        let bytes = self.source.pieces.concat();
        let bytes = render::render(bytes, page, share.bytes(), &self.coder.metrics).await?;
        let mut head = self.source.head.clone();
        head.as_page(&bytes);
        Ok(self.stored(head, keep(bytes, share).into()))
    }

    fn stored(&self, head: Head, pieces: Box<[Bytes]>) -> StoredResponse {
        let StoredResponse { object, fill_epoch, stored_at, .. } = *self.source;
        StoredResponse::new(head, object, pieces, fill_epoch, stored_at)
    }
}

/// Does work for a processor beside the threads that serve requests. The turn
/// lasts as long as the work, which nothing can stop.
async fn off_the_way<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let working = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    working.await.map_err(|_| Fault::Unavailable)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::asset::ObjectKey;

    const CONTENT: &[u8] = &[b'a'; 4096];

    fn coded() -> Vec<u8> {
        zstd::bulk::compress(CONTENT, 1).unwrap()
    }

    /// A making of `work` out of what it needs, in a cache of this size.
    fn making(work: Work, memory_bytes: u64) -> Making {
        let metrics = Arc::new(Metrics::default());
        let (coding, body) = match &work {
            Work::Code(_) | Work::Render(_) => (None, CONTENT.to_vec()),
            Work::Decode(coding, _) => (Some(*coding), coded()),
        };
        let head = Head {
            content_type: HeaderValue::from_static("text/css"),
            content_encoding: coding.map(|coding| HeaderValue::from_static(coding.name())),
            content_disposition: None,
            content_language: None,
            tag: EntityTag { content: Digest::of(CONTENT).fingerprint(), coding },
            modified: None,
            size: body.len() as u64,
        };
        let (object, pieces) = (Digest::of(&body), Box::from([Bytes::from(body)]));
        let epoch = crate::shield::cache::Epoch::default();
        let source = StoredResponse::new(head, object, pieces, epoch, UNIX_EPOCH);
        Making {
            cache: Arc::new(Cache::new(memory_bytes, None, &metrics).unwrap()),
            coder: Arc::new(Coder::new(&metrics)),
            key: CacheKey::Object(ObjectKey::parse("a/a.css").unwrap()),
            source: Arc::new(source),
            work,
        }
    }

    fn decode(content: &[u8], size: u64) -> Work {
        let published = Published {
            digest: Digest::of(content),
            size,
            content: Digest::of(content).fingerprint(),
            content_type: HeaderValue::from_static("text/css"),
        };
        Work::Decode(Coding::Zstd, published)
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_two_are_at_work_and_an_encoder_does_not_wait() {
        for (work, waits) in
            [(Work::Code(Coding::Zstd), Duration::ZERO), (decode(CONTENT, 4096), WAITING_TIMEOUT)]
        {
            let making = making(work, 1 << 20);
            let turn = || Arc::clone(&making.coder.turns).try_acquire_owned().unwrap();
            let mut busy = [turn(), turn()].map(Some);
            let begun = tokio::time::Instant::now();
            assert_eq!(making.make().await.err(), Some(Fault::Overloaded));
            assert_eq!(begun.elapsed(), waits);
            busy[0] = None;
            assert!(making.make().await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_memory_is_not_made_and_what_is_made_counts() {
        for work in [Work::Code(Coding::Br), decode(CONTENT, 4096)] {
            let making = making(work, 64 * 1024);
            let budget = &making.cache.budget;
            let most = budget.reserve(60 * 1024, Duration::ZERO).await.unwrap();
            assert_eq!(making.make().await.err(), Some(Fault::Overloaded));
            drop(most);
            let made = making.make().await.unwrap();
            assert!(budget.bytes_held() >= made.head.size);
            drop(made);
            assert_eq!(budget.bytes_held(), 0);
        }
    }

    #[tokio::test]
    async fn what_decodes_to_something_else_than_was_published_is_corrupt() {
        assert!(making(decode(CONTENT, 4096), 1 << 20).make().await.is_ok());
        for work in [decode(b"else", 4096), decode(CONTENT, 4095)] {
            assert_eq!(making(work, 1 << 20).make().await.err(), Some(Fault::Corrupt));
        }
    }
}
