//! References in style sheets, `style` elements and `style` attributes, found
//! through the tokens of cssparser. Nothing is parsed beyond what tells a URL
//! from a string: unknown and broken rules pass through as they are.

mod scan;

use url::Url;

use super::excerpt::Excerpt;
use super::replacements::{Occurrence, Replacements};
use super::{Reason, Resolver, Summary};
use scan::{Found, Seen};

/// Rewrites a whole style sheet that lies at `sheet`.
///
/// `url()` quoted or not, `src()`, `@import` in both forms, the strings of
/// `image-set()`, and a `sourceMappingURL` at the very end are references.
/// In a sheet of another charset than UTF-8 only those in ASCII are seen; one
/// in UTF-16 is left alone.
pub fn rewrite_css(bytes: &[u8], sheet: &Url, resolver: &dyn Resolver) -> (Vec<u8>, Summary) {
    let mut replacements = Replacements::new(resolver, sheet, sheet);
    if !super::charset_is_safe(None, &bytes[..bytes.len().min(3)]) {
        replacements.skip(Reason::Charset);
        return replacements.apply(bytes);
    }
    let excerpt = Excerpt::verbatim(bytes, 0);
    references(&excerpt, &mut replacements, Extent::Sheet);
    replacements.apply(bytes)
}

/// What the text is a whole of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extent {
    /// A file; its last comment may name a source map.
    Sheet,
    /// Content of an element or of an attribute.
    Inline,
    /// The value of a declaration; of a property that takes SVG elements, or not.
    Value { elements: bool },
}

/// Hands all references of `excerpt` to `replacements`.
pub(super) fn references(
    excerpt: &Excerpt<'_>,
    replacements: &mut Replacements<'_>,
    extent: Extent,
) {
    scan::scan(excerpt.text(), extent, |seen| match seen {
        Seen::Use { name, within } => replacements.see_use(name, within),
        Seen::Url(Found { text, span, property, site }) => {
            let occurrence = Occurrence { text, span, site, bar: None };
            match property.filter(|_| is_relative(text)) {
                None => {
                    replacements.consider(excerpt, &occurrence);
                }
                // It is resolved where `var()` is used, which may be another sheet.
                Some(name) => replacements.consider_in(name, excerpt, &occurrence),
            }
        }
    });
}

/// Whether `text` depends on the path of the sheet it is read in.
fn is_relative(text: &str) -> bool {
    let text = text.trim_start();
    !text.starts_with(['/', '\\', '#'])
        && Url::parse(text) == Err(url::ParseError::RelativeUrlWithoutBase)
}

#[cfg(test)]
mod tests;
