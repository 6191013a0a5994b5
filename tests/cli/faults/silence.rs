//! Stores that say nothing, or one byte a second (case 22). The waits are set
//! to a second, so silence is given up in one.

use std::time::Duration;

use awning_front::{Change, Fault, Moment, When};
use futures_util::future::join_all;

use super::{ATTEMPTS, BEFORE, Row, objects, upload};

const PATIENCE: &[(&str, &str)] = &[("AWNING_STORE_TIMEOUT", "2s")];

fn read(key: &str) -> When {
    When::operation("GetObject").key(key)
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_given_up_and_asked_again() {
    let second = Duration::from_secs(1);
    let (manifest, head) = (".awning/releases/**", "**/head.json");
    let rows = [
        ("no answer", upload(), Fault::Hold(Moment::Head)),
        ("no answer after the body", upload(), Fault::Hold(Moment::Effect)),
        ("silence while the body is sent", upload(), Fault::Hold(Moment::Body)),
        ("a byte a second", read(head).first(1), Fault::Change(Change::Drip(second))),
        ("a body of a byte a second", read(head).first(1), Fault::Change(Change::DripBody(second))),
        ("silence within a body", read(manifest).first(1), Fault::Change(Change::HoldAfter(100))),
    ];
    let rows = rows.map(|(name, when, fault)| Row::survives(22, name, when, fault, 1));
    join_all(rows.map(|row| row.run_with(PATIENCE))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_silent_is_given_up_and_nothing_changes() {
    let held = || Fault::Hold(Moment::Head);
    let stalls = Fault::Change(Change::HoldAfter(10));
    let rows = [
        Row::fails(22, "no answer to a read", When::any(), held(), ATTEMPTS),
        Row::fails(22, "bodies that stand still", read("**/head.json"), stalls, ATTEMPTS),
    ];
    join_all(rows.map(|row| row.run_with(PATIENCE))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stays_unanswered_is_given_up_in_the_fourth_round() {
    let row = Row::fails(22, "no answer", objects(), Fault::Hold(Moment::Head), BEFORE + 4);
    row.run_with(&[("AWNING_STORE_TIMEOUT", "2s"), ("AWNING_STORE_ATTEMPTS", "1")]).await;
}
