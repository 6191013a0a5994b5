//! The library's files as the rules see them: every path and macro that stands
//! in their code, tests left out.

use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// One file below `src`.
pub(super) struct Source {
    /// Its path below `src`, with `/`.
    pub(super) path: String,
    pub(super) lines: usize,
    /// Every path in the code outside tests, `a::b::c`; `super` resolved to `crate`.
    pub(super) paths: Vec<String>,
    /// Names of the macros that are called.
    pub(super) macros: Vec<String>,
    /// Names of methods that are called.
    pub(super) methods: Vec<String>,
    /// Names of the types and functions that are declared.
    pub(super) names: Vec<String>,
    /// Types of the statics that are declared.
    pub(super) statics: usize,
}

/// All files of the library.
pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                sources.push(Source::parse(&name, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    sources
}

impl Source {
    pub(super) fn parse(path: &str, text: &str) -> Self {
        let mut source = Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            paths: Vec::new(),
            macros: Vec::new(),
            methods: Vec::new(),
            names: Vec::new(),
            statics: 0,
        };
        // A file of tests is declared with `#[cfg(test)]` where its module stands.
        if !path.ends_with("tests.rs") && !path.contains("/tests/") {
            let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
            source.visit_file(&file);
        }
        source
    }

    /// The first directory or file below `src`: `asset` of `asset/key.rs`.
    pub(super) fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    fn flatten(&mut self, prefix: &str, tree: &UseTree) {
        let join = |name: String| {
            if prefix.is_empty() { name } else { format!("{prefix}::{name}") }
        };
        match tree {
            UseTree::Path(path) => {
                let prefix = join(path.ident.to_string());
                self.flatten(&prefix, &path.tree);
            }
            UseTree::Name(name) => self.add_path(join(name.ident.to_string())),
            UseTree::Rename(rename) => self.add_path(join(rename.ident.to_string())),
            UseTree::Glob(_) => self.add_path(prefix.to_owned()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.flatten(prefix, tree)),
        }
    }

    fn add_path(&mut self, path: String) {
        let ups = path.split("::").take_while(|part| *part == "super").count();
        if ups == 0 {
            return self.paths.push(path);
        }
        // `super` of `a/b.rs` and of `a/b/mod.rs` is `a`.
        let file = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let mut module: Vec<&str> = file.split('/').collect();
        module.truncate(module.len().saturating_sub(ups));
        let rest = path.split("::").skip(ups);
        let absolute: Vec<&str> = std::iter::once("crate").chain(module).chain(rest).collect();
        self.paths.push(absolute.join("::"));
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.flatten("", &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.add_path(parts.join("::"));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|part| part.ident.to_string());
        self.macros.extend(name);
        visit::visit_macro(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.methods.push(call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.statics += 1;
        visit::visit_item_static(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.names.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.names.push(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.names.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.names.push(item.ident.to_string());
        visit::visit_item_type(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.names.push(signature.ident.to_string());
        visit::visit_signature(self, signature);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
    })
}
