//! Bad weather: a store of which most calls fail, and one with a rate limit
//! (case 34).

use awning_front::{Script, When, cases};

use crate::harness::{World, finish};

/// Calls besides those for objects: the head that is not there, twice; the intent and
/// its date, and what is condemned; manifest, record and head are stored;
/// manifest and record are read, and the log three times.
const SWITCH: u64 = 14;

fn many(world: &World, count: usize) {
    for number in 0..count {
        world.write(&format!("site/{}/{number}.txt", number % 10), &format!("file {number}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_of_a_thousand_files_completes_in_a_storm() {
    let world = World::new().await;
    many(&world, 1000);
    world.proxy.script(Script::seeded(34).on(When::any().chance(0.6), cases::pod_busy()));
    let mut command = world.command(&["publish", "site"]);
    command.env("AWNING_STORE_ATTEMPTS", "20").env("AWNING_STORE_BACKOFF_MAX", "50ms");
    finish(command).await.exited(0);
    let counts = world.proxy.counts();
    assert_eq!(counts.total() - counts.faults, 1000 + SWITCH, "{}", counts.to_json());
    let share = counts.faults as f64 / counts.total() as f64;
    assert!((0.55..0.65).contains(&share), "{share}");
    assert!(world.served("0/0.txt").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_slows_a_publish_down_and_does_not_fail_it() {
    let world = World::new().await;
    many(&world, 200);
    world.proxy.script(Script::new());
    // A tenth of what a new account has, for a fifth of the files.
    world.proxy.limit(Some(50));
    let mut command = world.command(&["publish", "site"]);
    command.env("AWNING_STORE_ATTEMPTS", "20").env("AWNING_STORE_BACKOFF_MAX", "200ms");
    finish(command).await.exited(0);
    let counts = world.proxy.counts();
    assert_eq!(counts.total() - counts.faults, 200 + SWITCH, "{}", counts.to_json());
    assert!(counts.faults > 0);
    assert!(world.served("0/0.txt").await.is_some());
}
