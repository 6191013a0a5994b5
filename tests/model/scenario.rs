//! What a seed stands for: a bucket with a history, who works on it, in what
//! weather; and what is checked when all of them have ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use awning::manifest::Channel;
use awning::publish::prune::{GRACE_MIN, Policy};

use super::actor::{Ended, Phase, Role, To};
use super::bucket::{Bucket, Versions};
use super::catalog::Catalog;
use super::mutation::Mutation;
use super::random::Random;
use super::schedule::{Schedule, Tally, Violation, Weather};
use super::timers::Timers;
use super::watch::Watch;

/// When every history begins.
const BEGIN: u64 = 1_795_564_800;

const HOUR: u64 = 3600;

/// Different histories.
const PRELUDES: u64 = 96;

/// In one schedule of so many, everything is collected at the end.
const DRAINED: u64 = 4;

/// Buckets with a history, each made once.
pub(super) struct Preludes {
    catalog: Arc<Catalog>,
    timers: Arc<Timers>,
    made: HashMap<u64, (Bucket, Watch)>,
}

impl Preludes {
    pub(super) fn new(catalog: &Arc<Catalog>) -> Self {
        let timers = Arc::new(Timers::new());
        Self { catalog: Arc::clone(catalog), timers, made: HashMap::new() }
    }

    fn get(&mut self, number: u64) -> (Bucket, Watch) {
        let (catalog, timers) = (&self.catalog, &self.timers);
        self.made.entry(number).or_insert_with(|| prelude(catalog, timers, number)).clone()
    }
}

/// Runs the schedule of a seed.
pub(super) fn schedule(
    preludes: &mut Preludes,
    seed: u64,
    mutation: Mutation,
) -> Result<Tally, Violation> {
    let mut schedule = prepared(preludes, seed, mutation);
    play(&mut schedule, seed, mutation)?;
    Ok(schedule.tally)
}

/// Runs the schedule of a seed, and shows it if it breaks an invariant.
pub(super) fn replay(catalog: &Arc<Catalog>, seed: u64, mutation: Mutation) {
    let mut schedule = prepared(&mut Preludes::new(catalog), seed, mutation).traced();
    if let Err(Violation(why)) = play(&mut schedule, seed, mutation) {
        let trace = schedule.trace().join("\n");
        panic!(
            "{trace}\n{why}\nAWNING_MODEL_SEED={seed} cargo test --test model \
             the_invariants_hold_in_every_schedule -- --nocapture"
        );
    }
}

/// All that happens in the schedule of a seed.
pub(super) fn trace(catalog: &Arc<Catalog>, seed: u64) -> Vec<String> {
    let mut schedule = prepared(&mut Preludes::new(catalog), seed, Mutation::None).traced();
    _ = play(&mut schedule, seed, Mutation::None);
    schedule.trace().to_vec()
}

fn prepared(preludes: &mut Preludes, seed: u64, mutation: Mutation) -> Schedule {
    let (bucket, watch) = preludes.get(seed % PRELUDES);
    let random = Random::of(seed);
    Schedule::new(&preludes.catalog, &preludes.timers, bucket, watch, random, mutation)
}

/// Publishes, switches and collects for some days, one after another.
fn prelude(catalog: &Arc<Catalog>, timers: &Arc<Timers>, number: u64) -> (Bucket, Watch) {
    let mut random = Random::of(number ^ 0x0070_7265_6c75_6465);
    let versions = match number % 8 {
        0 => Versions::Unknown,
        1 => Versions::Null,
        _ => Versions::Kept,
    };
    let policy = Policy {
        keep: 1 + random.below(2),
        keep_for: Duration::from_secs(random.between(0, 2) * 30 * HOUR),
        grace: GRACE_MIN + Duration::from_secs(random.between(0, 1) * 6 * HOUR),
        delete_percent_max: 100,
        concurrency: 1 + random.below(2),
        ..Policy::default()
    };
    let watch = Watch::new(Arc::clone(catalog), policy.clone());
    let bucket = Bucket::new(versions, BEGIN);
    let seed = Random::of(random.next());
    let mut schedule = Schedule::new(catalog, timers, bucket, watch, seed, Mutation::None);
    let steps = random.below(9);
    for _ in 0..steps {
        let role = match random.below(10) {
            0..6 => publisher(&mut random, 0),
            6 => switcher(&mut random),
            _ => Role::Collect { policy: policy.clone(), phase: Phase::Both },
        };
        let ended = schedule.alone(role);
        assert!(!matches!(ended, Err(_) | Ok(Ended::Wrong(_) | Ended::Failed(_))), "{ended:?}");
        schedule.wait(random.between(1, 30 * HOUR));
    }
    (schedule.bucket, schedule.watch)
}

fn production() -> Channel {
    Channel::default()
}

fn preview() -> Channel {
    Channel::parse("preview").unwrap()
}

fn publisher(random: &mut Random, previews: u64) -> Role {
    let tree = random.below(12);
    if random.chance(previews) {
        let channel = preview();
        let expires_hours = Some(random.between(1, 60));
        return Role::Publish { tree, channel, order: 0, expires_hours };
    }
    Role::Publish { tree, channel: production(), order: 0, expires_hours: None }
}

fn switcher(random: &mut Random) -> Role {
    let to = match random.below(4) {
        0 | 1 => To::Before,
        2 => To::Tree(random.below(12), random.chance(500)),
        _ => To::Unlocked,
    };
    Role::Switch { to, channel: production() }
}

