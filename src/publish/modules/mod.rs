//! Which module imports which, and what follows from it for names.
//!
//! In import-map mode a module's bytes stay as they are, so its name depends
//! on nothing else, and no circle of imports is a circle of names: the map in
//! the page says where each module lies. The page's name then depends on every
//! module that it can reach.
//!
//! No map applies within workers, nor in a script that is named by `new URL(…)`
//! and may become one. So one rule: what can be reached from such scripts only
//! has its specifiers rewritten, to URLs of the page's own origin, where a
//! worker has to come from. A module that a page imports as well keeps its
//! bytes and its name; workers ask for it by its logical name. Otherwise an
//! edit of a module that both use would rename everything between it and the
//! page that starts the worker.

mod map;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::collect::Hold;
use super::document::{Document, UrlSpace};
use super::problem::Problem;
use super::settle::Reading;
use super::source::SourceFile;
use crate::asset::AssetPath;
use crate::rewrite::Reason;

pub(super) use read::{html, kind, script};

/// How the modules of a tree find each other under fingerprinted names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Modules {
    /// By an import map in each page that runs modules. A change of one module
    /// renames that module alone. Only what no page but a worker runs is
    /// rewritten.
    #[default]
    ImportMap,
    /// By rewritten specifiers, as pages need that awning does not publish. A
    /// change of one module renames every module that reaches it.
    Rewrite,
}

/// What a file has to do with modules.
#[derive(Debug)]
pub(super) enum Facts {
    Script(Script),
    Page(Box<Page>),
}

/// What a script, or the inline scripts of a page, refer to.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// What it imports by a URL.
    imports: Vec<Import>,
    /// What it imports by other names.
    bare: BTreeSet<String>,
    /// Scripts that it starts where no import map applies.
    apart: BTreeSet<AssetPath>,
    /// Everything that it refers to.
    refs: BTreeSet<AssetPath>,
    /// A module to which its specifier does not lead once both keep their names.
    strays: Option<AssetPath>,
}

/// A module that is imported, and the specifier as it is written.
#[derive(Debug)]
struct Import {
    text: String,
    asset: AssetPath,
}

/// What a page runs.
#[derive(Debug)]
pub(super) struct Page {
    base: Url,
    /// Modules of tags, and of the page's own import map.
    modules: BTreeSet<AssetPath>,
    /// Modules whose URL must stay.
    pinned: BTreeSet<AssetPath>,
    classic: BTreeSet<AssetPath>,
    inline: Script,
    /// `imports` of the page's own import map.
    own: BTreeMap<String, Url>,
    /// Assets that the page's own import map takes others for.
    taken: BTreeMap<AssetPath, AssetPath>,
    bar: Option<Reason>,
    /// Everything that the page refers to, in its tags and inline scripts.
    refs: BTreeSet<AssetPath>,
}

/// The modules of a tree.
#[derive(Debug)]
pub(super) struct Graph {
    scripts: BTreeMap<AssetPath, Script>,
    pages: BTreeMap<AssetPath, Page>,
    /// Scripts whose specifiers are rewritten.
    rewritten: BTreeSet<AssetPath>,
    /// What stands in the import map of some page.
    in_maps: BTreeSet<AssetPath>,
    mode: Modules,
    space: UrlSpace,
}

/// What a page can reach without leaving it for a worker.
#[derive(Debug, Default)]
struct Reach<'a> {
    modules: BTreeSet<AssetPath>,
    /// Scripts whose imports count; classic ones are not modules.
    scripts: Vec<(AssetPath, &'a Script)>,
    /// Bare specifiers that the page's own map resolves by a prefix.
    bare: BTreeMap<&'a str, AssetPath>,
}

impl Graph {
    pub(super) fn new(facts: Vec<(AssetPath, Facts)>, space: &UrlSpace, mode: Modules) -> Self {
        let (mut scripts, mut pages) = (BTreeMap::new(), BTreeMap::new());
        for (path, facts) in facts {
            match facts {
                Facts::Script(script) => drop(scripts.insert(path, script)),
                Facts::Page(page) => drop(pages.insert(path, *page)),
            }
        }
        let rewritten = match mode {
            Modules::Rewrite => scripts.keys().cloned().collect(),
            Modules::ImportMap => apart_only(&scripts, &pages),
        };
        let in_maps = BTreeSet::new();
        let mut graph = Self { scripts, pages, rewritten, in_maps, mode, space: space.clone() };
        let pages = graph.pages.keys().filter_map(|path| graph.mapped(path));
        graph.in_maps = pages.flat_map(|page| graph.reach(page).modules).collect();
        graph
    }

    /// Whether an asset stands in the import map of some page.
    pub(super) fn is_mapped(&self, path: &AssetPath) -> bool {
        self.in_maps.contains(path)
    }

    /// Whether specifiers become public URLs, which any page can use.
    pub(super) fn is_public(&self) -> bool {
        self.mode == Modules::Rewrite
    }

    /// Whether the modules that a document names by URLs get other ones there.
    pub(super) fn moves_modules(&self, path: &AssetPath) -> bool {
        match self.pages.get(path) {
            Some(page) => page.bar.is_none() || self.mode == Modules::Rewrite,
            None => self.rewritten.contains(path),
        }
    }

    /// Whether a script names the module at `path` by that module's name.
    pub(super) fn names_module(&self, path: &AssetPath) -> bool {
        self.mode == Modules::Rewrite || self.rewritten.contains(path)
    }

