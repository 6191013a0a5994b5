//! Many visitors who ask for one object in the same moment.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::visitor::{Body, Head, Tally, Visitor, distribution, get, millis};
use crate::{Failure, Words};

/// How long the first visitor is alone, and then how long it stays.
const LEADS_FOR: Duration = Duration::from_millis(100);

/// `port= path= file= count= warm=`: `count` visitors, each of whom has had
/// `warm`, ask for `path`, which has to be the bytes of `file`.
///
/// `leaves=1`: the first comes before the others, and leaves before the answer.
/// `kill=PID`: that process is killed when the first body begins to arrive.
pub(crate) async fn herd(words: &Words) -> Result<Value, Failure> {
    let (port, count) = (words.take("port")?, words.take("count")?);
    let request = get("cdn.example.nl", &words.take::<String>("path")?, "");
    let warm = get("cdn.example.nl", &words.take::<String>("warm")?, "");
    let expected = Body::of(std::fs::read(words.take::<String>("file")?)?);
    let killed = words.maybe::<i32>("kill")?.and_then(Pid::from_raw);
    let mut visitors = Visitor::many(port, count, &warm).await?;

    let begun = Instant::now();
    let mut leader = None;
    if words.maybe::<u8>("leaves")?.is_some() {
        leader = visitors.pop();
    }
    if let Some(leader) = &mut leader {
        leader.send(&request).await?;
        sleep(LEADS_FOR).await;
    }
    for visitor in &mut visitors {
        visitor.send(&request).await?;
    }
    let asked = Instant::now();
    if leader.is_some() {
        sleep(LEADS_FOR).await;
        drop(leader);
    }

    let expected = Arc::new(expected);
    let mut visits = JoinSet::new();
    for visitor in visitors {
        visits.spawn(read(visitor, Arc::clone(&expected), killed));
    }
    let answers = visits.join_all().await;
    let mut tally = Tally::default();
    answers.iter().for_each(|answer| tally.count(answer));
    let mut found = tally.to_json();
    found["asking_ms"] = json!(millis(begun, asked));
    found["seconds"] = json!(begun.elapsed().as_secs_f64());
    add_times(&mut found, begun, answers.iter().flatten().map(|(head, _)| head));
    Ok(found)
}

async fn read(
    mut visitor: Visitor,
    expected: Arc<Body>,
    killed: Option<Pid>,
) -> io::Result<(Head, bool)> {
    let head = visitor.head().await?;
    if let Some(pid) = killed {
        visitor.arrived().await?;
        // The others find it gone.
        let _ = kill_process(pid, Signal::KILL);
    }
    let right = visitor.body(&head, Some(&expected)).await?;
    Ok((head, right))
}

/// When first bytes came: those of followers behind the leader's, and all of
/// them behind the very first.
fn add_times<'a>(found: &mut Value, begun: Instant, heads: impl Iterator<Item = &'a Head> + Clone) {
    let firsts = || heads.clone().map(|head| head.first);
    let Some(first) = firsts().min() else { return };
    found["first_ms"] = json!(millis(begun, first));
    found["behind_first_ms"] = distribution(firsts().map(|at| millis(first, at)).collect());
    let Some(leader) = heads.clone().find(|head| head.leads()) else { return };
    let behind = heads.clone().filter(|head| head.follows());
    let behind = behind.map(|head| millis(leader.first, head.first));
    found["behind_leader_ms"] = distribution(behind.collect());
}
