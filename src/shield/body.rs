//! The bodies that pass through the shield, and the limit on their silence.
//!
//! A body is boxed once, where it enters or leaves; what is in between works
//! on the boxed type and never reads a body whole.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Empty, Full, StreamBody};
use tokio::time::{Instant, Sleep, sleep};

/// Why a body ended early.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response on its way to a visitor.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a request on its way to an origin.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body without bytes.
pub fn empty() -> UnsyncBoxBody<Bytes, BoxError> {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of bytes that are at hand.
pub fn full(bytes: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body brought nothing for as long as it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a body stood still for {} ms", .0.as_millis())]
pub struct BodyStalled(Duration);

/// A body that fails when its sender is silent for too long, or, when it is
/// [paced](Unstalled::paced), too slow on the whole.
///
/// Only the time in which somebody waits for the body counts: a slow reader
/// does not make a body stall.
pub struct Unstalled {
    body: UnsyncBoxBody<Bytes, BoxError>,
    silence_max: Duration,
    /// Time that its sender may still be waited for, and what earns more.
    credit: Duration,
    bytes_per_second: Option<u32>,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    failed: bool,
}

impl Unstalled {
    /// Limits the silence of `body`.
    pub fn new<B>(body: B, silence_max: Duration) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        Self {
            body,
            silence_max,
            credit: silence_max,
            bytes_per_second: None,
            waiting: None,
            failed: false,
        }
    }

    /// Also asks for this rate: each byte earns its time, and no more than
    /// the longest silence is ever in hand. A byte now and then buys nothing.
    pub fn paced(mut self, bytes_per_second: u32) -> Self {
        self.bytes_per_second = Some(bytes_per_second);
        self
    }

    fn arrived(&mut self, bytes: usize) {
        let waited = self.waiting.take().map(|(since, _)| since.elapsed());
        let Some(rate) = self.bytes_per_second else { return };
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(rate));
        let left = self.credit.saturating_sub(waited.unwrap_or_default());
        self.credit = left.saturating_add(earned).min(self.silence_max);
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.credit;
        let begin = || (Instant::now(), Box::pin(sleep(limit)));
        self.waiting.get_or_insert_with(begin).1.as_mut().poll(cx)
    }
}

/// Waits until a body shows whether it has any bytes: an empty one, if not. An
/// HTTP/2 request can say so only behind its head, with a last frame of nothing.
///
/// A failure is left in the body for whoever reads it.
pub async fn settled(mut body: RequestBody) -> RequestBody {
    loop {
        match body.frame().await {
            None => return empty(),
            Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
            Some(first) => {
                let first = futures_util::stream::iter([first]);
                let rest = futures_util::StreamExt::chain(first, BodyStream::new(body));
                return StreamBody::new(rest).boxed_unsync();
            }
        }
    }
}

impl std::fmt::Debug for Unstalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unstalled").field("silence_max", &self.silence_max).finish_non_exhaustive()
    }
}

impl Body for Unstalled {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let bytes = match &frame {
                Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                _ => 0,
            };
            self.arrived(bytes);
            return Poll::Ready(frame);
        }
        match self.poll_silence(cx) {
            Poll::Ready(()) => {
                self.failed = true;
                Poll::Ready(Some(Err(Box::new(BodyStalled(self.silence_max)))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn channel_body() -> (mpsc::Sender<&'static [u8]>, UnsyncBoxBody<Bytes, BoxError>) {
        let (sender, receiver) = mpsc::channel::<&'static [u8]>(1);
        let frames = futures_util::stream::unfold(receiver, async |mut receiver| {
            let bytes = receiver.recv().await?;
            Some((Ok(Frame::data(Bytes::from_static(bytes))), receiver))
        });
        (sender, StreamBody::new(frames).boxed_unsync())
    }

    #[tokio::test]
    async fn a_body_of_empty_frames_is_none_and_others_are_whole() {
        for (pieces, expected) in
            [(&[""; 2][..], None), (&["", "a", "", "b"], Some("ab")), (&["ab"], Some("ab"))]
        {
            let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from(*piece))));
            let frames: Vec<Result<_, BoxError>> = frames.collect();
            let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
            let settled = settled(body).await;
            assert_eq!(settled.is_end_stream(), expected.is_none(), "{pieces:?}");
            let bytes = settled.collect().await.unwrap().to_bytes();
            assert_eq!(bytes, expected.unwrap_or_default(), "{pieces:?}");
        }
        let broken = futures_util::stream::iter([Err::<Frame<Bytes>, BoxError>("broken".into())]);
        let settled = settled(StreamBody::new(broken).boxed_unsync()).await;
        assert_eq!(settled.collect().await.unwrap_err().to_string(), "broken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_fails_when_its_sender_is_silent_for_too_long() {
        let (sender, body) = channel_body();
        let mut body = Unstalled::new(body, Duration::from_secs(60));
        sender.send(b"a").await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        let started = Instant::now();
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.downcast_ref::<BodyStalled>().is_some(), "{error}");
        assert_eq!(started.elapsed(), Duration::from_secs(60));
        assert!(body.frame().await.is_none(), "nothing follows the failure");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_no_body_where_a_pace_is_asked_for() {
        let (sender, body) = channel_body();
        let mut body = Unstalled::new(body, Duration::from_secs(20)).paced(500);
        let started = Instant::now();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(9)).await;
                if sender.send(b"a").await.is_err() {
                    return;
                }
            }
        });
        let failed = loop {
            if let Some(Err(error)) = body.frame().await {
                break error;
            }
        };
        assert!(failed.downcast_ref::<BodyStalled>().is_some(), "{failed}");
        assert_eq!(started.elapsed().as_secs(), 20, "two bytes bought four milliseconds");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_at_its_pace_may_take_any_time() {
        let (sender, body) = channel_body();
        let mut body = Unstalled::new(body, Duration::from_secs(20)).paced(500);
        tokio::spawn(async move {
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                sender.send(&[b'a'; 5_000]).await.unwrap();
            }
        });
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(bytes, 300_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_does_not_make_a_body_stall() {
        let (sender, body) = channel_body();
        let mut body = Unstalled::new(body, Duration::from_secs(60));
        sender.send(b"a").await.unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        tokio::time::advance(Duration::from_secs(600)).await;
        sender.send(b"b").await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "b");
    }
}
