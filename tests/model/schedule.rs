//! One schedule: actors over one simulated bucket, and chance, decided by a
//! seed, over which of them goes on, how time passes, and what goes wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use awning::asset::Place;
use awning::store::{StoreError, StoreErrorKind};

use super::actor::{self, Ended, Life, MachineClock, Role};
use super::bucket::{Answer, Bucket, Call, Versions};
use super::catalog::{Catalog, layout};
use super::mutation::Mutation;
use super::port::Port;
use super::random::Random;
use super::timers::Timers;
use super::watch::Watch;

/// Calls after which a schedule that has not ended never will.
const CALLS_MAX: usize = 6_000;

const HOUR: u64 = 3600;

/// Longest time for which an actor is not heard of, in hours: longer than a
/// publish may take, and than the shortest grace.
const STALL_HOURS_MAX: u64 = 60;

/// The same where a publish has not stored its manifest yet, and so will see
/// how long it took: longer than two phases of a collector.
const EARLY_STALL_HOURS_MAX: u64 = 150;

/// What no protocol without conditional writes survives, so that it is taken
/// for a premise (`publish/claim.rs`): the longest sleep between the last look
/// at the time and the record, of a switch and of a publish.
const SWITCH_SLEEP_MAX: u64 = 11 * HOUR;
const PUBLISH_SLEEP_MAX: u64 = 47 * HOUR;

/// The same of a collector in a store without versions, between two deletions.
const SIGN_MAX: u64 = HOUR - 60;

/// How much goes wrong, in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) crash: u64,
    pub(super) fail: u64,
    pub(super) stall: u64,
    /// Longest lag of a listing, in seconds.
    pub(super) lag: u64,
    /// How often the actor that was last goes on.
    pub(super) burst: u64,
}

/// An invariant that did not hold.
#[derive(Debug)]
pub(super) struct Violation(pub(super) String);

/// What happened, over one schedule or many.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(pub(super) BTreeMap<&'static str, u64>);

/// The bucket, what is known of it, and who works on it.
pub(super) struct Schedule {
    catalog: Arc<Catalog>,
    timers: Arc<Timers>,
    pub(super) bucket: Bucket,
    pub(super) watch: Watch,
    random: Random,
    weather: Weather,
    mutation: Mutation,
    clock: Arc<AtomicU64>,
    actors: Vec<Actor>,
    /// Writes that are still on their way from callers who are gone.
    late: Vec<Call>,
    nonces: u64,
    calls: usize,
    pub(super) writes: usize,
    pub(super) tally: Tally,
    trace: Option<Vec<String>>,
}

struct Actor {
    role: Role,
    port: Port,
    life: Option<Life>,
    woken: Arc<Woken>,
    skew: i64,
    /// It does nothing before this time.
    until: u64,
    /// Times that it may begin again.
    lives: u32,
    /// Whether a call of this life was made to fail.
    faulted: bool,
    began: u64,
    /// When it last asked for the log, right after its last look at the time;
    /// of a collector, when it last said that it is deleting.
    looked: u64,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// The call fails, without an effect, with one, or with one that comes later.
    Fail(Effect),
    /// The caller is gone.
    Crash(Effect),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Effect {
    None,
    Now,
    Later,
}

impl Schedule {
    pub(super) fn new(
        catalog: &Arc<Catalog>,
        timers: &Arc<Timers>,
        bucket: Bucket,
        watch: Watch,
        random: Random,
        mutation: Mutation,
    ) -> Self {
        let clock = Arc::new(AtomicU64::new(bucket.now));
        Self {
            catalog: Arc::clone(catalog),
            timers: Arc::clone(timers),
            bucket,
            watch,
            random,
            weather: Weather::default(),
            mutation,
            clock,
            actors: Vec::new(),
            late: Vec::new(),
            nonces: 0,
            calls: 0,
            writes: 0,
            tally: Tally::default(),
            trace: None,
        }
    }

    /// Keeps what happens, for people.
    pub(super) fn traced(mut self) -> Self {
        self.trace = Some(Vec::new());
        self
    }

    pub(super) fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// An actor that begins in some hours, and again if it dies, `lives` times.
    pub(super) fn add(&mut self, role: Role, in_hours: u64, lives: u32, skew: i64) {
        let at = self.actors.len();
        self.note(|| format!("actor {at}: {role:?}"));
        self.actors.push(Actor {
            role,
            port: Port::default(),
            life: None,
            woken: Arc::default(),
            skew,
            until: self.bucket.now + in_hours * HOUR,
            lives,
            faulted: false,
            began: 0,
            looked: 0,
        });
    }

