//! Reading a document for what it refers to, before anything has a name.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::document::UrlSpace;
use super::modules;
use super::problem::{Kind, Place, Problem};
use super::properties::{Declared, Facts};
use crate::asset::AssetPath;
use crate::rewrite::{
    Positions, PropertyUse, Reason, Reference, Resolver, Site, Summary, position,
};

/// What a document says, in the order of its references.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    space: &'a UrlSpace,
    /// The document under the public name it has if it keeps its own.
    kept: Option<Url>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    references: Vec<Collected>,
    declared: Vec<(usize, String, String)>,
    uses: BTreeSet<(String, Url)>,
    forwards: BTreeSet<(String, String)>,
}

#[derive(Debug)]
struct Collected {
    offset: usize,
    text: String,
    asset: AssetPath,
    site: Site,
    /// Whether it leads to the asset as it is written, as long as both names are kept.
    leads: bool,
}

/// The references of one document.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Assets that it refers to, itself included if it does.
    pub(super) assets: BTreeSet<AssetPath>,
    /// What is wrong with it: references that name no asset although they are
    /// within the mount, and parts that cannot be read.
    pub(super) problems: Vec<Problem>,
    /// What it says of custom properties.
    pub(super) facts: Facts,
    /// What it has to do with modules.
    pub(super) modules: Option<modules::Facts>,
    /// What would become of its references if its bytes stayed.
    pub(super) hold: Hold,
}

/// What ties the bytes of a document to the names of others.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Hold {
    /// Assets that must keep their names. Source maps need not: nothing that
    /// visitors see depends on them.
    pub(super) needs: BTreeSet<AssetPath>,
    /// An asset to which the document does not lead as it is written, whatever
    /// name that has.
    pub(super) misses: Option<AssetPath>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(space: &'a UrlSpace, path: &AssetPath) -> Self {
        Self { space, kept: space.kept(path), seen: Mutex::default() }
    }

    /// What was collected from the document at `path`. `known` are all assets.
    /// With `loose` any text may be none of ours after all.
    pub(super) fn found(
        self,
        path: &AssetPath,
        bytes: &[u8],
        known: &BTreeSet<&AssetPath>,
        summary: &Summary,
        loose: bool,
    ) -> Found {
        let Seen { references, declared, uses, forwards } =
            self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut positions = Positions::new(bytes);
        let mut found = Found { problems: unparsed(path, bytes, summary), ..Found::default() };
        for Collected { offset, text, asset, site, leads } in references {
            if !known.contains(&asset) {
                if !loose {
                    found.problems.push(dangling(path, positions.at(offset), &text, site));
                }
                continue;
            }
            // A stable asset is where it is, whatever becomes of the document.
            if site != Site::SourceMap && !self.space.keeps(&asset) {
                found.hold.misses = found.hold.misses.or_else(|| (!leads).then(|| asset.clone()));
                found.hold.needs.insert(asset.clone());
            }
            found.assets.insert(asset);
        }
        let mut positions = Positions::new(bytes);
        let declared = declared.into_iter().map(|(offset, name, text)| {
            let (line, column) = positions.at(offset);
            Declared { name, text, offset, place: Place { line, column } }
        });
        found.facts = Facts { declared: declared.collect(), uses, forwards };
        found
    }

    fn with_seen(&self, see: impl FnOnce(&mut Seen)) {
        see(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Resolver for Collector<'_> {
    fn resolve(&self, reference: &Reference<'_>) -> Option<String> {
        if let Some(asset) = self.space.asset(reference.url) {
            let Reference { offset, text, site, .. } = *reference;
            let leads = self.space.leads(self.kept.as_ref(), text, &asset);
            let text = text.to_owned();
            let collected = Collected { offset, text, asset, site, leads };
            self.with_seen(|seen| seen.references.push(collected));
        }
        None
    }

    fn resolve_in_property(&self, name: &str, reference: &Reference<'_>) -> Option<String> {
        let declared = (reference.offset, name.to_owned(), reference.text.to_owned());
        self.with_seen(|seen| seen.declared.push(declared));
        None
    }

    fn see_use(&self, use_: &PropertyUse<'_>) {
        let name = use_.name.to_owned();
        self.with_seen(|seen| match (use_.within, use_.base.join(".")) {
            (Some(within), _) => {
                seen.forwards.insert((name, within.to_owned()));
            }
            (None, Ok(directory)) => {
                seen.uses.insert((name, directory));
            }
            (None, Err(_)) => {}
        });
    }
}

/// A reference at a line and column that names no asset.
pub(super) fn dangling(path: &AssetPath, place: (usize, usize), text: &str, site: Site) -> Problem {
    let (text, map) = (text.escape_debug(), site == Site::SourceMap);
    let problem = if map {
        Problem::warning(path, format!("the source map `{text}` is not in the tree"))
    } else {
        Problem::warning(path, format!("`{text}` names no asset"))
    };
    problem.of(if map { Kind::SourceMap } else { Kind::Dangling }).at(place.0, place.1)
}

/// What could not be read, and so keeps the references it has.
fn unparsed(path: &AssetPath, bytes: &[u8], summary: &Summary) -> Vec<Problem> {
    let why = |reason: &Reason| match reason {
        Reason::Capture => Some("an element is too long"),
        Reason::Charset => Some("the charset is not one that extends ASCII"),
        Reason::Entity => Some("an entity of its own is not expanded"),
        Reason::Memory => Some("too much of it is open at once"),
        Reason::Syntax => Some("it is not well-formed"),
        _ => None,
    };
    let problem = |reason| {
        let message = format!("references in it may be left as they are: {}", why(reason)?);
        let problem = Problem::warning(path, message).of(Kind::Unparsed);
        let Some(offset) = summary.places.get(reason) else { return Some(problem) };
        let (line, column) = position(bytes, *offset);
        Some(problem.at(line, column))
    };
    summary.skipped.keys().filter_map(problem).collect()
}
