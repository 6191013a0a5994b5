//! What relative URLs in custom properties name.
//!
//! A browser resolves such a URL where `var()` uses the property, which may be
//! another sheet than the one that declares it. So it becomes an absolute URL
//! only if it names the same asset from everywhere it is used. All documents
//! are read before anything is decided here: a pure function of what they say.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::problem::{Kind, Place, Problem};
use crate::asset::AssetPath;

/// Properties that the value of one may go through on its way.
const NAMES_MAX: usize = 1000;

/// Directories from which one property is looked at.
const DIRECTORIES_MAX: usize = 1000;

const TOO_WIDE: &str = "is left alone: it is used in too many places";

/// What one document says of custom properties.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Relative URLs in their values.
    pub(super) declared: Vec<Declared>,
    /// Which are used, and the directory that relative URLs are relative to there.
    pub(super) uses: BTreeSet<(String, Url)>,
    /// Which are used in the value of which other.
    pub(super) forwards: BTreeSet<(String, String)>,
}

impl Facts {
    /// Whether the document says nothing of custom properties.
    pub(super) fn is_empty(&self) -> bool {
        self.declared.is_empty() && self.uses.is_empty() && self.forwards.is_empty()
    }
}

/// A relative URL in the value of a custom property.
#[derive(Debug)]
pub(super) struct Declared {
    /// The property, with its hyphens.
    pub(super) name: String,
    /// The URL as written, escapes decoded.
    pub(super) text: String,
    /// Where in the document it stands, in bytes.
    pub(super) offset: usize,
    pub(super) place: Place,
}

/// The asset that each declared URL names, by document and offset.
pub(super) type Decided = BTreeMap<AssetPath, BTreeMap<usize, AssetPath>>;

/// Decides for all documents at once. `asset` tells which asset a URL would
/// name, and `known` whether there is one. A URL that may name one asset or
/// another is left alone, and reported.
pub(super) fn decide(
    facts: &BTreeMap<AssetPath, Facts>,
    asset: &dyn Fn(&Url) -> Option<AssetPath>,
    known: &dyn Fn(&AssetPath) -> bool,
) -> (Decided, Vec<Problem>) {
    let (mut decided, mut problems) = (Decided::default(), Vec::new());
    let uses = Uses::of(facts);
    let mut directories = BTreeMap::new();
    for (document, facts) in facts {
        for declared in &facts.declared {
            let name = declared.name.as_str();
            let verdict = match directories.entry(name).or_insert_with(|| uses.directories(name)) {
                Some(directories) => verdict(&declared.text, directories, asset, known),
                None => Verdict::Unsure(Kind::Property, TOO_WIDE.to_owned()),
            };
            match verdict {
                Verdict::Foreign => {}
                Verdict::Names(asset) => {
                    decided.entry(document.clone()).or_default().insert(declared.offset, asset);
                }
                Verdict::Unsure(kind, message) => {
                    let Declared { name, text, place, .. } = declared;
                    let message = format!("`{}` in `{name}` {message}", text.escape_debug());
                    let problem = Problem::warning(document, message).of(kind);
                    problems.push(problem.at(place.line, place.column));
                }
            }
        }
    }
    (decided, problems)
}

/// What becomes of one URL.
enum Verdict {
    /// It is none of ours from anywhere.
    Foreign,
    Names(AssetPath),
    /// It stays, for this reason.
    Unsure(Kind, String),
}

fn verdict(
    text: &str,
    directories: &BTreeSet<&Url>,
    asset: &dyn Fn(&Url) -> Option<AssetPath>,
    known: &dyn Fn(&AssetPath) -> bool,
) -> Verdict {
    let from = |directory: &&Url| directory.join(text).ok().and_then(|url| asset(&url));
    let named: BTreeSet<Option<AssetPath>> = directories.iter().map(from).collect();
    let mut ours = named.iter().flatten();
    match (ours.next(), ours.next()) {
        (None, _) if directories.is_empty() => {
            Verdict::Unsure(Kind::Property, "is left alone: nothing published uses it".to_owned())
        }
        (None, _) => Verdict::Foreign,
        (Some(one), None) if named.len() == 1 && known(one) => Verdict::Names(one.clone()),
        (Some(_), None) if named.len() == 1 => {
            Verdict::Unsure(Kind::Dangling, "names no asset".to_owned())
        }
        (Some(one), other) => {
            let other = other.map_or("what is not published".to_owned(), |it| format!("`{it}`"));
            let message =
                format!("is left alone: it names `{one}` from one sheet, {other} from another");
            Verdict::Unsure(Kind::Property, message)
        }
    }
}

