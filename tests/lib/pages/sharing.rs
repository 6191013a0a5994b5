//! Many requests, one fetch: what is shared of it, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use awning::shield::body::ResponseBody;
use awning::shield::config::Pages;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use super::{Shop, body};
use crate::harness::upstream::Upstream;
use crate::harness::visit::{Seen, get};

/// A shop whose upstream answers each request when it is told to.
struct Held {
    shop: Shop,
    gates: Arc<Vec<Notify>>,
}

impl Held {
    async fn saying(cache_control: &'static str) -> Self {
        let gates: Arc<Vec<Notify>> = Arc::new((0..64).map(|_| Notify::new()).collect());
        let (count, held) = (Arc::new(AtomicUsize::new(1)), Arc::clone(&gates));
        let upstream = Upstream::answering(move |_: Request<Vec<u8>>| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let gates = Arc::clone(&held);
            async move {
                gates[number].notified().await;
                let response = Response::builder().header("cache-control", cache_control);
                response.body(body(number)).unwrap()
            }
        });
        Self { shop: Shop::before(upstream.await, Pages::default()), gates }
    }

    /// Lets the upstream answer the request with this number.
    fn answer(&self, number: usize) {
        self.gates[number].notify_one();
    }

    /// Begins a visit of the page.
    fn begin(&self) -> JoinHandle<Seen> {
        let shield = Arc::clone(&self.shop.shield);
        tokio::spawn(async move { get("shop.nl", "/").of(&shield).await })
    }

    /// Begins many, and waits until all but the first share its fetch.
    async fn begin_together(&self, count: u32) -> JoinSet<Seen> {
        let (mut visits, before) = (JoinSet::new(), self.collapsed());
        for _ in 0..count {
            let shield = Arc::clone(&self.shop.shield);
            visits.spawn(async move { get("shop.nl", "/").of(&shield).await });
        }
        until(|| self.collapsed() == before + count - 1).await;
        visits
    }

    fn collapsed(&self) -> u32 {
        self.shop.metric("awning_collapsed_total")
    }

    /// Waits until the upstream has so many requests.
    async fn asked(&self, count: usize) {
        until(|| self.shop.upstream.count() == count).await;
    }
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_hundred_first_requests_are_one_fetch() {
    let held = Held::saying("max-age=60").await;
    let mut visits = held.begin_together(100).await;
    held.answer(1);
    let mut followers = 0;
    while let Some(seen) = visits.join_next().await {
        let seen = seen.unwrap();
        assert_eq!((seen.status, seen.text()), (200, "answer 1"));
        followers += usize::from(seen.header("cache-status").contains("collapsed"));
    }
    assert_eq!((followers, held.shop.upstream.count()), (99, 1));
}

#[tokio::test]
async fn a_leader_that_leaves_changes_nothing_for_the_others() {
    let held = Held::saying("max-age=60").await;
    let leader = held.begin();
    held.asked(1).await;
    let follower = held.begin();
    until(|| held.collapsed() == 1).await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    held.answer(1);
    assert_eq!(follower.await.unwrap().text(), "answer 1");
    assert_eq!(held.shop.see("/").await.header("cache-status"), "awning; hit; ttl=60");
    assert_eq!(held.shop.upstream.count(), 1);
}

#[tokio::test]
async fn those_who_share_what_cannot_be_shared_do_not_wait_for_each_other() {
    let held = Held::saying("no-store").await;
    let mut visits = held.begin_together(10).await;
    held.asked(1).await;
    held.answer(1);
    // None of the nine is answered, and all of them are at the upstream.
    held.asked(10).await;
    (2..=10).for_each(|number| held.answer(number));
    let mut texts = Vec::new();
    while let Some(seen) = visits.join_next().await {
        texts.push(seen.unwrap().text().to_owned());
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 10, "each its own: {texts:?}");

    // From now on nobody waits to find that out.
    let next: Vec<_> = (0..5).map(|_| held.begin()).collect();
    held.asked(15).await;
    (11..=15).for_each(|number| held.answer(number));
    for visit in next {
        assert_eq!(visit.await.unwrap().status, 200);
    }
    assert_eq!(held.collapsed(), 9);
}

