//! Which files keep the name that a build tool gave them.
//!
//! Only those whose bytes are published as they are: every reference in them has
//! to lead to its asset as it is written. That depends on whether those assets
//! keep their names, so it is settled for all together. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::Hold;
use super::problem::{Kind, Problem};
use crate::asset::AssetPath;

/// Settles which of the files that a build named by content keep their names.
/// `holds` has what ties each document to others; files without references
/// are not in it. What cannot keep its name is reported.
pub(super) fn keep(
    hashed: &BTreeSet<AssetPath>,
    holds: &BTreeMap<&AssetPath, &Hold>,
) -> (BTreeSet<AssetPath>, Vec<Problem>) {
    let mut kept = hashed.clone();
    let mut needed_by: BTreeMap<&AssetPath, Vec<&AssetPath>> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut lost: Vec<&AssetPath> = Vec::new();
    let mut lose = |path: &AssetPath, why: String, kept: &mut BTreeSet<AssetPath>| {
        kept.remove(path).then(|| {
            let message = format!(
                "its name is by its content already, but {why}: it is rewritten, and gets a \
                 fingerprint of its own"
            );
            problems.push(Problem::warning(path, message).of(Kind::Rehashed));
        })
    };
    for (path, hold) in holds.iter().filter(|(path, _)| hashed.contains(**path)) {
        for needed in &hold.needs {
            needed_by.entry(needed).or_default().push(path);
        }
        let misses = hold.misses.as_ref().map(|it| format!("a URL in it does not lead to `{it}`"));
        let changes = || {
            let renamed = hold.needs.iter().find(|needed| !hashed.contains(*needed));
            renamed.map(|needed| format!("it refers to `{needed}`, which gets a fingerprint"))
        };
        if let Some(why) = misses.or_else(changes)
            && lose(path, why, &mut kept).is_some()
        {
            lost.push(path);
        }
    }
    while let Some(renamed) = lost.pop() {
        for path in needed_by.get(renamed).into_iter().flatten() {
            let why = format!("it refers to `{renamed}`, which gets a fingerprint");
            if lose(path, why, &mut kept).is_some() {
                lost.push(path);
            }
        }
    }
    (kept, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AssetPath {
        AssetPath::parse(text).unwrap()
    }

    /// `document: needed needed !missed`
    fn keeps(hashed: &str, holds: &[&str], kept: &str, reported: usize) {
        let hashed = hashed.split_whitespace().map(path).collect();
        let parse = |line: &&str| {
            let (document, rest) = line.split_once(':').unwrap();
            let mut hold = Hold::default();
            for word in rest.split_whitespace() {
                match word.strip_prefix('!') {
                    Some(missed) => hold.misses = Some(path(missed)),
                    None => {
                        hold.needs.insert(path(word));
                    }
                }
            }
            (path(document), hold)
        };
        let holds: Vec<_> = holds.iter().map(parse).collect();
        let holds = holds.iter().map(|(path, hold)| (path, hold)).collect();
        let (found, problems) = keep(&hashed, &holds);
        let found: Vec<_> = found.iter().map(AssetPath::as_str).collect();
        assert_eq!(found.join(" "), kept);
        assert_eq!(problems.len(), reported, "{problems:?}");
    }

    #[test]
    fn a_document_keeps_its_name_if_all_it_needs_do() {
        keeps("a b c", &["a: b", "b: c"], "a b c", 0);
        keeps("a b", &["a: b", "b: a"], "a b", 0);
        keeps("a b", &["a: b", "b: c"], "", 2);
        keeps("a b d", &["a: b", "b: a c", "d: e", "x: a"], "", 3);
        keeps("a b", &["a: b !b"], "b", 1);
        keeps("a", &["x: y !a"], "a", 0);
    }
}
