//! Visitors who ask for many objects, one after another.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::visitor::{Body, Tally, Visitor, get};
use crate::{Failure, Words};

/// What a visitor waits between two requests of a [`press`].
const PAUSE: Duration = Duration::from_millis(20);

/// `port= list= clients= connections= warm=`: each object of the list, a line
/// `PATH FILE` each, is asked for by `clients` visitors at the same time. As
/// many objects at a time as there are connections for.
pub(crate) async fn keys(words: &Words) -> Result<Value, Failure> {
    let (port, clients): (_, usize) = (words.take("port")?, words.take("clients")?);
    let warm = get("cdn.example.nl", &words.take::<String>("warm")?, "");
    let list = std::fs::read_to_string(words.take::<String>("list")?)?;
    let mut objects = Vec::new();
    for line in list.lines() {
        let (path, file) = line.split_once(' ').ok_or("a line is PATH FILE")?;
        objects.push((get("cdn.example.nl", path, ""), Body::of(std::fs::read(file)?)));
    }
    let groups = (words.take::<usize>("connections")? / clients).clamp(1, objects.len().max(1));
    let visitors = Visitor::many(port, groups * clients, &warm).await?;

    let begun = Instant::now();
    let objects = Arc::new(objects);
    let mut visits = JoinSet::new();
    for (number, mut visitor) in visitors.into_iter().enumerate() {
        let objects = Arc::clone(&objects);
        visits.spawn(async move {
            let mut tally = Tally::default();
            for (request, expected) in objects.iter().skip(number % groups).step_by(groups) {
                let answer = visitor.visit(request, Some(expected)).await;
                tally.count(&answer);
                if answer.is_err() {
                    break;
                }
            }
            tally
        });
    }
    let mut tally = Tally::default();
    visits.join_all().await.into_iter().for_each(|other| tally.add(other));
    let mut found = tally.to_json();
    found["at_once"] = json!(groups);
    found["seconds"] = json!(begun.elapsed().as_secs_f64());
    Ok(found)
}

/// `port= paths= clients= seconds= warm=`: for so long, `clients` visitors ask
/// for each of the paths, which are separated by commas, again and again.
pub(crate) async fn press(words: &Words) -> Result<Value, Failure> {
    let (port, clients): (_, usize) = (words.take("port")?, words.take("clients")?);
    let paths: String = words.take("paths")?;
    let requests: Vec<_> = paths.split(',').map(|path| get("cdn.example.nl", path, "")).collect();
    let warm = get("cdn.example.nl", &words.take::<String>("warm")?, "");
    let visitors = Visitor::many(port, clients * requests.len(), &warm).await?;
    let until = Instant::now() + Duration::from_secs(words.take("seconds")?);
    let mut visits = JoinSet::new();
    for (mut visitor, request) in visitors.into_iter().zip(requests.iter().cycle().cloned()) {
        visits.spawn(async move {
            let mut tally = Tally::default();
            while Instant::now() < until {
                let answer = visitor.visit(&request, None).await;
                tally.count(&answer);
                if answer.is_err() {
                    break;
                }
                sleep(PAUSE).await;
            }
            tally
        });
    }
    let mut tally = Tally::default();
    visits.join_all().await.into_iter().for_each(|other| tally.add(other));
    Ok(tally.to_json())
}
