//! Which calls fail, and how: rules in order, the first that applies decides.

use std::collections::HashMap;
use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use crate::call::Call;
use crate::fault::Fault;
use crate::random::happens;

/// What becomes of the calls from now on.
#[derive(Default)]
pub struct Script {
    rules: Vec<Rule>,
    seed: u64,
    /// How often each method and path came, for chances that do not depend on
    /// the order in which calls race. Grows with the number of paths.
    asked: HashMap<(String, String), u64>,
}

/// Which calls a rule is for. Every condition that is set has to hold.
#[derive(Clone, Debug)]
pub struct When {
    method: Option<String>,
    operation: Option<String>,
    key: Option<GlobMatcher>,
    query: Option<String>,
    with_field: Option<String>,
    without_field: Option<String>,
    which: Which,
    chance: f64,
}

type Decide = Box<dyn FnMut(&Call) -> Fault + Send>;

struct Rule {
    when: When,
    decide: Decide,
    /// Calls that met every condition but the count and the chance.
    met: u64,
    fired: u64,
}

/// Which of the calls that meet the conditions.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    Every,
    First(u64),
    /// The first is 1.
    Only(u64),
    From(u64),
}

impl Script {
    /// Everything passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chances are drawn from this seed: the same for the same call, the same
    /// number of times it came before, and the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Asks a function about every call.
    pub fn by(decide: impl FnMut(&Call) -> Fault + Send + 'static) -> Self {
        Self::new().ask(When::any(), decide)
    }

    /// Adds a rule behind those that are there.
    pub fn on(self, when: When, fault: Fault) -> Self {
        self.ask(when, move |_| fault.clone())
    }

    /// Adds a rule that asks a function. Where it answers [`Fault::Pass`], the
    /// rules behind it are asked.
    pub fn ask(mut self, when: When, decide: impl FnMut(&Call) -> Fault + Send + 'static) -> Self {
        self.rules.push(Rule { when, decide: Box::new(decide), met: 0, fired: 0 });
        self
    }

    /// How often each rule decided a call.
    pub fn fired(&self) -> Vec<u64> {
        self.rules.iter().map(|rule| rule.fired).collect()
    }

    pub(crate) fn decide(&mut self, call: &Call) -> Fault {
        let asked = self.asked.entry((call.method.clone(), call.path.clone())).or_default();
        *asked += 1;
        let turn = [call.method.as_bytes(), call.path.as_bytes(), &asked.to_le_bytes()];
        let mut decided = Fault::Pass;
        for (number, rule) in self.rules.iter_mut().enumerate() {
            if !rule.when.applies(call) {
                continue;
            }
            // Counted also where an earlier rule has decided.
            rule.met += 1;
            let chance = rule.when.chance;
            // Two rules draw apart from each other.
            let seed = self.seed.wrapping_add(number as u64);
            let happens = || chance >= 1.0 || happens(chance, &turn, seed);
            if decided == Fault::Pass && rule.when.which.takes(rule.met) && happens() {
                decided = (rule.decide)(call);
                rule.fired += u64::from(decided != Fault::Pass);
            }
        }
        decided
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("fired", &self.fired()).finish_non_exhaustive()
    }
}

impl When {
    /// Every call.
    pub fn any() -> Self {
        Self {
            method: None,
            operation: None,
            key: None,
            query: None,
            with_field: None,
            without_field: None,
            which: Which::Every,
            chance: 1.0,
        }
    }

    /// Calls of this operation, by its S3 name.
    pub fn operation(name: &str) -> Self {
        Self { operation: Some(name.to_owned()), ..Self::any() }
    }

    /// Calls of this method.
    pub fn method(name: &str) -> Self {
        Self { method: Some(name.to_owned()), ..Self::any() }
    }

    /// Only keys that match: `*` stops at a slash, `**` does not. A pattern
    /// that cannot be read matches nothing.
    pub fn key(mut self, glob: &str) -> Self {
        let glob = GlobBuilder::new(glob).literal_separator(true).build();
        let nothing = || GlobBuilder::new("[^\0-\u{10ffff}]").build();
        self.key = glob.or_else(|_| nothing()).ok().map(|glob| glob.compile_matcher());
        self
    }

    /// Only with this parameter in the query.
    pub fn query(mut self, name: &str) -> Self {
        self.query = Some(name.to_owned());
        self
    }

