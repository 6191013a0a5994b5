//! The publisher is killed at every call to the store, before the call and
//! after it took effect. Visitors see the old release or the new one, whole.

use crate::harness::{Action, World};

fn site(world: &World, color: &str) {
    world.write("site/index.html", "<link rel=stylesheet href=/app.css><img src=/a.svg>");
    world.write("site/app.css", &format!("body {{ color: {color} }}"));
    world.write("site/a.svg", &format!("<svg fill='{color}'/>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_call_the_release_is_whole() {
    killed_at_every_call(Action::HoldBefore).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_any_call_the_release_is_whole() {
    killed_at_every_call(Action::HoldAfter).await;
}

async fn killed_at_every_call(action: Action) {
    let mut killed = 0;
    for at in 0.. {
        let world = World::new().await;
        site(&world, "red");
        world.run(&["publish", "site"]).await.exited(0);
        site(&world, "blue");
        if !killed_at(&world, at, action).await {
            break;
        }
        killed += 1;

        let after_kill = world.served("app.css").await.unwrap();
        assert!(after_kill.contains("red") || after_kill.contains("blue"), "{at}: {after_kill}");
        world.proxy.follow(|_, _| Action::Pass);
        world.run(&["publish", "site"]).await.exited(0);
        assert!(world.served("app.css").await.unwrap().contains("blue"), "{at}");
    }
    // Two reads, three objects, manifest, record, list and head at least.
    assert!(killed >= 9, "only {killed} calls were seen");
}

/// Kills a publish at its call number `at`; `false` when it makes fewer calls.
async fn killed_at(world: &World, at: usize, action: Action) -> bool {
    let mut calls = 0;
    world.proxy.follow(move |_, _| {
        calls += 1;
        if calls == at + 1 { action } else { Action::Pass }
    });
    let mut child = world.start(&["publish", "site"]);
    tokio::select! {
        status = child.wait() => {
            assert!(status.unwrap().success(), "call {at}");
            false
        }
        () = world.proxy.held() => {
            child.kill().await.unwrap();
            true
        }
    }
}
