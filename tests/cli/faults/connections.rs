//! Connections that break off (cases 21, 23, 29).

use awning_front::{Change, Fault, Moment, Script, When, cases};

use super::{CALM, Outcome, Row, run_all, upload};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_off_is_no_failure() {
    let manifest = || When::operation("GetObject").key(".awning/releases/**").first(1);
    let change = Fault::Change;
    let rows = [
        (21, "reset before the answer", upload(), Fault::Reset(Moment::Head)),
        (21, "reset while the object is sent", upload(), Fault::Reset(Moment::Body)),
        (21, "reset when the object is stored", upload(), Fault::Reset(Moment::Effect)),
        (21, "reset before a read", manifest(), Fault::Reset(Moment::Head)),
        (29, "end before the answer", upload(), Fault::Close(Moment::Head)),
        (29, "end while the object is sent", upload(), Fault::Close(Moment::Body)),
        (29, "end when the object is stored", upload(), Fault::Close(Moment::Effect)),
        (23, "a body that ends early", manifest(), change(Change::CutAfter(100))),
        (23, "a body without its first byte", manifest(), change(Change::CutAfter(0))),
        (23, "a body that is reset", manifest(), change(Change::ResetAfter(100))),
    ];
    let rows = rows.map(|(case, name, when, fault)| Row::survives(case, name, when, fault, 1));
    run_all(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_rest_of_a_body_is_asked_for_again() {
    let when = When::operation("GetObject").key(".awning/releases/**").first(1);
    let cut = Fault::Change(Change::CutAfter(100));
    let outcome = Row::survives(23, "a body that ends early", when, cut, 1).run().await;
    let ranges: Vec<_> =
        outcome.counts.seen().iter().filter_map(|call| call.field("range")).collect();
    assert_eq!(ranges.len(), 1);
    assert!(ranges[0].starts_with("bytes=100-"), "{ranges:?}");
}

/// What is stored twice is the same bytes under the same key: the release
/// stays what it is, and costs a version.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_before_the_answer_was_lost_is_stored_again() {
    let lost = || cases::NAMED.iter().find(|(name, _)| *name == "lost-reply").unwrap().1();
    for key in ["a/**", ".awning/releases/**", "**/log/**", "**/head.json"] {
        for fault in [Fault::Reset(Moment::Effect), lost()] {
            let when = When::operation("PutObject").key(key).first(1);
            let row = Row::survives(21, "stored and not told", when, fault, 1);
            let Outcome { world, counts, .. } = row.run().await;
            // Red came first, with three objects, intent, manifest, record and head.
            assert_eq!(counts.of("PutObject"), 6, "{key}");
            assert_eq!(world.bucket.calls().of("PutObject"), 7 + 6, "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_behind_every_answer_cost_nothing_but_connections() {
    let closing = Fault::Change(Change::CloseBehind);
    let row = Row::survives(29, "idle close", When::any(), closing, 0);
    let Outcome { counts, .. } = row.run().await;
    assert_eq!(counts.connections, CALM);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_the_way_is_never_taken_for_the_truth() {
    for key in ["**/head.json", ".awning/releases/**", "**/log/**"] {
        let world = super::red().await;
        super::site(&world, "blue");
        let when = When::operation("GetObject").key(key).first(1);
        world.proxy.script(Script::new().on(when, Fault::Change(Change::Flip(40))));
        let finished = world.run(&["publish", "site"]).await;
        let css = world.served("app.css").await.unwrap();
        let seen = if finished.code == Some(0) { "blue" } else { "red" };
        assert!(css.contains(seen), "{key}: {finished:?}");
        world.proxy.script(Script::new());
        world.run(&["publish", "site"]).await.exited(0);
        assert!(world.served("app.css").await.unwrap().contains("blue"), "{key}");
    }
}
