//! A visitor who asks for one stored object now and then, and how long that
//! takes while others storm.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::visitor::{Visitor, distribution, get, millis};
use crate::{Failure, Words};

/// Between two requests. A visitor who is answered later than this asks then.
const EVERY: Duration = Duration::from_millis(4);

/// `port= path= seconds=`. `any=1`: the server is no cache, and every answer
/// counts.
pub(crate) async fn pulse(words: &Words) -> Result<Value, Failure> {
    let port = words.take("port")?;
    let request = get("cdn.example.nl", &words.take::<String>("path")?, "");
    let until = Instant::now() + Duration::from_secs_f64(words.take("seconds")?);
    let any = words.maybe::<u8>("any")?.is_some();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut visitor = Visitor::come(port, 0).await?;
    let (mut times, mut others, mut failed) = (Vec::new(), 0_u64, 0_u64);
    while Instant::now() < until {
        ticks.tick().await;
        let begun = Instant::now();
        match visitor.visit(&request, None).await {
            Ok((head, _)) if any || head.is_hit() => times.push(millis(begun, Instant::now())),
            Ok(_) => others += 1,
            Err(_) => {
                failed += 1;
                visitor = Visitor::come(port, 0).await?;
            }
        }
    }
    let hits = times.len();
    let mut found = distribution(times);
    (found["hits"], found["others"], found["failed"]) = (json!(hits), json!(others), json!(failed));
    Ok(found)
}
