//! The rules themselves. Each names what it found, with the file.

use super::source::Source;

/// Every rule.
pub(super) const ALL: &[super::Rule] =
    &[layers, one_place_per_crate, purity, no_globals, no_writes_where_none_belong, size_and_names];

/// What each module may use of the library.
const LAYERS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("asset", &[]),
    ("semantics", &["clock", "asset"]),
    ("manifest", &["clock", "asset", "semantics"]),
    ("store", &["clock", "asset", "semantics", "manifest"]),
    ("bucket", &["clock", "asset", "semantics"]),
    ("rewrite", &["clock", "asset", "semantics", "manifest", "store"]),
    ("publish", &["clock", "asset", "semantics", "manifest", "store", "rewrite"]),
    ("shield", &["clock", "asset", "semantics", "manifest", "store", "rewrite"]),
];

/// Where each foreign crate with a role may be named; nowhere, for the command's own.
const PLACES: &[(&str, &[&str])] = &[
    ("aho_corasick", &["publish/secret/"]),
    ("anyhow", &[]),
    ("aws_", &["store/s3/"]),
    ("axum", &["shield/server", "shield/admin/", "shield/listener/"]),
    ("blake3", &["asset/fingerprint.rs"]),
    ("clap", &[]),
    ("cssparser", &["rewrite/css"]),
    ("lol_html", &["rewrite/html"]),
    ("mime_guess", &["asset/media.rs"]),
    ("moka", &["shield/cache/memory.rs"]),
    ("oxc_", &["rewrite/js/"]),
    ("petgraph", &["publish/graph.rs"]),
    ("quick_xml", &["rewrite/svg/"]),
    ("s3s", &["bucket/"]),
    ("walkdir", &["publish/scan"]),
];

/// What must not know of the outside world.
const PURE: &[&str] = &[
    "asset/",
    "semantics/",
    "manifest/",
    "rewrite/",
    "publish/plan",
    "publish/rules",
    "shield/decide",
    "shield/pages/choose",
];

const IMPURE_PATHS: &[&str] = &[
    "tokio",
    "tokio_util",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "crate::clock",
];

const FORBIDDEN_WORDS: &[&str] = &[
    "manager",
    "handler",
    "handlers",
    "service",
    "processor",
    "helper",
    "helpers",
    "util",
    "utils",
    "common",
    "data",
    "info",
    "item",
    "items",
    "invalidate",
];

pub(super) fn layers(source: &Source) -> Vec<String> {
    let Some((_, allowed)) = LAYERS.iter().find(|(module, _)| *module == source.module()) else {
        return Vec::new();
    };
    let used = source.paths.iter().filter_map(|path| path.strip_prefix("crate::"));
    let mut broken: Vec<&str> = used
        .map(|path| path.split("::").next().unwrap_or_default())
        .filter(|module| LAYERS.iter().any(|(known, _)| known == module))
        .filter(|module| *module != source.module() && !allowed.contains(module))
        .collect();
    broken.dedup();
    broken.iter().map(|module| format!("{} uses `{module}`", source.path)).collect()
}

pub(super) fn one_place_per_crate(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (name, places) in PLACES {
        let named = source.paths.iter().any(|path| {
            let first = path.split("::").next().unwrap_or_default();
            if name.ends_with('_') { first.starts_with(name) } else { first == *name }
        });
        if named && !places.iter().any(|place| source.path.starts_with(place)) {
            found.push(format!("{} names `{name}`", source.path));
        }
    }
    found
}

pub(super) fn purity(source: &Source) -> Vec<String> {
    if !PURE.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let impure = |path: &&String| {
        let inside = |prefix: &&str| *path == *prefix || path.starts_with(&format!("{prefix}::"));
        IMPURE_PATHS.iter().any(inside) || path.ends_with("::now")
    };
    source
        .paths
        .iter()
        .filter(impure)
        .map(|path| format!("{} uses `{path}`", source.path))
        .collect()
}

pub(super) fn no_globals(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.statics > 0 {
        found.push(format!("{} declares a static", source.path));
    }
    for name in ["print", "println", "eprint", "eprintln", "dbg", "thread_local"] {
        if source.macros.iter().any(|called| called == name) {
            found.push(format!("{} calls `{name}!`", source.path));
        }
    }
    found
}

pub(super) fn no_writes_where_none_belong(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let writes = source.paths.iter().any(|path| path.ends_with("ObjectWrite"));
    if source.module() == "shield" && writes {
        found.push(format!("{} can write to the bucket", source.path));
    }
    let prunes = source.path.starts_with("publish/prune");
    if source.module() == "publish" && !prunes && source.methods.iter().any(|m| m == "delete") {
        found.push(format!("{} deletes", source.path));
    }
    found
}

pub(super) fn size_and_names(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.lines > 500 {
        found.push(format!("{} has {} lines", source.path, source.lines));
    }
    let file_words = source.path.trim_end_matches(".rs").split(['/', '_']);
    // The names that foreign traits give to their methods are not ours.
    let foreign = source.path.starts_with("bucket/");
    let names = source.names.iter().filter(|_| !foreign).map(String::as_str);
    let words: Vec<String> =
        file_words.map(str::to_owned).chain(names.flat_map(words_of)).collect();
    for word in FORBIDDEN_WORDS {
        if words.iter().any(|used| used == word) {
            found.push(format!("{} uses the word `{word}` in a name", source.path));
        }
    }
    found
}

/// The words of `CamelCase` and `snake_case` names, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words
}