    /// Runs all actors to their ends in this weather.
    pub(super) fn run(&mut self, weather: Weather) -> Result<(), Violation> {
        self.weather = weather;
        let mut last = 0;
        while let Some(at) = self.choose(last)? {
            last = at;
            self.pass_time()?;
            if self.actors[at].life.is_none() {
                self.begin(at)?;
            } else {
                self.step(at)?;
            }
        }
        self.land_late(|_| true)
    }

    /// Runs one actor alone, in fair weather, and tells how it ended.
    pub(super) fn alone(&mut self, role: Role) -> Result<Ended, Violation> {
        self.weather = Weather::default();
        self.actors.clear();
        self.add(role, 0, 1, 0);
        self.begin(0)?;
        loop {
            let open = self.actors[0].port.open();
            let Some(name) = open.first() else {
                return Err(self.violation("an actor waits for nothing"));
            };
            let call = self.actors[0].port.call(*name);
            let answer = self.effect(0, &call)?;
            self.actors[0].port.answer(*name, answer);
            if let Some(ended) = self.poll(0) {
                self.note(|| format!("alone: {ended:?}"));
                if let Ended::Acknowledged { channel, activation } = &ended {
                    let held = self.watch.acknowledged(channel, activation, &self.bucket);
                    held.map_err(|why| self.violation(&why))?;
                }
                return Ok(ended);
            }
        }
    }

    /// Lets time pass, in which nobody does anything.
    pub(super) fn wait(&mut self, seconds: u64) {
        self.bucket.now += seconds;
        self.clock.store(self.bucket.now, Ordering::Relaxed);
    }

    pub(super) fn violation(&self, why: &str) -> Violation {
        Violation(why.to_owned())
    }

    /// An actor that may go on; the clock runs on to when one may.
    fn choose(&mut self, last: usize) -> Result<Option<usize>, Violation> {
        if self.calls > CALLS_MAX {
            return Err(self.violation("(5) the schedule does not end"));
        }
        let alive = |actor: &Actor| actor.life.is_some() || actor.lives > 0;
        let ready = |actor: &Actor, now: u64| alive(actor) && actor.until <= now;
        if !self.actors.iter().any(|actor| ready(actor, self.bucket.now)) {
            let next = self.actors.iter().filter(|actor| alive(actor)).map(|actor| actor.until);
            let Some(next) = next.min() else { return Ok(None) };
            self.land_late(|random| random.chance(500))?;
            self.wait(next - self.bucket.now);
        }
        if self.actors.get(last).is_some_and(|actor| ready(actor, self.bucket.now))
            && self.random.chance(self.weather.burst)
        {
            return Ok(Some(last));
        }
        let now = self.bucket.now;
        let ready: Vec<usize> =
            (0..self.actors.len()).filter(|at| ready(&self.actors[*at], now)).collect();
        Ok(Some(*self.random.one_of(&ready)))
    }

    /// Mostly moments, at times hours.
    fn pass_time(&mut self) -> Result<(), Violation> {
        let random = &mut self.random;
        let seconds = match random.below(1000) {
            0..800 => random.between(0, 1),
            800..960 => random.between(1, 60),
            960..992 => random.between(60, HOUR / 2),
            992..998 => random.between(HOUR, 8 * HOUR),
            _ => random.between(8 * HOUR, 30 * HOUR),
        };
        if seconds >= HOUR {
            self.land_late(|random| random.chance(500))?;
        }
        self.wait(seconds);
        if !self.late.is_empty() && self.random.chance(100) {
            let at = self.random.below(self.late.len());
            let call = self.late.swap_remove(at);
            self.note(|| format!("lands late: {call:?}"));
            _ = self.take_effect(&call, 0)?;
        }
        Ok(())
    }

