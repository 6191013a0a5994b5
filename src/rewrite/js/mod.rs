//! References in scripts and modules: import specifiers, `new URL(…,
//! import.meta.url)`, workers, and the source map named at the very end.
//!
//! Only literals are looked at. What a script computes, what it hands to
//! `fetch`, and `navigator.serviceWorker.register`, whose path is its scope,
//! keep their URLs.

mod depth;
mod scan;

use std::ops::Range;

use url::Url;

use super::excerpt::Excerpt;
use super::replacements::{Occurrence, Replacements};
use super::splice::Edit;
use super::{Reason, Resolver, Site, Summary};

pub use depth::script_stack_bytes;

/// What a worker's URL is resolved against instead of `import.meta.url`: only
/// the origin of the page may run a worker, and the module may be of another.
const PAGE_URL: &str = "globalThis.location.href";

/// How a script is parsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScriptKind {
    /// As a module.
    Module,
    /// As what it turns out to be: a module if it has `import`, `export` or
    /// `import.meta`, or parses as nothing else.
    Unknown,
}

/// A reference of a script.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScriptReference {
    /// Where the URL stands, without quotes, in bytes from the start.
    pub span: Range<usize>,
    /// The URL as the script means it, escapes decoded.
    pub text: String,
    /// What it is used for.
    pub use_: ScriptUse,
}

/// What a script uses a reference for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ScriptUse {
    /// `import … from` or `export … from`.
    Import,
    /// `import('…')`.
    DynamicImport,
    /// `import.meta.resolve('…')`.
    Resolve,
    /// `new URL('…', import.meta.url)`.
    Asset,
    /// The same as the first argument of `new Worker` or `new SharedWorker`;
    /// here stands its `import.meta.url`.
    Worker(Range<usize>),
    /// `//# sourceMappingURL=…`
    SourceMap,
}

/// Why a script cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ScriptFault {
    /// Where, in bytes from the start.
    pub offset: usize,
    message: String,
}

impl ScriptUse {
    /// Whether it names a module, which an import map applies to.
    pub fn is_import(&self) -> bool {
        matches!(self, Self::Import | Self::DynamicImport | Self::Resolve)
    }

    fn site(&self) -> Site {
        match self {
            Self::Import | Self::DynamicImport | Self::Resolve => Site::Module,
            Self::Asset => Site::ScriptAsset,
            Self::SourceMap => Site::SourceMap,
            Self::Worker(_) => Site::SameOrigin,
        }
    }
}

impl ScriptReference {
    /// Whether it is a URL and no bare specifier, which only an import map
    /// gives a meaning to.
    pub fn is_address(&self) -> bool {
        !self.use_.is_import() || super::json::is_address(&self.text)
    }
}

/// All references of a script, bare specifiers included, in the order in which
/// they stand.
///
/// The parser recurses: call this on a thread that has
/// [`script_stack_bytes`] of stack left.
pub fn script_references(
    source: &[u8],
    kind: ScriptKind,
) -> Result<Vec<ScriptReference>, ScriptFault> {
    let excerpt = Excerpt::verbatim(source, 0);
    let mut references = scan::scan(excerpt.text(), kind)?;
    references.retain(|reference| excerpt.is_legible(&reference.span));
    Ok(references)
}

/// Rewrites the script that lies at `script`. One that does not parse is left
/// alone. The same condition as for [`script_references`] holds.
pub fn rewrite_js(
    bytes: &[u8],
    script: &Url,
    kind: ScriptKind,
    resolver: &dyn Resolver,
) -> (Vec<u8>, Summary) {
    let mut replacements = Replacements::new(resolver, script, script);
    let Ok(references) = script_references(bytes, kind) else {
        replacements.skip(Reason::Syntax);
        return replacements.apply(bytes);
    };
    let excerpt = Excerpt::verbatim(bytes, 0);
    for reference in references.iter().filter(|reference| reference.is_address()) {
        let ScriptReference { span, text, use_ } = reference;
        let found = Occurrence { text, span: span.clone(), site: use_.site(), bar: None };
        let replaced = replacements.consider(&excerpt, &found);
        if let ScriptUse::Worker(base) = use_
            && replaced
        {
            replacements.also(Edit { at: base.clone(), text: PAGE_URL.to_owned() });
        }
    }
    replacements.apply(bytes)
}

#[cfg(test)]
mod tests;
