//! The import map of one page.

use url::Url;

use super::super::document::Names;
use super::{Graph, Page, Reach};
use crate::asset::{AssetPath, ObjectKey};
use crate::rewrite::ImportMap;

impl Graph {
    /// The import map that the page at `path` gets, if it gets one.
    ///
    /// Each module that the page can reach has its logical URL, as inline
    /// scripts name it, and the one to which a relative specifier leads in a
    /// module that was loaded under its fingerprinted name.
    pub(in super::super) fn import_map(&self, path: &AssetPath, names: Names<'_>) -> ImportMap {
        let mut map = ImportMap::default();
        let Some(page) = self.mapped(path) else { return map };
        let reach = self.reach(page);
        let drawing = Drawing { graph: self, page, names };
        for module in &reach.modules {
            drawing.add_module(module, &mut map);
        }
        drawing.add_specifiers(&reach, &mut map);
        map
    }
}

struct Drawing<'a> {
    graph: &'a Graph,
    page: &'a Page,
    names: Names<'a>,
}

impl Drawing<'_> {
    fn add_module(&self, module: &AssetPath, map: &mut ImportMap) {
        let (Some(key), Some(target)) = (self.names.key(module), self.target(module)) else {
            return;
        };
        let space = &self.graph.space;
        let plain = space.public().url_of(&ObjectKey::of_public_name(module));
        for url in space.logical(module).into_iter().chain(plain) {
            add(map, url, &target);
        }
        if self.stays(module) || self.page.taken.contains_key(module) {
            return;
        }
        if let (Some(integrity), Some(url)) =
            (self.names.integrity(module), space.public().url_of(key))
        {
            map.integrity.insert(url, integrity.to_owned());
        }
    }

    /// Specifiers can be written in other ways than URLs of ours are: what
    /// each one really leads to is an entry as well.
    fn add_specifiers(&self, reach: &Reach<'_>, map: &mut ImportMap) {
        let inline = (&self.page.inline, vec![self.page.base.clone()]);
        let scripts = reach.scripts.iter().map(|(path, script)| (*script, self.loaded_as(path)));
        for (script, bases) in scripts.chain([inline]) {
            for import in &script.imports {
                let Some(target) = self.target(&import.asset) else { continue };
                for url in bases.iter().filter_map(|base| base.join(&import.text).ok()) {
                    add(map, self.graph.space.unrooted(&url), &target);
                }
            }
        }
        for (specifier, asset) in &reach.bare {
            if let Some(target) = self.target(asset) {
                map.imports.insert((*specifier).to_owned(), target);
            }
        }
    }

    /// The URLs under which the page may have loaded a script.
    fn loaded_as(&self, path: &AssetPath) -> Vec<Url> {
        let space = &self.graph.space;
        let named = self.names.key(path).and_then(|key| space.public().url_of(key));
        let logical = space.page(path);
        let named = named.and_then(|url| logical.join(&url).ok());
        named.into_iter().chain([logical]).collect()
    }

    /// The one URL of a module in this page.
    fn target(&self, module: &AssetPath) -> Option<String> {
        let module = self.page.taken.get(module).unwrap_or(module);
        let space = &self.graph.space;
        if self.stays(module) {
            return Some(space.unrooted(&space.page(module)));
        }
        space.public().url_of(self.names.key(module)?)
    }

    /// Whether a module keeps its logical URL: the tags that name it are not
    /// rewritten, and a module under two URLs would run twice.
    fn stays(&self, module: &AssetPath) -> bool {
        self.graph.space.keeps(module) || self.page.pinned.contains(module)
    }
}

fn add(map: &mut ImportMap, url: String, target: &str) {
    if url != target {
        map.imports.insert(url, target.to_owned());
    }
}