/// Who uses which property, in all documents.
struct Uses<'a> {
    directly: BTreeMap<&'a str, BTreeSet<&'a Url>>,
    forwards: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Uses<'a> {
    fn of(facts: &'a BTreeMap<AssetPath, Facts>) -> Self {
        let mut directly: BTreeMap<&str, BTreeSet<&Url>> = BTreeMap::new();
        let mut forwards: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for facts in facts.values() {
            for (name, directory) in &facts.uses {
                directly.entry(name).or_default().insert(directory);
            }
            for (name, within) in &facts.forwards {
                forwards.entry(name).or_default().insert(within);
            }
        }
        Self { directly, forwards }
    }

    /// The directories of all documents that use `name`, or a property whose
    /// value it is a part of; `None` where they are too many to look at.
    fn directories(&self, name: &'a str) -> Option<BTreeSet<&'a Url>> {
        let (mut names, mut next) = (BTreeSet::from([name]), vec![name]);
        let mut directories = BTreeSet::new();
        while let Some(name) = next.pop() {
            directories.extend(self.directly.get(name).into_iter().flatten().copied());
            for within in self.forwards.get(name).into_iter().flatten() {
                if names.insert(within) {
                    next.push(within);
                }
            }
            if names.len() > NAMES_MAX || directories.len() > DIRECTORIES_MAX {
                return None;
            }
        }
        Some(directories)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AssetPath {
        AssetPath::parse(text).unwrap()
    }

    /// Everything of this origin would be ours.
    fn asset(url: &Url) -> Option<AssetPath> {
        if url.host_str() == Some("s.invalid") {
            AssetPath::parse(&url.path()[1..]).ok()
        } else {
            None
        }
    }

    fn directory(text: &str) -> Url {
        Url::parse("https://s.invalid/").unwrap().join(text).unwrap()
    }

    /// Facts in short: `--x=url` declares, `--x@dir/` uses, `--x>--y` forwards.
    fn facts(documents: &[(&str, &str)]) -> BTreeMap<AssetPath, Facts> {
        let of = |text: &str| {
            let mut facts = Facts::default();
            for (at, word) in text.split_whitespace().enumerate() {
                if let Some((name, text)) = word.split_once('=') {
                    let (name, text) = (name.to_owned(), text.to_owned());
                    let place = Place { line: 1, column: at + 1 };
                    facts.declared.push(Declared { name, text, offset: at, place });
                } else if let Some((name, at)) = word.split_once('@') {
                    facts.uses.insert((name.to_owned(), directory(at)));
                } else if let Some((name, within)) = word.split_once('>') {
                    facts.forwards.insert((name.to_owned(), within.to_owned()));
                }
            }
            facts
        };
        documents.iter().map(|(document, text)| (path(document), of(text))).collect()
    }

    #[track_caller]
    fn decides(documents: &[(&str, &str)], names: &[(&str, &str)], problems: &[&str]) {
        let known = |asset: &AssetPath| asset.as_str().ends_with(".png");
        let (decided, found) = decide(&facts(documents), &asset, &known);
        let decided = decided.iter().flat_map(|(document, assets)| {
            assets.values().map(move |asset| (document.as_str(), asset.as_str()))
        });
        assert_eq!(decided.collect::<Vec<_>>(), names);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), problems);
    }

    #[test]
    fn a_url_is_what_it_names_where_the_property_is_used() {
        decides(&[("css/a.css", "--x=../i.png --x@css/")], &[("css/a.css", "i.png")], &[]);
        decides(&[("css/a.css", "--x=i.png"), ("b.css", "--x@")], &[("css/a.css", "i.png")], &[]);
        let both = [("css/a.css", "--x=/i.png --x@css/"), ("b.css", "--x@ --x@css/js/")];
        decides(&both, &[("css/a.css", "i.png")], &[]);
    }

    #[test]
    fn a_url_that_names_different_things_stays() {
        let two = [("css/a.css", "--x=i.png --x@css/"), ("b.css", "--x@")];
        let expected = "css/a.css:1:1: warning: `i.png` in `--x` is left alone: it names \
            `css/i.png` from one sheet, `i.png` from another";
        decides(&two, &[], &[expected]);
        let page = [("css/a.css", "--x=i.png --x@css/"), ("b.html", "--x@//elders.nl/")];
        let expected = "css/a.css:1:1: warning: `i.png` in `--x` is left alone: it names \
            `css/i.png` from one sheet, what is not published from another";
        decides(&page, &[], &[expected]);
    }

    #[test]
    fn a_url_that_nobody_uses_stays_and_one_that_is_not_ours_is_no_matter() {
        let expected =
            "a.css:1:1: warning: `i.png` in `--x` is left alone: nothing published uses it";
        decides(&[("a.css", "--x=i.png --y@")], &[], &[expected]);
        decides(&[("a.css", "--x=i.png --x@//elders.nl/")], &[], &[]);
        let expected = "a.css:1:1: warning: `gone.gif` in `--x` names no asset";
        decides(&[("a.css", "--x=gone.gif --x@")], &[], &[expected]);
    }

    #[test]
    fn a_property_counts_where_the_one_that_holds_it_is_used() {
        let chain =
            [("a/a.css", "--x=i.png --x>--y"), ("b/b.css", "--y>--x --y>--z"), ("c.css", "--z@c/")];
        decides(&chain, &[("a/a.css", "c/i.png")], &[]);
    }

    #[test]
    fn what_is_used_too_widely_stays() {
        let expected =
            "a.css:1:1: warning: `/i.png` in `--x` is left alone: it is used in too many places";
        let wide = |count: usize| (0..count).map(|n| format!(" --x@{n}/")).collect::<String>();
        let most = format!("--x=/i.png{}", wide(DIRECTORIES_MAX));
        decides(&[("a.css", &most)], &[("a.css", "i.png")], &[]);
        let more = format!("--x=/i.png{}", wide(DIRECTORIES_MAX + 1));
        decides(&[("a.css", &more)], &[], &[expected]);
        let long =
            |count: usize| (1..count).map(|n| format!(" --{n}>--{}", n + 1)).collect::<String>();
        let far = format!("--x=/i.png --x>--1{}", long(NAMES_MAX + 1));
        decides(&[("a.css", &far)], &[], &[expected]);
    }
}
