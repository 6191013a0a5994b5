//! Which attributes of which elements are references, and of what kind.
//!
//! A closed table. Whatever it does not name is never touched: links and
//! forms, `iframe`, `meta`, and all that htmx, Alpine and Vue put into
//! attributes (`hx-*`, `x-*`, `@click`, `:src`).

use super::super::Site;
use super::super::policy::Fetch;

/// How the value of an attribute is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One URL.
    Url,
    /// Candidates, as of `srcset`.
    Srcset,
    /// Declarations, as of `style`.
    Style,
}

/// What is between the tags of an element whose content is not HTML to the tokenizer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Content {
    /// A style sheet.
    Style,
    /// HTML, for browsers without scripts.
    Noscript,
    /// An import map.
    ImportMap,
}

/// An attribute that holds references.
pub(super) type Spot = (&'static str, Form, Site);

/// What an attribute is read for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Use {
    pub(super) form: Form,
    pub(super) site: Site,
    /// Which of the document's policies rule it.
    pub(super) loads: &'static [Fetch],
}

/// The elements that are looked at, besides any with a `style` attribute.
pub(super) const SELECTOR: &str = "audio,base,body,embed,feimage,image,img,input,link,meta,noscript,object,script,\
     source,style,table,tbody,td,tfoot,th,thead,tr,track,use,video,[style]";

/// A `base` of a template's content, which is not the document's.
pub(super) const TEMPLATE_BASE: &str = "template base";

/// The attribute by which an author exempts an element.
pub(super) const IGNORE: &str = "data-awning-ignore";

const IMG: &[Spot] = &[
    ("src", Form::Url, Site::Plain),
    ("srcset", Form::Srcset, Site::Plain),
    ("data-src", Form::Url, Site::Plain),
    ("data-srcset", Form::Srcset, Site::Plain),
];
const SRC: &[Spot] = &[("src", Form::Url, Site::Plain)];
const MODULE: &[Spot] = &[("src", Form::Url, Site::Module)];
const LINK_MODULE: &[Spot] = &[("href", Form::Url, Site::Module)];
const VIDEO: &[Spot] = &[("src", Form::Url, Site::Plain), ("poster", Form::Url, Site::Plain)];
const BACKGROUND: &[Spot] = &[("background", Form::Url, Site::Plain)];
const LINK: &[Spot] =
    &[("href", Form::Url, Site::Plain), ("imagesrcset", Form::Srcset, Site::Plain)];
/// A manifest resolves what it names against its own URL.
const LINK_MANIFEST: &[Spot] = &[("href", Form::Url, Site::Manifest)];
/// Subtitles need CORS on the media element.
const TRACK: &[Spot] = &[("src", Form::Url, Site::SameOrigin)];
const EMBED: &[Spot] = &[("src", Form::Url, Site::Embedded)];
const OBJECT: &[Spot] = &[("data", Form::Url, Site::Embedded)];
const SVG_IMAGE: &[Spot] =
    &[("href", Form::Url, Site::Plain), ("xlink:href", Form::Url, Site::Plain)];
/// Browsers refuse `use` of another origin, whatever CORS says.
const SVG_USE: &[Spot] =
    &[("href", Form::Url, Site::SameOrigin), ("xlink:href", Form::Url, Site::SameOrigin)];

/// The attributes of an HTML element. `rel` and `as_` are those of a `link`,
/// `type_` that of an `input` or `script`.
pub(super) fn html(tag: &str, rel: &str, as_: &str, type_: &str) -> &'static [Spot] {
    match tag {
        "img" | "image" | "source" => IMG,
        "script" if type_.trim().eq_ignore_ascii_case("module") => MODULE,
        "audio" | "script" => SRC,
        "video" => VIDEO,
        "input" if type_.eq_ignore_ascii_case("image") => SRC,
        "track" => TRACK,
        "embed" => EMBED,
        "object" => OBJECT,
        "link" => link(rel, as_),
        "body" | "table" | "tbody" | "td" | "tfoot" | "th" | "thead" | "tr" => BACKGROUND,
        _ => &[],
    }
}

/// The attributes of an SVG element.
pub(super) fn svg(tag: &str) -> &'static [Spot] {
    match tag {
        "image" | "feimage" | "script" => SVG_IMAGE,
        "use" => SVG_USE,
        _ => &[],
    }
}

/// What the attribute `name` of an element makes the browser fetch. What may
/// be fetched as one thing or another is ruled as all of them.
pub(super) fn loads(tag: &str, name: &str, rel: &str, as_: &str) -> &'static [Fetch] {
    match (tag, name) {
        (_, "style") => Fetch::SHEET,
        ("script", _) => &[Fetch::Script],
        ("link", "href") => link_loads(rel, as_),
        ("audio" | "track", _) | ("source" | "video", "src") => &[Fetch::Media],
        ("embed" | "object" | "use", _) => Fetch::ALL,
        _ => &[Fetch::Image],
    }
}

fn link_loads(rel: &str, as_: &str) -> &'static [Fetch] {
    let is =
        |name: &str| rel.split_ascii_whitespace().any(|token| token.eq_ignore_ascii_case(name));
    if is("stylesheet") {
        return Fetch::SHEET;
    }
    if is("manifest") || is("modulepreload") {
        return &[Fetch::Script];
    }
    if !is("preload") && !is("prefetch") {
        return &[Fetch::Image];
    }
    match as_.to_ascii_lowercase().as_str() {
        "font" => &[Fetch::Font],
        "image" => &[Fetch::Image],
        "script" => &[Fetch::Script],
        "style" => Fetch::SHEET,
        _ => Fetch::ALL,
    }
}

fn link(rel: &str, as_: &str) -> &'static [Spot] {
    let is =
        |name: &str| rel.split_ascii_whitespace().any(|token| token.eq_ignore_ascii_case(name));
    if is("manifest") {
        return LINK_MANIFEST;
    }
    if ["preload", "prefetch"].into_iter().any(is) {
        // What is fetched ahead must be what is used, and these are used under URLs that stay.
        let stays = ["document", "fetch", "frame", "iframe", "sharedworker", "worker"];
        return if stays.iter().any(|kind| as_.eq_ignore_ascii_case(kind)) { &[] } else { LINK };
    }
    if is("modulepreload") {
        return LINK_MODULE;
    }
    if LINK_RELS.into_iter().any(is) { LINK } else { &[] }
}

const LINK_RELS: [&str; 6] = [
    "apple-touch-icon",
    "apple-touch-icon-precomposed",
    "apple-touch-startup-image",
    "icon",
    "mask-icon",
    "stylesheet",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_reference_by_its_tokens() {
        let table = [
            ("stylesheet", "", true),
            ("alternate STYLESHEET", "", true),
            ("shortcut icon", "", true),
            ("preload", "font", true),
            ("preload", "fetch", false),
            ("prefetch", "", true),
            ("prefetch", "document", false),
            ("alternate", "", false),
            ("canonical", "", false),
            ("next", "", false),
            ("stylesheets", "", false),
            ("", "", false),
        ];
        for (rel, as_, is_reference) in table {
            assert_eq!(!link(rel, as_).is_empty(), is_reference, "{rel} {as_}");
        }
        assert_eq!(link("manifest", ""), LINK_MANIFEST);
    }
}
