//! Objects that arrive in parts (cases 1, 3, 21, 26 to 28).

use awning_front::{Fault, Moment, Reply, Script, When, cases};

use super::shown;
use crate::harness::{World, finish};

/// Two parts of 5 MiB, the smallest that there are.
const FILM_BYTES: usize = 2 * 5 * 1024 * 1024;

/// Calls that a calm publish makes for the film.
const CALM: [(&str, u64); 5] = [
    ("ListMultipartUploads", 1),
    ("CreateMultipartUpload", 1),
    ("UploadPart", 2),
    ("CompleteMultipartUpload", 1),
    // The date of the intent, and the film itself.
    ("HeadObject", 2),
];

fn film() -> String {
    "awning! ".repeat(FILM_BYTES / 8)
}

/// A publish of a film that meets these faults and gets over them, with so
/// many further calls of each operation.
async fn survives(case: u8, name: &str, script: Script, further: &[(&str, u64)]) {
    let world = World::new().await;
    world.write("site/index.html", "<video src=film.mp4></video>");
    world.write("site/film.mp4", &film());
    world.write("awning.toml", "[publish]\nmultipart_above = \"5MiB\"\npart_size = \"5MiB\"\n");
    world.proxy.script(script);
    let mut command = world.command(&["publish", "site"]);
    command.env("AWNING_STORE_ATTEMPTS", "3").env("AWNING_STORE_BACKOFF_MAX", "50ms");
    finish(command).await.exited(0);
    let counts = world.proxy.counts();
    for (operation, calm) in CALM {
        let more = further.iter().find(|(of, _)| *of == operation).map_or(0, |(_, more)| *more);
        let row = format!("case {case}, {name}: {operation} in\n{}", shown(&counts));
        assert_eq!(counts.of(operation), calm + more, "{row}");
    }
    assert!(world.served("film.mp4").await.unwrap() == film(), "{name}: the film is another");
}

fn complete() -> When {
    When::operation("CompleteMultipartUpload")
}

fn part() -> When {
    When::operation("UploadPart").nth(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_refused_or_lost_on_the_way_is_sent_again() {
    let once = [("UploadPart", 1)];
    for (case, name, fault, further) in [
        (0, "calm", Fault::Pass, &[][..]),
        (1, "pod busy", cases::pod_busy(), &once),
        (3, "slow down", cases::slow_down(Some("0")), &once),
        (21, "reset within the part", Fault::Reset(Moment::Body), &once),
        (21, "reset behind the part", Fault::Reset(Moment::Effect), &once),
    ] {
        survives(case, name, Script::new().on(part(), fault), further).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_under_a_status_of_success_is_no_completion() {
    let script = Script::new().on(complete().first(1), cases::error_in_success());
    survives(26, "error in 200", script, &[("CompleteMultipartUpload", 1)]).await;
}

/// The store did it, said otherwise, and then knows nothing of the upload.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_completed_and_denied_is_found_by_looking() {
    let busy = || Reply::error(503, "ServiceUnavailable", "no tomes available");
    for (name, fault) in [
        ("503 after it was done", Fault::ReplyAfter(busy())),
        ("reset after it was done", Fault::Reset(Moment::Effect)),
    ] {
        let script = Script::new().on(complete().first(1), fault).on(complete(), gone());
        survives(27, name, script, &[("CompleteMultipartUpload", 1)]).await;
    }
}

fn gone() -> Fault {
    cases::no_such_upload()
}

/// Nothing was completed: then nothing is found, and everything is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_vanished_is_begun_anew() {
    let script = Script::new().on(complete().first(1), gone());
    let further = [
        ("CreateMultipartUpload", 1),
        ("UploadPart", 2),
        ("CompleteMultipartUpload", 1),
        ("HeadObject", 1),
    ];
    survives(27, "vanished", script, &further).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_the_store_lost_is_sent_again() {
    let script = Script::new().ask(part(), cases::forgotten);
    let further = [("UploadPart", 1), ("CompleteMultipartUpload", 1)];
    survives(28, "lost", script, &further).await;

    // The parts are listed as there: nothing is sent again but the completion.
    let script = Script::new().on(complete().first(1), cases::invalid_part());
    survives(28, "lost and found", script, &[("CompleteMultipartUpload", 1)]).await;
}