/// The actors of a seed, their schedule, and what is checked afterwards.
fn play(schedule: &mut Schedule, seed: u64, mutation: Mutation) -> Result<(), Violation> {
    let mut random = Random::of(seed ^ 0x0061_6374_6f72_7321);
    let policy = schedule.watch.policy.clone();
    let publishers = random.between(2, 5);
    let mut rerun = Vec::new();
    for _ in 0..publishers {
        let role = publisher(&mut random, 150);
        rerun.push(role.clone());
        let (hours, skew) = (random.between(0, 30), skew(&mut random));
        schedule.add(role, hours, 3, skew);
    }
    for _ in 0..random.between(1, 2) {
        let (hours, skew) = (random.between(0, 30), skew(&mut random));
        schedule.add(switcher(&mut random), hours, 2, skew);
    }
    // Premises of `publish/claim.rs` for stores without versions.
    let by_version = schedule.bucket.versions == Versions::Kept;
    for _ in 0..if by_version { 2 } else { 1 } {
        let phase = *random.one_of(&[Phase::Both, Phase::Both, Phase::Mark, Phase::Sweep]);
        let (hours, skew) = (random.between(0, 30), skew(&mut random));
        schedule.add(Role::Collect { policy: policy.clone(), phase }, hours, 3, skew);
    }
    let weather = Weather {
        crash: *random.one_of(&[0, 4, 15]),
        fail: *random.one_of(&[0, 4, 30]),
        stall: *random.one_of(&[0, 8, 20]),
        lag: if by_version { *random.one_of(&[0, 0, 0, 60, 1800]) } else { 0 },
        burst: *random.one_of(&[0, 500, 900]),
    };
    schedule.run(weather)?;
    if mutation == Mutation::None {
        schedule.wait(3 * HOUR);
        converges(schedule, &rerun)?;
        if seed.is_multiple_of(DRAINED) {
            drains(schedule, policy)?;
        }
    }
    Ok(())
}

/// Machines whose clocks are a day wrong decide nothing.
fn skew(random: &mut Random) -> i64 {
    *random.one_of(&[0, 0, 86_400, -86_400])
}

/// (5): once nothing fails, every publish succeeds when it is run again, and
/// run once more it has nothing to do.
fn converges(schedule: &mut Schedule, publishers: &[Role]) -> Result<(), Violation> {
    // A publish of what is shown looks no further; a switch by hand also shows
    // a head that someone who died had left unshown.
    for channel in [production(), preview()] {
        if !schedule.watch.has_ended(&channel, &schedule.bucket) {
            unlock(schedule, &channel)?;
        }
    }
    for role in publishers {
        let Role::Publish { channel, .. } = role else { continue };
        let settled = schedule.watch.shown(channel, &schedule.bucket).as_ref()
            == schedule.watch.head(channel);
        let mut ended = schedule.alone(role.clone())?;
        if matches!(ended, Ended::Refused("superseded")) && !settled {
            // It has shown the head that someone who died had left unshown.
            ended = schedule.alone(role.clone())?;
        }
        let Ended::Acknowledged { activation, .. } = ended else {
            return Err(schedule.violation(&format!("(5) run again: {ended:?}")));
        };
        let shown = schedule.watch.shown(channel, &schedule.bucket);
        if shown.as_ref() != schedule.watch.head(channel) || shown.as_ref() != Some(&activation) {
            return Err(schedule.violation(&format!("(5) {shown:?} is shown, not {activation:?}")));
        }
        let writes = schedule.writes;
        match schedule.alone(role.clone())? {
            Ended::Acknowledged { activation: again, .. }
                if again == activation && writes == schedule.writes => {}
            // Publishing a preview again moves its end, if that is not where it was.
            Ended::Acknowledged { activation: again, .. }
                if again.release == activation.release && again.expires.is_some() => {}
            other => return Err(schedule.violation(&format!("(5) run once more: {other:?}"))),
        }
    }
    schedule.watch.check_all(&schedule.bucket).map_err(|why| schedule.violation(&why))
}

fn unlock(schedule: &mut Schedule, channel: &Channel) -> Result<(), Violation> {
    for _ in 0..2 {
        match schedule.alone(Role::Switch { to: To::Unlocked, channel: channel.clone() })? {
            Ended::Acknowledged { .. } | Ended::Refused("nothing to switch to") => return Ok(()),
            Ended::Refused(_) => {}
            other => return Err(schedule.violation(&format!("(5) unlocking: {other:?}"))),
        }
    }
    Ok(())
}

/// What nothing needs goes in the end, and nothing else.
fn drains(schedule: &mut Schedule, policy: Policy) -> Result<(), Violation> {
    let weeks = 14 * 24 * HOUR;
    for _ in 0..4 {
        schedule.wait(weeks);
        let role = Role::Collect { policy: policy.clone(), phase: Phase::Both };
        match schedule.alone(role)? {
            Ended::Collected { .. } => {}
            other => return Err(schedule.violation(&format!("the last collection: {other:?}"))),
        }
    }
    let bucket = &schedule.bucket;
    let needed = schedule.watch.needed(bucket);
    let objects = bucket.counted().filter(|(key, _)| key.starts_with("a/"));
    let wrong: Vec<(&str, usize)> =
        objects.filter(|(key, versions)| !needed.contains(key) || *versions != 1).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(schedule.violation(&format!("not collected: {wrong:?}")))
}
