//! Bodies on their way from the store: watched for silence and slowness, and
//! taken up again where they broke off.
//!
//! The SDK hands over a body when its head has come, and from then on neither
//! its timeouts nor its retries look after it.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};

use super::super::{ByteRange, ObjectBody, Operation, StoreError, StoreErrorKind};
use super::object;

/// The slowest body that is read to its end. Less is a connection that lives
/// and brings nothing.
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// A body that is being read.
pub(super) struct Body {
    pub(super) key: String,
    pub(super) bytes: ByteStream,
    /// Bytes that are still to come.
    pub(super) left: u64,
    pub(super) pace: Pace,
    pub(super) resume: Option<Resume>,
}

/// How long a body may still be waited for.
///
/// Waiting uses it up, bytes win it back. A reader that takes its time costs
/// nothing, because nobody waits for the store then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    left: Duration,
    most: Duration,
}

/// What is needed to ask for the rest of a body.
pub(super) struct Resume {
    pub(super) client: Client,
    pub(super) bucket: String,
    /// The rest has to be of the same object.
    pub(super) etag: String,
    /// Behind the last byte that was asked for.
    pub(super) end: u64,
    /// How often the rest may still be asked for.
    pub(super) tries: u32,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl Body {
    /// The bytes as they come. Ends with an error unless all of them came.
    pub(super) fn into_stream(self) -> ObjectBody {
        let chunks = stream::unfold(Some(self), |body| async {
            let mut body = body?;
            match body.next().await {
                Ok(None) => None,
                Ok(Some(chunk)) => Some((Ok(chunk), Some(body))),
                Err(cause) => Some((Err(body.broken(cause)), None)),
            }
        });
        chunks.boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Cause> {
        loop {
            let cause = match self.arriving().await {
                Ok(Some(chunk)) => {
                    let more = "more bytes than announced";
                    self.left = self.left.checked_sub(chunk.len() as u64).ok_or(more)?;
                    return Ok(Some(chunk));
                }
                Ok(None) if self.left == 0 => return Ok(None),
                Ok(None) => "fewer bytes than announced".into(),
                Err(cause) => cause,
            };
            let rest = match self.resume.as_mut() {
                Some(resume) => resume.rest(&self.key, self.left).await,
                None => None,
            };
            self.bytes = rest.ok_or(cause)?;
            self.pace = Pace::of(self.pace.most);
        }
    }

    /// The next bytes, as long as they come fast enough.
    async fn arriving(&mut self) -> Result<Option<Bytes>, Cause> {
        let began = Instant::now();
        let chunk = timeout(self.pace.left, self.bytes.next()).await?.transpose()?;
        let count = chunk.as_ref().map_or(0, Bytes::len);
        self.pace.waited(began.elapsed(), count as u64);
        Ok(chunk)
    }

    fn broken(&self, why: Cause) -> StoreError {
        StoreError::new(Operation::Get, &self.key, StoreErrorKind::Unavailable, why)
    }
}

impl Pace {
    /// Nothing at all may come for this long.
    pub(super) fn of(most: Duration) -> Self {
        Self { left: most, most }
    }

    fn waited(&mut self, time: Duration, bytes: u64) {
        let won = Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND_MIN as f64);
        // What is used up is not won back.
        self.left = match self.left.checked_sub(time) {
            Some(left) => left.saturating_add(won).min(self.most),
            None => Duration::ZERO,
        };
    }
}

impl Resume {
    /// Asks for the last `left` bytes; `None` when that is not what comes.
    async fn rest(&mut self, key: &str, left: u64) -> Option<ByteStream> {
        self.tries = self.tries.checked_sub(1)?;
        let (first, last) = (self.end.checked_sub(left)?, self.end.checked_sub(1)?);
        tracing::debug!(key, first, "a body broke off, and its rest is asked for");
        let range = object::range(ByteRange::Bounded(first, last));
        let get = self.client.get_object().bucket(&self.bucket).key(key).range(range);
        let output = get.if_match(&self.etag).send().await.ok()?;
        let part = output.content_range.as_deref().and_then(object::parse_content_range);
        let same = part.is_some_and(|(from, to, _)| (from, to) == (first, last));
        same.then_some(output.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_trickles_is_given_up_and_what_flows_is_not() {
        let idle = Duration::from_secs(60);
        let seconds_of = |bytes: u64| {
            let mut pace = Pace::of(idle);
            (0..3600)
                .take_while(|_| {
                    pace.waited(Duration::from_secs(1), bytes);
                    !pace.left.is_zero()
                })
                .count()
        };
        assert_eq!(seconds_of(0), 59);
        assert_eq!(seconds_of(1), 60);
        assert_eq!(seconds_of(BYTES_PER_SECOND_MIN), 3600);
    }
}