    /// All that a file refers to, if it has to do with modules.
    pub(super) fn refs(&self, path: &AssetPath) -> Option<&BTreeSet<AssetPath>> {
        let page = self.pages.get(path).map(|page| &page.refs);
        page.or_else(|| self.scripts.get(path).map(|script| &script.refs))
    }

    /// Lets every file wait for the names that its bytes will hold.
    pub(super) fn order(&self, files: &[SourceFile], readings: &mut [Reading]) {
        for (file, reading) in files.iter().zip(readings) {
            let needs = self.needs(&file.asset);
            let Some(document) = Document::of(&file.asset).filter(|_| !needs.is_empty()) else {
                continue;
            };
            if let Reading::Plain(output) = reading {
                let (source, assets, hold) = (output.b3, BTreeSet::new(), Hold::default());
                *reading = Reading::Document { document, source, assets, hold };
            }
            if let Reading::Document { assets, hold, .. } = reading {
                let strays = self.scripts.get(&file.asset).and_then(|it| it.strays.clone());
                hold.misses = hold.misses.take().or(strays);
                hold.needs.extend(needs.iter().cloned());
                assets.extend(needs);
            }
        }
    }

    /// The modules whose names stand in the bytes of a file.
    fn needs(&self, path: &AssetPath) -> BTreeSet<AssetPath> {
        if let Some(page) = self.mapped(path) {
            return self.reach(page).modules;
        }
        match self.scripts.get(path).filter(|_| self.rewritten.contains(path)) {
            Some(script) => {
                let imported = script.imports.iter().map(|import| &import.asset);
                imported.filter(|asset| self.names_module(asset)).cloned().collect()
            }
            None => BTreeSet::new(),
        }
    }

    /// The page at `path` if it gets an import map of ours.
    fn mapped(&self, path: &AssetPath) -> Option<&Page> {
        let page = self.pages.get(path)?;
        (self.mode == Modules::ImportMap && page.bar.is_none()).then_some(page)
    }

    fn reach<'a>(&'a self, page: &'a Page) -> Reach<'a> {
        let mut reach = Reach::default();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<AssetPath> = page.classic.iter().cloned().collect();
        for module in page.modules.iter().chain(&page.pinned) {
            reach.modules.insert(module.clone());
            waiting.push(module.clone());
        }
        waiting.extend(self.follow(page, &page.inline, &mut reach));
        while let Some(path) = waiting.pop() {
            if !seen.insert(path.clone()) || page.taken.contains_key(&path) {
                continue;
            }
            let Some(script) = self.scripts.get(&path) else { continue };
            waiting.extend(self.follow(page, script, &mut reach));
            reach.scripts.push((path, script));
        }
        reach
    }

    /// Adds what a script imports, and gives it back.
    fn follow<'a>(&self, page: &Page, script: &'a Script, reach: &mut Reach<'a>) -> Vec<AssetPath> {
        let mut imported: Vec<_> = script.imports.iter().map(|i| i.asset.clone()).collect();
        for specifier in script.bare.iter().filter(|bare| !page.own.contains_key(*bare)) {
            let prefixes = page.own.iter().filter(|(prefix, _)| prefix.ends_with('/'));
            let longest = prefixes.filter(|(prefix, _)| specifier.starts_with(prefix.as_str()));
            let Some((prefix, url)) = longest.max_by_key(|(prefix, _)| prefix.len()) else {
                continue;
            };
            let Ok(url) = url.join(&specifier[prefix.len()..]) else { continue };
            if let Some(asset) = self.space.asset(&url) {
                reach.bare.insert(specifier, asset.clone());
                imported.push(asset);
            }
        }
        reach.modules.extend(imported.iter().cloned());
        imported
    }
}

/// The scripts that run only where no import map applies.
fn apart_only(
    scripts: &BTreeMap<AssetPath, Script>,
    pages: &BTreeMap<AssetPath, Page>,
) -> BTreeSet<AssetPath> {
    let inline = pages.values().map(|page| &page.inline);
    let entries = scripts.values().chain(inline).flat_map(|script| &script.apart);
    let apart = closure(scripts, entries);
    let of_pages = pages.values().flat_map(|page| {
        let imports = page.inline.imports.iter().map(|import| &import.asset);
        page.modules.iter().chain(&page.pinned).chain(&page.classic).chain(imports)
    });
    let elsewhere = scripts.keys().filter(|path| !apart.contains(*path));
    let shared = closure(scripts, elsewhere.chain(of_pages));
    apart.difference(&shared).cloned().collect()
}

/// Scripts, and all that they import.
fn closure<'a>(
    scripts: &'a BTreeMap<AssetPath, Script>,
    roots: impl Iterator<Item = &'a AssetPath>,
) -> BTreeSet<AssetPath> {
    let mut waiting: Vec<&AssetPath> = roots.collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let Some(script) = scripts.get(path) else { continue };
        if reached.insert(path.clone()) {
            waiting.extend(script.imports.iter().map(|import| &import.asset));
        }
    }
    reached
}

/// Tells that the modules of a page keep their logical URLs.
fn barred(path: &AssetPath, reason: Reason) -> Problem {
    let why = match reason {
        Reason::Base => "its `base` is of another origin",
        Reason::Policy => "its Content-Security-Policy does not let one of ours count",
        Reason::Syntax => "its own import map cannot be read",
        _ => "it cannot be read to its end",
    };
    Problem::warning(path, format!("no import map: {why}, so its modules keep their logical URLs"))
}
