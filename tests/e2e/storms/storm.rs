//! What visitors may send and ask for to fill the memory of a shield.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::origin::named;
use crate::visitor::{Tally, Visitor, get};
use crate::{Failure, Words};

/// Bytes of the fields by which the requests of a storm of variants differ.
const VARYING_BYTES: usize = 4096;

/// How long a half-sent head is held, and the pause before a new connection.
const LONGER_THAN_ANY: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(50);

/// What is left to do, and until when.
struct Work {
    next: AtomicU64,
    count: u64,
    until: Instant,
}

impl Work {
    fn of(words: &Words) -> Result<Arc<Self>, Failure> {
        let count = words.maybe("count")?.unwrap_or(u64::MAX);
        let until = Instant::now() + Duration::from_secs_f64(words.take("seconds")?);
        Ok(Arc::new(Self { next: AtomicU64::new(0), count, until }))
    }

    /// The number of the next, if it is to be done in time.
    fn next(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.count && Instant::now() < self.until).then_some(number)
    }
}

/// `port= bytes= count= connections= seconds=`: asks for so many objects of so
/// many bytes, and reads all of each until the time is over.
pub(crate) async fn objects(words: &Words) -> Result<Value, Failure> {
    let (port, connections): (u16, usize) = (words.take("port")?, words.take("connections")?);
    let (name, body) = named(words.take("bytes")?);
    let (name, body, work) = (name.as_str().to_owned(), Arc::new(body), Work::of(words)?);
    let mut visits = JoinSet::new();
    for visitor in 0..connections {
        let (name, body, work) = (name.clone(), Arc::clone(&body), Arc::clone(&work));
        visits.spawn(async move {
            let (mut tally, mut left) = (Tally::default(), 0_u64);
            let mut connection = Visitor::come(port, visitor).await.ok();
            while let Some(number) = work.next() {
                let request = get("cdn.example.nl", &format!("/large-{number}.{name}.bin"), "");
                let Some(here) = &mut connection else { break };
                let visit = here.visit(&request, Some(&body));
                match timeout_at(work.until, visit).await {
                    Ok(answer) => {
                        tally.count(&answer);
                        if answer.is_err() {
                            connection = Visitor::come(port, visitor).await.ok();
                        }
                    }
                    Err(_) => left += 1,
                }
            }
            (tally, left)
        });
    }
    let (mut tally, mut left) = (Tally::default(), 0);
    for (other, more) in visits.join_all().await {
        tally.add(other);
        left += more;
    }
    let mut found = tally.to_json();
    found["left"] = json!(left);
    Ok(found)
}

/// `port= host= path= connections= batch= seconds=`: URLs that nobody has asked
/// for before, `batch` of them in a row on each connection.
///
/// `vary=1`: instead, a few URLs whose answers differ by what is sent.
pub(crate) async fn urls(words: &Words) -> Result<Value, Failure> {
    let (port, connections): (u16, usize) = (words.take("port")?, words.take("connections")?);
    let batch: u64 = words.take("batch")?;
    let (host, path): (String, String) = (words.take("host")?, words.take("path")?);
    let varies = words.maybe::<u8>("vary")?.is_some();
    let filler = Arc::new("v".repeat(VARYING_BYTES));
    let work = Work::of(words)?;
    let mut visits = JoinSet::new();
    for visitor in 0..connections {
        let (host, path) = (host.clone(), path.clone());
        let (filler, work) = (Arc::clone(&filler), Arc::clone(&work));
        visits.spawn(async move {
            let mut tally = Tally::default();
            let request = |number: u64| match varies {
                true => {
                    let language = ["nl", "en", "de", "fr"][(number % 4) as usize];
                    let fields =
                        format!("X-Storm: {number}{filler}\r\nAccept-Language: {language}\r\n");
                    get(&host, &format!("{path}{}", number % 16), &fields)
                }
                false => get(&host, &format!("{path}{number}.css?of={number:x}"), ""),
            };
            let mut connection = None;
            while let Some(first) = work.next() {
                let numbers = first * batch..(first + 1) * batch;
                let requests: Vec<u8> = numbers.flat_map(&request).collect();
                let here = match connection.take() {
                    Some(here) => Ok(here),
                    None => Visitor::come(port, visitor).await,
                };
                connection = in_a_row(here, &requests, batch, &mut tally).await.ok();
            }
            tally
        });
    }
    let mut tally = Tally::default();
    visits.join_all().await.into_iter().for_each(|other| tally.add(other));
    Ok(tally.to_json())
}

/// Sends requests together, and reads their answers.
async fn in_a_row(
    visitor: io::Result<Visitor>,
    requests: &[u8],
    count: u64,
    tally: &mut Tally,
) -> io::Result<Visitor> {
    let mut visitor = visitor?;
    visitor.send(requests).await?;
    for _ in 0..count {
        let answer = match visitor.head().await {
            Ok(head) => visitor.body(&head, None).await.map(|right| (head, right)),
            Err(error) => Err(error),
        };
        tally.count(&answer);
        answer?;
    }
    Ok(visitor)
}

/// `port= connections= bytes= seconds=`: connections that send so many bytes of
/// a head, and never its end. Each that is closed comes again.
pub(crate) async fn heads(words: &Words) -> Result<Value, Failure> {
    let (port, connections): (u16, usize) = (words.take("port")?, words.take("connections")?);
    let mut half = get("cdn.example.nl", "/", "X-Half: ");
    half.truncate(half.len() - 2);
    half.resize(words.take("bytes")?, b'h');
    let (half, work) = (Arc::new(half), Work::of(words)?);
    let mut visits = JoinSet::new();
    for visitor in 0..connections {
        let (half, work) = (Arc::clone(&half), Arc::clone(&work));
        visits.spawn(async move {
            let mut came = BTreeMap::<&str, u64>::new();
            while Instant::now() < work.until {
                let held = async {
                    let Ok(mut visitor) = Visitor::come(port, visitor).await else {
                        return "refused";
                    };
                    if visitor.send(&half).await.is_err() {
                        return "cut";
                    }
                    let _ = tokio::time::timeout(LONGER_THAN_ANY, visitor.head()).await;
                    "closed"
                };
                let end = timeout_at(work.until, held).await.unwrap_or("held to the end");
                *came.entry(end).or_default() += 1;
                sleep(AGAIN).await;
            }
            came
        });
    }
    let mut came = BTreeMap::<&str, u64>::new();
    for other in visits.join_all().await {
        other.into_iter().for_each(|(end, count)| *came.entry(end).or_default() += count);
    }
    Ok(json!(came))
}