#[tokio::test]
async fn what_cannot_be_shared_is_looked_at_again_later() {
    let held = Held::saying("no-store").await;
    let first = held.begin();
    held.answer(1);
    first.await.unwrap();
    held.shop.wait(120);
    let mut visits = held.begin_together(2).await;
    held.answer(2);
    held.answer(3);
    while let Some(seen) = visits.join_next().await {
        assert_eq!(seen.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_purge_during_a_fill_makes_it_unusable_in_whatever_order_fills_land() {
    for order in [[1, 2], [2, 1]] {
        let held = Held::saying("max-age=60").await;
        let before = held.begin();
        held.asked(1).await;
        held.shop.shield.epochs().advance();
        let after = held.begin();
        held.asked(2).await;
        let mut visits = [Some(before), Some(after)];
        for number in order {
            held.answer(number);
            let seen = visits[number - 1].take().unwrap().await.unwrap();
            assert_eq!(
                seen.text(),
                format!("answer {number}"),
                "who waited gets what it waited for"
            );
        }
        let seen = held.shop.see("/").await;
        assert_eq!((seen.text(), held.shop.upstream.count()), ("answer 2", 2), "{order:?}");
    }
}

#[tokio::test]
async fn a_purge_during_a_validation_is_not_undone_by_it() {
    let gate = Arc::new(Notify::new());
    let held = Arc::clone(&gate);
    let upstream = Upstream::answering(move |request: Request<Vec<u8>>| {
        let known = request.headers().contains_key("if-none-match");
        let gate = Arc::clone(&held);
        async move {
            let response = Response::builder().header("cache-control", "max-age=60");
            let response = response.header("etag", "\"v\"");
            if known {
                gate.notified().await;
                return response.status(304).body(body(0)).unwrap();
            }
            response.body(body(1)).unwrap()
        }
    });
    let shop = Shop::before(upstream.await, Pages::default());
    shop.see("/").await;
    shop.wait(61);
    let shield = Arc::clone(&shop.shield);
    let validating = tokio::spawn(async move { get("shop.nl", "/").of(&shield).await });
    until(|| shop.upstream.count() == 2).await;
    shop.shield.epochs().advance();
    gate.notify_one();
    assert_eq!(validating.await.unwrap().status, 200);
    let told = shop.see("/").await.header("cache-status").to_owned();
    assert!(told.contains("fwd=uri-miss; fwd-status=200"), "{told}");
}

#[tokio::test]
async fn a_body_is_read_while_it_arrives_and_kept_in_one_piece() {
    let (pieces, body) = streamed();
    let body = std::sync::Mutex::new(Some(body));
    let shop = Shop::scripted(move |_, _| {
        let response = Response::builder().header("cache-control", "max-age=60");
        Some(response.body(body.lock().unwrap().take().unwrap()))
    })
    .await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        bodies.push(get("shop.nl", "/").begin(&shop.shield).await.into_body());
    }
    for piece in ["one ", "two ", "three"] {
        pieces.send(piece).await.unwrap();
        for body in &mut bodies {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
        }
    }
    drop(pieces);
    for body in &mut bodies {
        assert!(body.frame().await.is_none());
    }
    let hit = get("shop.nl", "/").begin(&shop.shield).await;
    assert_eq!(hit.headers()["content-length"], "13");
    let mut body = hit.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "one two three");
    assert!(body.frame().await.is_none());
    assert_eq!(shop.fetches(), 1);
}

/// A body whose pieces are sent when the test says so.
fn streamed() -> (mpsc::Sender<&'static str>, ResponseBody) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<&'static str>| {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(Bytes::from_static(piece.as_bytes()))), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}
