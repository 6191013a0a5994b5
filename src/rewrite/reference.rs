//! A reference: an occurrence of a URL inside a document.

use url::Url;

/// One URL in a document, resolved as a browser would.
#[derive(Clone, Debug)]
pub struct Reference<'a> {
    /// Where in the document its value begins, in bytes from the start.
    pub offset: usize,
    /// The value as written, after entities and escapes were decoded.
    pub text: &'a str,
    /// The value resolved against the document's base, query and fragment included.
    pub url: &'a Url,
    /// What the document uses it for.
    pub site: Site,
}

/// A `var(--name)`: a relative URL in the value of the property is resolved here.
#[derive(Clone, Copy, Debug)]
pub struct PropertyUse<'a> {
    /// The property, with its hyphens.
    pub name: &'a str,
    /// The custom property in whose value it stands; that one's uses count then.
    pub within: Option<&'a str>,
    /// What relative URLs are relative to here.
    pub base: &'a Url,
}

/// What a document uses a reference for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Site {
    /// Any place from which another origin may be named.
    Plain,
    /// A place that works only with URLs of the page's own origin: an SVG
    /// `use`, subtitles.
    SameOrigin,
    /// A web manifest: as [`SameOrigin`](Self::SameOrigin), but only for one
    /// whose type says so. The URLs in any other, such as `manifest.json`,
    /// were not read, and would be relative to another place.
    Manifest,
    /// An `object` or `embed`: as [`SameOrigin`](Self::SameOrigin), but only
    /// for what does not act. HTML and SVG do, and are sandboxed under
    /// fingerprinted names, where they lose their scripts, styles and images.
    Embedded,
    /// A source map. It may be named from anywhere, and only tools for
    /// developers read it: nothing is broken where it is missing.
    SourceMap,
    /// A module that the document runs, preloads or imports. Whether it becomes
    /// the module's name is one decision for the whole document, because a
    /// module that has two URLs runs twice.
    Module,
    /// What a script names relative to itself. HTML is left alone: it acts, as
    /// where it is [`Embedded`](Self::Embedded).
    ScriptAsset,
}