    /// Only with a header field that begins so; in lower case.
    pub fn with_field(mut self, start: &str) -> Self {
        self.with_field = Some(start.to_owned());
        self
    }

    /// Only without this header field; in lower case.
    pub fn without_field(mut self, name: &str) -> Self {
        self.without_field = Some(name.to_owned());
        self
    }

    /// Only the first calls that meet the other conditions.
    pub fn first(mut self, count: u64) -> Self {
        self.which = Which::First(count);
        self
    }

    /// Only the call of this number; the first is 1.
    pub fn nth(mut self, number: u64) -> Self {
        self.which = Which::Only(number);
        self
    }

    /// Only from the call of this number on.
    pub fn from(mut self, number: u64) -> Self {
        self.which = Which::From(number);
        self
    }

    /// Only with this probability, from 0 to 1.
    pub fn chance(mut self, probability: f64) -> Self {
        self.chance = probability;
        self
    }

    fn applies(&self, call: &Call) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        let begins = |start: &String| call.fields.iter().any(|(name, _)| name.starts_with(start));
        is(&self.method, &call.method)
            && is(&self.operation, call.operation)
            && self.key.as_ref().is_none_or(|glob| glob.is_match(&call.key))
            && self.query.as_ref().is_none_or(|name| call.has_query(name))
            && self.with_field.as_ref().is_none_or(begins)
            && self.without_field.as_ref().is_none_or(|name| call.field(name).is_none())
    }
}

impl Which {
    fn takes(self, number: u64) -> bool {
        match self {
            Self::Every => true,
            Self::First(count) => number <= count,
            Self::Only(only) => number == only,
            Self::From(first) => number >= first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Moment;
    use crate::wire::Head;

    fn call(method: &str, target: &str) -> Call {
        Call::of(&Head::request(method, target), 1)
    }

    /// Which of the calls fail.
    fn failing(when: When, calls: &[(&str, &str)]) -> Vec<usize> {
        let mut script = Script::new().on(when, Fault::Reset(Moment::Head));
        let failing = calls
            .iter()
            .enumerate()
            .filter(|(_, (method, target))| script.decide(&call(method, target)) != Fault::Pass);
        failing.map(|(at, _)| at).collect()
    }

    #[test]
    fn a_rule_picks_out_its_calls() {
        let calls = [
            ("PUT", "/b/a/x.css"),
            ("PUT", "/b/a/y/z.css?partNumber=1&uploadId=u"),
            ("GET", "/b/a/x.css"),
            ("PUT", "/b/.awning/head.json"),
            ("PUT", "/b/a/w.css"),
        ];
        for (when, expected) in [
            (When::any(), &[0, 1, 2, 3, 4][..]),
            (When::method("GET"), &[2]),
            (When::operation("PutObject"), &[0, 3, 4]),
            (When::method("PUT").key("a/*"), &[0, 4]),
            (When::method("PUT").key("a/**"), &[0, 1, 4]),
            (When::any().key("[unclosed"), &[]),
            (When::any().query("uploadId"), &[1]),
            (When::method("PUT").first(2), &[0, 1]),
            (When::method("PUT").nth(2), &[1]),
            (When::method("PUT").from(3), &[3, 4]),
            (When::any().with_field("if-"), &[]),
            (When::method("GET").without_field("content-md5"), &[2]),
        ] {
            assert_eq!(failing(when.clone(), &calls), expected, "{when:?}");
        }
    }

    #[test]
    fn chance_does_not_depend_on_the_order_of_arrival() {
        let drawn = |paths: &mut dyn Iterator<Item = u32>| {
            let when = When::any().chance(0.5);
            let mut script = Script::seeded(7).on(when, Fault::Reset(Moment::Head));
            let mut drawn: Vec<_> = paths
                .map(|n| (n, script.decide(&call("PUT", &format!("/b/{n}"))) == Fault::Pass))
                .collect();
            drawn.sort_unstable();
            drawn
        };
        assert_eq!(drawn(&mut (0..100)), drawn(&mut (0..100).rev()));
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let mut script = Script::new()
            .on(When::any().first(1), Fault::Reset(Moment::Head))
            .on(When::any().first(2), Fault::Replay);
        let decided = [(); 3].map(|()| script.decide(&call("GET", "/b/k")));
        assert_eq!(decided, [Fault::Reset(Moment::Head), Fault::Replay, Fault::Pass]);
        assert_eq!(script.fired(), [1, 1]);
    }
}
