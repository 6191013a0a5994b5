//! Finding the references in a document and replacing those that are ours.
//!
//! Bytes are spliced, never re-serialised: whatever is not a replaced
//! reference comes out as it went in. Where a document cannot be understood it
//! is left as it was, and counted. Nothing here does I/O.

mod charset;
mod css;
mod excerpt;
mod html;
mod import_map;
mod js;
mod json;
mod policy;
mod position;
mod reference;
mod replacements;
mod resolver;
mod splice;
mod srcset;
mod summary;
mod svg;

pub use charset::charset_is_safe;
pub use css::rewrite_css;
pub use html::{
    HtmlRewriter, ImportMap, Limits, PageModules, inject_import_map, page_modules, rewrite_html,
    rewrite_html_under,
};
pub use js::{
    ScriptFault, ScriptKind, ScriptReference, ScriptUse, rewrite_js, script_references,
    script_stack_bytes,
};
pub use json::{rewrite_json, rewrite_web_manifest};
pub use position::{Positions, position};
pub use reference::{PropertyUse, Reference, Site};
pub use replacements::has_only_cache_busters;
pub use resolver::{ManifestResolver, Mount, PublicBase, PublicBaseError, Resolver};
pub use summary::{Reason, Summary};
pub use svg::rewrite_svg;