    /// What is still on its way arrives, or never does.
    fn land_late(&mut self, arrives: impl Fn(&mut Random) -> bool) -> Result<(), Violation> {
        for call in std::mem::take(&mut self.late) {
            if arrives(&mut self.random) {
                self.note(|| format!("lands late: {call:?}"));
                _ = self.take_effect(&call, 0)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, at: usize) -> Result<(), Violation> {
        self.nonces += 1;
        // The last that begins is not always the greatest.
        let nonce = format!("{:04x}{}", self.random.below(1 << 16), self.nonces);
        let store = Arc::clone(&self.clock);
        let actor = &mut self.actors[at];
        actor.lives -= 1;
        actor.faulted = false;
        actor.began = self.bucket.now;
        actor.port = Port::default();
        let clock = MachineClock { store, skew: actor.skew };
        let life =
            actor::begin(&actor.role, &self.catalog, actor.port.clone(), clock, nonce.clone());
        actor.life = Some(life);
        self.note(|| format!("{at} begins as {nonce}"));
        self.go_on(at)
    }

    /// Gives one of an actor's calls its answer, or something worse.
    fn step(&mut self, at: usize) -> Result<(), Violation> {
        if self.random.chance(self.weather.stall) {
            let hours = self.random.between(1, self.stall_hours_max(at));
            self.actors[at].until = self.bucket.now + hours * HOUR;
            self.note(|| format!("{at} is not heard of for {hours} h"));
            self.tally.add("stalls");
            return Ok(());
        }
        let open = self.actors[at].port.open();
        if open.is_empty() {
            return self.rest(at);
        }
        let name = *self.random.one_of(&open);
        let call = self.actors[at].port.call(name);
        if self.slept_too_long(at, &call) {
            self.note(|| format!("{at} slept too long and dies"));
            self.tally.add("slept too long");
            self.actors[at].life = None;
            return Ok(());
        }
        match self.fault() {
            Fault::None => {
                let answer = self.effect(at, &call)?;
                self.actors[at].port.answer(name, answer);
                self.go_on(at)
            }
            Fault::Fail(effect) => {
                self.tally.add("failed calls");
                self.note(|| format!("{at} fails, effect {effect:?}:"));
                self.faulty_effect(at, &call, effect)?;
                self.actors[at].faulted = true;
                let kind = StoreErrorKind::Unavailable;
                let error = StoreError::new(call.operation(), call.key(), kind, "injected");
                self.actors[at].port.answer(name, Err(error));
                self.go_on(at)
            }
            Fault::Crash(effect) => {
                self.tally.add("crashes");
                self.note(|| format!("{at} dies, effect {effect:?}:"));
                self.actors[at].life = None;
                self.faulty_effect(at, &call, effect)?;
                self.actors[at].until = self.bucket.now + self.random.between(0, 2 * HOUR);
                Ok(())
            }
        }
    }

    fn slept_too_long(&self, at: usize, call: &Call) -> bool {
        let Actor { role, looked, .. } = &self.actors[at];
        let most = match role {
            Role::Publish { .. } => PUBLISH_SLEEP_MAX,
            Role::Switch { .. } => SWITCH_SLEEP_MAX,
            Role::Collect { .. } if self.bucket.versions != Versions::Kept => {
                return matches!(call, Call::Delete(..)) && self.bucket.now - looked > SIGN_MAX;
            }
            Role::Collect { .. } => return false,
        };
        let is_record =
            matches!((call, layout().place(call.key())), (Call::Put(..), Place::Record(..)));
        is_record && self.bucket.now - looked > most
    }

    fn stall_hours_max(&self, at: usize) -> u64 {
        let Actor { role, port, .. } = &self.actors[at];
        let open = port.open().first().map(|name| port.call(*name));
        let is_early = open.is_some_and(|call| {
            let place = layout().place(call.key());
            matches!(call, Call::Put(..)) && matches!(place, Place::Object | Place::Manifest(_))
        });
        match role {
            Role::Publish { .. } if is_early => EARLY_STALL_HOURS_MAX,
            _ => STALL_HOURS_MAX,
        }
    }

    /// An actor without a call waits before it makes one again: for a time
    /// that is short beside what the model is about.
    fn rest(&mut self, at: usize) -> Result<(), Violation> {
        self.tally.add("waits");
        self.timers.pass();
        self.go_on(at)?;
        let actor = &self.actors[at];
        if actor.life.is_some() && actor.port.open().is_empty() {
            return Err(self.violation(&format!("actor {at} waits for nothing")));
        }
        Ok(())
    }

    fn fault(&mut self) -> Fault {
        let effects = [Effect::None, Effect::Now, Effect::Now, Effect::Later];
        let effect = *self.random.one_of(&effects);
        if self.random.chance(self.weather.crash) {
            Fault::Crash(effect)
        } else if self.random.chance(self.weather.fail) {
            Fault::Fail(effect)
        } else {
            Fault::None
        }
    }

    fn faulty_effect(&mut self, at: usize, call: &Call, effect: Effect) -> Result<(), Violation> {
        match (effect, call) {
            (Effect::Now, _) => self.effect(at, call).map(drop),
            (Effect::Later, Call::Put(..)) => {
                self.late.push(call.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Carries out a call of an actor, as the mutation has it.
    fn effect(&mut self, at: usize, call: &Call) -> Result<Result<Answer, StoreError>, Violation> {
        let actor = &self.actors[at];
        let (role, began) = (actor.role.clone(), actor.began);
        let call = self.mutation.call(call);
        let lag = match self.weather.lag {
            0 => 0,
            most => self.random.between(0, most),
        };
        let mut answer = self.take_effect(&call, lag)?;
        self.mutation.answer(&role, began, &call, &mut answer);
        self.note(|| format!("{at} {}", told(&call, &answer)));
        Ok(answer)
    }

    fn take_effect(
        &mut self,
        call: &Call,
        lag: u64,
    ) -> Result<Result<Answer, StoreError>, Violation> {
        self.calls += 1;
        self.writes += usize::from(matches!(call, Call::Put(..)));
        let answer = self.bucket.apply(call, lag);
        if let Err(why) = self.watch.after(call, &self.bucket) {
            self.note(|| format!("by {}", told(call, &answer)));
            return Err(self.violation(&why));
        }
        Ok(answer)
    }

    /// Lets an actor run to its next call.
    fn go_on(&mut self, at: usize) -> Result<(), Violation> {
        if let Some(ended) = self.poll(at) {
            return self.end(at, ended);
        }
        let Actor { port, looked, .. } = &mut self.actors[at];
        let asked = port.open().last().map(|name| port.call(*name));
        if matches!(&asked, Some(Call::List(prefix, _)) if prefix.ends_with("/log/")) {
            *looked = self.bucket.now;
        }
        if let Some(Call::Put(key, ..)) = &asked
            && matches!(layout().place(key), Place::Sweeping(_))
        {
            *looked = self.bucket.now;
        }
        Ok(())
    }

    fn poll(&mut self, at: usize) -> Option<Ended> {
        let actor = &mut self.actors[at];
        let waker = Waker::from(Arc::clone(&actor.woken));
        let mut context = Context::from_waker(&waker);
        let life = actor.life.as_mut()?;
        let _entered = self.timers.enter();
        loop {
            actor.woken.0.store(false, Ordering::Relaxed);
            match life.as_mut().poll(&mut context) {
                Poll::Ready(ended) => {
                    actor.life = None;
                    return Some(ended);
                }
                Poll::Pending if actor.woken.0.load(Ordering::Relaxed) => {}
                Poll::Pending => return None,
            }
        }
    }

    fn end(&mut self, at: usize, ended: Ended) -> Result<(), Violation> {
        self.note(|| format!("{at} ends: {ended:?}"));
        let again = match &ended {
            Ended::Acknowledged { channel, activation } => {
                self.tally.add("acknowledged");
                let held = self.watch.acknowledged(channel, activation, &self.bucket);
                held.map_err(|why| self.violation(&why))?;
                false
            }
            Ended::Collected { deleted, condemned } => {
                self.tally.add("collections");
                self.tally.add_many("deleted", *deleted as u64);
                self.tally.add_many("condemned", *condemned as u64);
                true
            }
            Ended::Refused(why) => {
                self.tally.add(why);
                self.random.chance(400)
            }
            Ended::Failed(_) if self.actors[at].faulted => self.random.chance(700),
            Ended::Failed(why) => {
                return Err(self.violation(&format!("actor {at} failed for nothing: {why}")));
            }
            Ended::Wrong(why) => return Err(self.violation(&format!("actor {at}: {why}"))),
        };
        let actor = &mut self.actors[at];
        if again {
            let hours = if matches!(actor.role, Role::Collect { .. }) { 40 } else { 1 };
            actor.until = self.bucket.now + self.random.between(0, hours * HOUR);
        } else {
            actor.lives = 0;
        }
        Ok(())
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.trace.is_some() {
            let line = format!("{:>9} {}", self.bucket.now % 100_000_000, line());
            self.trace.get_or_insert_default().push(line);
        }
    }
}

impl Tally {
    pub(super) fn add(&mut self, what: &'static str) {
        self.add_many(what, 1);
    }

    fn add_many(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| self.add_many(what, *count));
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> =
            self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        f.write_str(&told.join(", "))
    }
}

/// A call and its answer, on a line.
fn told(call: &Call, answer: &Result<Answer, StoreError>) -> String {
    let asked = match call {
        Call::Get(key) => format!("GET {key}"),
        Call::Head(key) => format!("HEAD {key}"),
        Call::Put(key, body, _) => format!("PUT {key} {} B", body.len()),
        Call::List(prefix, _) => format!("LIST {prefix}"),
        Call::Versions(prefix, _) => format!("LIST VERSIONS {prefix}"),
        Call::Delete(key, version) => format!("DELETE {key} {version:?}"),
    };
    let answered = match answer {
        Err(error) => format!("{:?}", error.kind()),
        Ok(Answer::Object(head, _)) => format!("{} B, version {:?}", head.size, head.version),
        Ok(Answer::Receipt(receipt)) => format!("version {:?}", receipt.version),
        Ok(Answer::Page(page)) => {
            let keys = page.objects.iter().map(|it| it.key.rsplit('/').next().unwrap_or_default());
            keys.collect::<Vec<_>>().join(" ")
        }
        Ok(Answer::Versions(page)) => format!("{} versions", page.versions.len()),
        Ok(Answer::Done) => "done".to_owned(),
    };
    format!("{asked} -> {answered}")
}
