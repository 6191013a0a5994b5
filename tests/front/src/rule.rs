//! Rules as text, for scripts that are given on a command line:
//! `PutObject key=a/** first=2 p=0.6: pod-busy`.

use crate::cases;
use crate::fault::Fault;
use crate::script::{Script, When};

/// A rule that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleError(String);

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RuleError {}

impl Script {
    /// Adds a rule that is written as conditions, a colon and the name of a
    /// fault out of [`cases::NAMED`]. A condition is a method in capitals, an
    /// operation, `key=GLOB`, `query=NAME`, `first=N`, `nth=N`, `from=N` or
    /// `p=PROBABILITY`.
    pub fn on_text(self, text: &str) -> Result<Self, RuleError> {
        let (when, fault) = read(text)?;
        Ok(self.on(when, fault))
    }
}

fn read(text: &str) -> Result<(When, Fault), RuleError> {
    let wrong = |why: String| RuleError(format!("`{text}`: {why}"));
    let (conditions, name) =
        text.rsplit_once(':').ok_or_else(|| wrong("a colon stands before the fault".to_owned()))?;
    let name = name.trim();
    let fault = cases::NAMED.iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let known: Vec<_> = cases::NAMED.iter().map(|(known, _)| *known).collect();
        wrong(format!("`{name}` is no fault; known are {}", known.join(", ")))
    })?;
    let mut words = conditions.split_whitespace().peekable();
    let mut when = match words.next_if(|word| !word.contains('=')) {
        None => When::any(),
        Some(word) if word.bytes().all(|b| b.is_ascii_uppercase()) => When::method(word),
        Some(word) => When::operation(word),
    };
    for word in words {
        when = narrowed(when, word).ok_or_else(|| wrong(format!("`{word}` is no condition")))?;
    }
    Ok((when, fault.1()))
}

fn narrowed(when: When, word: &str) -> Option<When> {
    let (name, value) = word.split_once('=')?;
    let number = || value.parse().ok();
    Some(match name {
        "key" => when.key(value),
        "query" => when.query(value),
        "first" => when.first(number()?),
        "nth" => when.nth(number()?),
        "from" => when.from(number()?),
        "p" => when.chance(value.parse().ok().filter(|p| (0.0..=1.0).contains(p))?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_or_its_mistake_named() {
        for text in [
            ": pod-busy",
            "PUT: reset",
            "PutObject key=a/** first=2 p=0.6: slow-down",
            "key=.awning/** nth=1: replay",
        ] {
            assert!(Script::new().on_text(text).is_ok(), "{text}");
        }
        for (text, why) in [
            ("PUT pod-busy", "a colon"),
            ("PUT: pod", "`pod` is no fault"),
            ("PUT p=2: reset", "`p=2` is no condition"),
            ("PUT GET: reset", "`GET` is no condition"),
        ] {
            let error = Script::new().on_text(text).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
