//! Previews: when they end, what moves the end, and what is left behind it.

use std::time::SystemTime;

use awning::publish::prune::{self, Policy};
use awning::publish::{Switch, whole};

use super::prune::{HOUR, Yard, least, publish_at, shop};
use super::*;
use crate::harness::probe::{Fault, Probe};

#[tokio::test]
async fn a_preview_that_has_ended_is_collected_with_its_log_and_another_begins() {
    let yard = Yard::new();
    yard.publish("a").await;
    let name = Channel::parse("preview-42").unwrap();
    let preview =
        |ends: SystemTime| Options { channel: name.clone(), expires: Some(ends), ..options() };
    let (first, ends) = (yard.now(), yard.now() + HOUR * 24 * 7);
    let (dir, until) = (shop("preview"), preview(ends));
    let shown = publish_at(&dir, &*yard.store, &until, "p", first).await.unwrap();
    assert_eq!(shown.activation.ends(), Some(ends));
    // It needs nothing that was uploaded lately, so its objects are its own.
    for (hours, kept) in [(7 * 24, true), (23, true), (2, false)] {
        yard.pass(hours);
        let collected = yard.collect(&least()).await.unwrap();
        let is_kept = collected.kept.iter().any(|it| it.release == shown.activation.release);
        assert_eq!(is_kept, kept, "{hours}");
    }
    yard.pass(25);
    yard.collect(&least()).await.unwrap();
    assert!(!yard.has(&shown, "js/app.js").await);
    let left = yard.store.list("shop/.awning/channels/preview-42/", None).await.unwrap();
    assert_eq!(left.objects, []);
    assert!(whole_head(&yard.store).await.is_some(), "production is whole");

    let again = preview(yard.now() + HOUR * 24);
    let again = publish_at(&dir, &*yard.store, &again, "q", yard.now()).await.unwrap();
    assert_eq!(again.activation.seq, 1);
    assert!(yard.has(&again, "js/app.js").await);
}

#[tokio::test]
async fn publishing_again_moves_the_end_of_a_preview_or_makes_it_stay() {
    let yard = Yard::new();
    let dir = shop("preview");
    let until = |hours: u32| Options { expires: Some(yard.now() + HOUR * hours), ..options() };
    let first = yard.publish_dir(&dir, &until(24), "a").await.unwrap();
    let same = yard.publish_dir(&dir, &until(24), "b").await.unwrap();
    assert!(same.unchanged && !first.unchanged);
    for (options, nonce, ends) in [
        (until(48), "c", Some(yard.now() + HOUR * 48)),
        (until(12), "d", Some(yard.now() + HOUR * 12)),
        (options(), "e", None),
    ] {
        let moved = yard.publish_dir(&dir, &options, nonce).await.unwrap();
        assert!(!moved.unchanged);
        assert_eq!((moved.sent.0, moved.activation.ends()), (0, ends), "{nonce}");
    }
}

/// A preview that ended, with a record before the last that would have ended
/// later, and the list that condemns it.
async fn ended_early() -> Yard {
    let yard = Yard::new();
    yard.publish("a").await;
    let channel = Channel::parse("preview-42").unwrap();
    for (hours, nonce) in [(24 * 30, "p"), (1, "q")] {
        let expires = Some(yard.now() + HOUR * hours);
        let until = Options { channel: channel.clone(), expires, ..options() };
        yard.publish_dir(&shop(nonce), &until, nonce).await.unwrap();
    }
    yard.pass(60);
    assert_ne!(yard.mark(&least()).await.condemned, []);
    yard.pass(25);
    yard
}

/// Cut short in between, the log would end with the record before: with another
/// release, that has not ended.
#[tokio::test]
async fn the_records_of_a_preview_that_has_ended_go_one_by_one_the_oldest_first() {
    let policy = Policy { concurrency: 8, ..least() };
    let records = |probe: &Probe| -> Vec<String> {
        let deletions = probe.calls().into_iter();
        deletions.filter(|call| call.starts_with("DELETE") && call.contains("-42/log/")).collect()
    };
    let yard = ended_early().await;
    let probe = Probe::new(&yard.store, Fault::None);
    prune::sweep(&probe, &layout(), &policy, yard.now()).await.unwrap();
    let all = records(&probe);
    assert!(all.len() == 2 && all.is_sorted(), "{all:?}");
    let first = probe.calls().iter().position(|call| *call == all[0]).unwrap();

    let yard = ended_early().await;
    let probe = Probe::new(&yard.store, Fault::Wait(first));
    let layout = layout();
    let sweep = prune::sweep(&probe, &layout, &policy, yard.now());
    let look = async {
        probe.reached().await;
        assert_eq!(records(&probe), all[..1]);
        probe.let_go();
    };
    let (swept, ()) = tokio::join!(sweep, look);
    swept.unwrap();
    assert_eq!(records(&probe), all);
}

#[tokio::test]
async fn a_publish_to_a_preview_that_has_ended_builds_on_nothing() {
    let yard = Yard::new();
    let dir = shop("preview");
    let until = |hours: u32| Options { expires: Some(yard.now() + HOUR * hours), ..options() };
    yard.publish_dir(&dir, &until(24), "a").await.unwrap();
    yard.pass(24);
    let again = yard.publish_dir(&dir, &until(24), "b").await.unwrap();
    assert_eq!(again.sent.0, SHOP.len(), "its objects may be gone any moment");
}

#[tokio::test]
async fn a_switch_by_hand_keeps_the_end_of_a_preview_unless_it_has_passed() {
    for (hours, ends) in [(1, true), (30, false)] {
        let yard = Yard::new();
        let until = Options { expires: Some(yard.now() + HOUR * 24), ..options() };
        let first = yard.publish_dir(&shop("a"), &until, "a").await.unwrap().activation;
        yard.publish_dir(&shop("b"), &until, "b").await.unwrap();
        yard.pass(hours);
        let history = publish::history(&*yard.store, &layout(), &channel(), 9).await.unwrap();
        let whole =
            whole(&*yard.store, &layout(), &channel(), first.release, 1, yard.now()).await.unwrap();
        let to = Switch::promote(&whole);
        let (now, nonce) = (yard.now(), "p".to_owned());
        let switched =
            publish::switch(to, &history, &*yard.store, &layout(), now, nonce).await.unwrap();
        assert_eq!(switched.activation.expires, first.expires.filter(|_| ends), "{hours}");
    }
}
