//! The protocol of publishing and collecting under a deterministic scheduler.
//!
//! Publishers, rollbacks and collectors are the real code, as futures on a
//! simulated bucket. Every call to the store is a place where a seed decides
//! who goes on, how much time passes, who dies and what fails; nothing runs in
//! parallel, and nothing reads a clock. `watch.rs` holds the invariants.
//!
//! A schedule that breaks one prints its seed and all its calls:
//!
//! ```text
//! AWNING_MODEL_SEED=17 cargo test --test model -- --nocapture
//! ```
//!
//! `AWNING_MODEL_SCHEDULES` sets the number of schedules; `tests/e2e/model`
//! runs 100,000.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "how much was tried, for those who read it")]

mod actor;
mod bucket;
mod catalog;
mod mutation;
mod port;
mod random;
mod scenario;
mod schedule;
mod timers;
mod watch;

use std::sync::Arc;
use std::thread;

use tokio::time::Instant;

use catalog::Catalog;
use mutation::Mutation;
use scenario::{Preludes, replay, schedule, trace};
use schedule::{Tally, Violation};

/// Schedules of an ordinary test run: some seconds without optimisation.
const SCHEDULES: u64 = 600;

/// Schedules in which a guard that was taken out must be missed.
const MUTATED_SCHEDULES: u64 = 1_000;

fn number_of(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the test's own settings")]
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Runs the schedules of all seeds below `schedules`, on all cores. Returns
/// what happened, or the first seed that breaks an invariant.
fn run(catalog: &Arc<Catalog>, schedules: u64) -> Result<Tally, u64> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let share = |first: u64| {
        let mut preludes = Preludes::new(catalog);
        let mut tally = Tally::default();
        for seed in (first..schedules).step_by(cores as usize) {
            let done = schedule(&mut preludes, seed, Mutation::None).map_err(|_| seed)?;
            tally.add_all(&done);
        }
        Ok(tally)
    };
    let shares: Vec<Result<Tally, u64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|first| scope.spawn(move || share(first))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    if let Some(seed) = shares.iter().filter_map(|share| share.as_ref().err()).min() {
        return Err(*seed);
    }
    let mut tally = Tally::default();
    shares.iter().flatten().for_each(|share| tally.add_all(share));
    Ok(tally)
}

#[test]
fn the_invariants_hold_in_every_schedule() {
    let catalog = Arc::new(Catalog::new());
    if let Some(seed) = number_of("AWNING_MODEL_SEED") {
        return replay(&catalog, seed, Mutation::None);
    }
    let schedules = number_of("AWNING_MODEL_SCHEDULES").unwrap_or(SCHEDULES);
    let began = Instant::now();
    let tally = match run(&catalog, schedules) {
        Ok(tally) => tally,
        Err(seed) => {
            replay(&catalog, seed, Mutation::None);
            panic!("the schedule of seed {seed} goes otherwise when it is run again");
        }
    };
    let per_second = schedules as f64 / began.elapsed().as_secs_f64();
    println!("{schedules} schedules, {per_second:.0} a second: {tally}");
    // What never happens is not tested.
    for what in ["acknowledged", "crashes", "failed calls", "stalls", "deleted", "superseded"] {
        assert!(tally.of(what) > 0, "no {what}: {tally}");
    }
}

#[test]
fn a_seed_always_is_the_same_schedule() {
    let catalog = Arc::new(Catalog::new());
    for seed in 0..24 {
        let once = trace(&catalog, seed);
        assert!(once.len() > 20, "seed {seed}");
        assert_eq!(once, trace(&catalog, seed), "seed {seed}");
    }
}

/// The first seed from `first` on that breaks an invariant, and how.
fn found_in(catalog: &Arc<Catalog>, mutation: Mutation, first: u64) -> Option<(u64, String)> {
    let mut preludes = Preludes::new(catalog);
    (first..first + MUTATED_SCHEDULES).find_map(|seed| {
        let Violation(why) = schedule(&mut preludes, seed, mutation).err()?;
        // Other failures are no proof: the mutation itself may confuse a collector.
        why.starts_with('(').then_some((seed, why))
    })
}

#[test]
fn a_guard_that_is_taken_out_is_missed() {
    let catalog = Arc::new(Catalog::new());
    // Rare ones are looked for where a longer search has found them.
    for (mutation, first) in [
        (Mutation::NoCondemnedRule, 13_000),
        (Mutation::DeleteByKey, 0),
        (Mutation::NoDeadline, 0),
        (Mutation::OnePhase, 128_000),
    ] {
        let found = found_in(&catalog, mutation, first);
        println!("{mutation:?}: {found:?}");
        assert!(found.is_some(), "{mutation:?} was not missed");
    }
}
