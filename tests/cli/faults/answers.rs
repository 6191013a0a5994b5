//! Answers that are worth another attempt (cases 1 to 6, 26).

use awning_front::{Fault, Reply, Script, When, cases};

use super::{ATTEMPTS, BEFORE, CALM, Row, objects, run_all, upload};
use crate::harness::finish;

/// Calls until the upload is given up: head and manifest are read, then each
/// of four rounds makes every attempt.
const GIVEN_UP: u64 = BEFORE + 4 * ATTEMPTS;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_busy_is_asked_once_more() {
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let rows = [
        (1, "pod busy", cases::pod_busy()),
        (2, "internal error", cases::internal()),
        (3, "slow down", cases::slow_down(None)),
        (3, "slow down for no time", cases::slow_down(Some("0"))),
        (3, "slow down for an hour", cases::slow_down(Some("3600"))),
        (3, "slow down for less than nothing", cases::slow_down(Some("-1"))),
        (3, "slow down until a date", cases::slow_down(Some(date))),
        (4, "native throttle", cases::too_many_requests(None)),
        (4, "native throttle for a second", cases::too_many_requests(Some("1"))),
        (5, "bad gateway", cases::edge(502)),
        (5, "edge busy", cases::edge(503)),
        (5, "gateway timeout", cases::edge(504)),
        (6, "request timeout", cases::request_timeout(408)),
        (6, "request timeout as a bad request", cases::request_timeout(400)),
        (26, "an error under a status of success", cases::error_in_success()),
    ];
    let rows = rows.map(|(case, name, fault)| Row::survives(case, name, upload(), fault, 1));
    run_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_publish_gets_over_one_busy_answer() {
    let rows = (1..=CALM)
        .map(|call| Row::survives(1, "pod busy", When::any().nth(call), cases::pod_busy(), 1));
    run_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_pod_is_left_for_a_new_connection() {
    let outcome = Row::survives(1, "pod busy", upload(), cases::pod_busy(), 1).run().await;
    let puts = outcome.counts.seen().iter().filter(|call| call.key.starts_with("a/"));
    let connections: Vec<_> = puts.map(|call| call.connection).collect();
    assert_eq!(connections.len(), 2);
    assert_ne!(connections[0], connections[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_busy_is_given_up_and_nothing_changes() {
    let reason = Reply::html(502).reason("");
    let rows = [
        (1, "pod busy", cases::pod_busy(), "503 ServiceUnavailable: no tomes available"),
        (2, "internal", cases::internal(), "500 InternalError: An internal error occurred."),
        (5, "bad gateway", cases::edge(502), "the store answered 502"),
        (5, "no reason", Fault::Reply(reason), "the store answered 502"),
        (6, "request timeout", cases::request_timeout(408), "408 RequestTimeout"),
        (26, "error in success", cases::error_in_success(), "200 InternalError"),
    ];
    let rows = rows.map(|(case, name, fault, says)| {
        Row::fails(case, name, objects(), fault, GIVEN_UP).says(says)
    });
    run_all(rows).await;
}

/// Being told to slow down is no failure: it is waited for until the deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_asks_to_slow_down_for_ever_is_waited_for_until_the_deadline() {
    for (case, fault) in [(3, cases::slow_down(Some("3600"))), (4, cases::too_many_requests(None))]
    {
        let world = super::red().await;
        super::site(&world, "blue");
        world.proxy.script(Script::new().on(objects(), fault));
        let mut command = world.command(&["publish", "site", "--deadline", "2s"]);
        command.env("AWNING_STORE_BACKOFF_MAX", "50ms");
        let late = finish(command).await.exited(4);
        assert!(late.stderr.contains("the deadline passed"), "case {case}: {}", late.stderr);
        // At once, and after 0.2, 0.6 and 1.4 seconds.
        let counts = world.proxy.counts();
        let puts = counts.seen().iter().filter(|call| call.key.starts_with("a/")).count();
        assert!((2..=4).contains(&puts), "case {case}: {puts}");
        assert!(world.served("app.css").await.unwrap().contains("red"), "case {case}");
        world.proxy.script(Script::new());
        world.run(&["publish", "site"]).await.exited(0);
    }
}
