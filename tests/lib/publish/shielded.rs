//! A rollback as visitors of a running shield see it.

use awning::clock::Clock;
use awning::shield::metrics::Metrics;
use awning::shield::{RefreshOutcome, Shield};

use super::switch::{bucket, changed, roll_back, unlock};
use super::*;
use crate::harness::release::{SITE, config};
use crate::harness::visit::get;

async fn outcome(shield: &Shield) -> RefreshOutcome {
    shield.refresh().await.channels.remove(0).outcome
}

async fn script(shield: &Arc<Shield>) -> String {
    get(SITE, "/js/app.js").of(shield).await.text().to_owned()
}

#[tokio::test]
async fn a_running_shield_follows_a_rollback_and_what_comes_after_it() {
    let (store, ..) = bucket().await;
    let metrics = Arc::new(Metrics::default());
    let origin: Arc<dyn ObjectRead> = store.clone();
    let shield = Shield::new(config(1 << 20), Some(origin), layout(), Clock::System, metrics);
    let shield = shield.unwrap();
    assert_eq!(outcome(&shield).await, RefreshOutcome::Switched);
    assert_eq!(script(&shield).await, "b");

    // Locked, by someone, with fields that a publish's record has not.
    roll_back(&*store, "r").await.unwrap();
    assert_eq!(outcome(&shield).await, RefreshOutcome::Switched);
    assert_eq!(script(&shield).await, "a");
    unlock(&*store, "u").await.unwrap();
    assert_eq!(outcome(&shield).await, RefreshOutcome::Unchanged);
    publish_to(&changed("c"), &*store, "c").await.unwrap();
    assert_eq!(outcome(&shield).await, RefreshOutcome::Switched);
    assert_eq!(script(&shield).await, "c");
}
