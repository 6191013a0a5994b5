//! Every way in which a store is known to fail, and what a publish makes of
//! it: exit code, words, number of calls, and what visitors see.
//!
//! Each row has a bucket of its own with a red release in it. A publish of
//! blue meets the fault, and where it fails, a second one without it finishes.

mod answers;
mod connections;
mod listings;
mod multipart;
mod never;
mod peers;
mod refusals;
mod silence;
mod storm;
mod unreachable;

use awning_front::{Counts, Fault, Script, When};
use futures_util::future::join_all;

use crate::harness::{World, finish};

/// Calls of a publish of blue before its object: head, manifest and head again, then the
/// intent, its date, and the list of what is condemned.
const BEFORE: u64 = 3 + 3;

/// Calls of a publish of blue that meets no fault: its object, and ten to make
/// it the release.
const CALM: u64 = BEFORE + 1 + 10;

/// Attempts of one call.
const ATTEMPTS: u64 = 3;

/// What one fault leads to.
struct Row {
    /// The number in the catalogue.
    case: u8,
    name: &'static str,
    script: Script,
    exit: i32,
    /// What is said on standard error.
    says: &'static str,
    /// All calls that the publish makes.
    calls: u64,
}

/// What a row came to.
struct Outcome {
    world: World,
    counts: Counts,
}

impl Row {
    /// A publish that gets over the fault with so many further calls.
    fn survives(case: u8, name: &'static str, when: When, fault: Fault, further: u64) -> Self {
        let script = Script::new().on(when, fault);
        Self { case, name, script, exit: 0, says: "", calls: CALM + further }
    }

    /// A publish that fails after so many calls.
    fn fails(case: u8, name: &'static str, when: When, fault: Fault, calls: u64) -> Self {
        let script = Script::new().on(when, fault);
        Self { case, name, script, exit: 4, says: "", calls }
    }

    fn exits(self, exit: i32) -> Self {
        Self { exit, ..self }
    }

    fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    /// Publishes, and asserts what the row says.
    async fn run(self) -> Outcome {
        self.run_with(&[]).await
    }

    async fn run_with(self, variables: &[(&str, &str)]) -> Outcome {
        let Self { case, name, script, exit, says, calls } = self;
        let row = format!("case {case}, {name}");
        let world = red().await;
        site(&world, "blue");
        world.proxy.script(script);
        let mut command = world.command(&["publish", "site"]);
        command.env("AWNING_STORE_ATTEMPTS", ATTEMPTS.to_string());
        command.env("AWNING_STORE_BACKOFF_MAX", "50ms").envs(variables.iter().copied());
        let finished = finish(command).await;
        let counts = world.proxy.counts();
        let told = format!("{row}\n{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.code, Some(exit), "{told}");
        assert!(finished.stderr.contains(says), "`{says}` in {told}");
        assert!(counts.faults > 0, "{row}: nothing failed");
        assert_eq!(counts.total(), calls, "{told}\n{}", shown(&counts));

        let css = world.served("app.css").await.unwrap();
        assert!(css.contains(if exit == 0 { "blue" } else { "red" }), "{row}: {css}");
        if exit != 0 {
            world.proxy.script(Script::new());
            world.run(&["publish", "site"]).await.exited(0);
            assert!(world.served("app.css").await.unwrap().contains("blue"), "{row}");
        }
        Outcome { world, counts }
    }
}

/// Runs rows beside each other.
async fn run_all(rows: impl IntoIterator<Item = Row>) -> Vec<Outcome> {
    join_all(rows.into_iter().map(Row::run)).await
}

/// A bucket with a red release.
async fn red() -> World {
    let world = World::new().await;
    site(&world, "red");
    world.run(&["publish", "site"]).await.exited(0);
    world
}

/// Three files, of which one changes with the color: calls follow one another,
/// so that they can be told by their number.
fn site(world: &World, color: &str) {
    world.write("site/index.html", "<p>etalage<img src=/a.svg>");
    world.write("site/app.css", &format!("body {{ color: {color} }}"));
    world.write("site/a.svg", "<svg/>");
}

/// The calls of a publish, a line each.
fn shown(counts: &Counts) -> String {
    let line = |call: &awning_front::Call| format!("{} {}", call.operation, call.path);
    counts.seen().iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The first upload of an object.
fn upload() -> When {
    objects().first(1)
}

/// Uploads of objects.
fn objects() -> When {
    When::operation("PutObject").key("a/**")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fault_a_publish_makes_few_calls() {
    let world = red().await;
    site(&world, "blue");
    world.proxy.script(Script::new());
    world.run(&["publish", "site"]).await.exited(0);
    let counts = world.proxy.counts();
    let calls = ["PutObject", "GetObject", "ListObjectsV2"].map(|name| counts.of(name));
    assert_eq!((calls, counts.total()), ([5, 7, 4], CALM), "{}", shown(&counts));
}
