//! A page on its way to a visitor: every chunk of the upstream yields at once
//! what may leave of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::count_skipped;
use crate::rewrite::{HtmlRewriter, charset_is_safe};
use crate::shield::body::{BoxError, ResponseBody};
use crate::shield::metrics::Metrics;
use crate::shield::render::count;

/// A byte order mark is at most this long; nothing is decided before.
const MARK_BYTES: usize = 3;

/// The body of a page with its references rewritten.
pub(super) struct Rewritten {
    body: ResponseBody,
    stage: Stage,
    metrics: Arc<Metrics>,
    trailers: Option<Frame<Bytes>>,
}

enum Stage {
    /// Not enough bytes came to know the charset.
    Beginning {
        held: BytesMut,
        rewriter: Box<HtmlRewriter>,
        content_type: Option<String>,
    },
    Rewriting(Box<HtmlRewriter>),
    /// The charset is one that cannot be rewritten.
    Passing,
    Over,
}

impl Rewritten {
    pub(super) fn new(
        body: ResponseBody,
        rewriter: HtmlRewriter,
        content_type: Option<String>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (held, rewriter) = (BytesMut::new(), Box::new(rewriter));
        let stage = Stage::Beginning { held, rewriter, content_type };
        Self { body, stage, metrics, trailers: None }
    }

    /// What may leave once `chunk` came.
    fn take(&mut self, chunk: Bytes) -> Bytes {
        match std::mem::replace(&mut self.stage, Stage::Passing) {
            Stage::Beginning { mut held, rewriter, content_type } => {
                held.extend_from_slice(&chunk);
                self.stage = Stage::Beginning { held, rewriter, content_type };
                self.begin(MARK_BYTES)
            }
            Stage::Rewriting(mut rewriter) => {
                let leaving = rewriter.write(&chunk);
                self.stage = Stage::Rewriting(rewriter);
                leaving.into()
            }
            stage @ (Stage::Passing | Stage::Over) => {
                self.stage = stage;
                chunk
            }
        }
    }

    /// Judges the charset as soon as `enough` bytes are there.
    fn begin(&mut self, enough: usize) -> Bytes {
        match std::mem::replace(&mut self.stage, Stage::Passing) {
            Stage::Beginning { held, rewriter, content_type } if held.len() < enough => {
                self.stage = Stage::Beginning { held, rewriter, content_type };
                Bytes::new()
            }
            Stage::Beginning { held, mut rewriter, content_type } => {
                if !charset_is_safe(content_type.as_deref(), &held) {
                    count_skipped(&self.metrics, "charset");
                    return held.freeze();
                }
                let leaving = rewriter.write(&held);
                self.stage = Stage::Rewriting(rewriter);
                leaving.into()
            }
            stage => {
                self.stage = stage;
                Bytes::new()
            }
        }
    }

    /// What is left when the upstream's body is over.
    fn finish(&mut self) -> Bytes {
        let begun = self.begin(0);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Rewriting(rewriter) => {
                let (tail, summary) = rewriter.end();
                count(&summary, &self.metrics);
                if begun.is_empty() { tail.into() } else { [&begun[..], &tail[..]].concat().into() }
            }
            _ => begun,
        }
    }
}

impl Body for Rewritten {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if matches!(self.stage, Stage::Over) {
                return Poll::Ready(self.trailers.take().map(Ok));
            }
            let leaving = match ready!(Pin::new(&mut self.body).poll_frame(cx)?) {
                None => self.finish(),
                Some(frame) => match frame.into_data() {
                    Ok(chunk) => self.take(chunk),
                    Err(trailers) => {
                        self.trailers = Some(trailers);
                        self.finish()
                    }
                },
            };
            if !leaving.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(leaving))));
            }
        }
    }
}
