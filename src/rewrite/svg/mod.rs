//! SVG files. The XML reader only tells where references stand; a file that is
//! not well-formed, or is deeper than browsers go, is left alone whole. Entities
//! that a document defines for itself are never expanded.

mod sites;
mod spots;
#[cfg(test)]
mod tests;

use url::Url;

use super::css::{self, Extent};
use super::excerpt::{Excerpt, XmlPart};
use super::replacements::{Occurrence, Replacements};
use super::{Reason, Resolver, Summary};
use sites::Form;
use spots::Spot;

/// Largest file that is looked at, in bytes.
const SVG_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Rewrites an SVG file that lies at `url`.
///
/// `href` and `xlink:href` of `image`, `feImage`, `script` and `use`, the
/// contents of `style`, `style` attributes, presentation attributes with
/// `url()`, and `<?xml-stylesheet?>` are references. One of more than 32 MiB,
/// or in UTF-16, is left alone.
pub fn rewrite_svg(bytes: &[u8], url: &Url, resolver: &dyn Resolver) -> (Vec<u8>, Summary) {
    let mut replacements = Replacements::new(resolver, url, url);
    if bytes.len() > SVG_BYTES_MAX {
        replacements.skip(Reason::Memory);
        return replacements.apply(bytes);
    }
    if !super::charset_is_safe(None, &bytes[..bytes.len().min(3)]) {
        replacements.skip(Reason::Charset);
        return replacements.apply(bytes);
    }
    match spots::spots(Excerpt::verbatim(bytes, 0).text()) {
        Ok(spots) => spots.iter().for_each(|spot| consider(spot, bytes, &mut replacements)),
        Err((reason, offset)) => replacements.skip_at(reason, offset),
    }
    replacements.apply(bytes)
}

fn consider(spot: &Spot, bytes: &[u8], replacements: &mut Replacements<'_>) {
    let (Some(first), Some(last)) = (spot.parts.first(), spot.parts.last()) else { return };
    let (start, end) = (first.at.start, last.at.end);
    let within = |part: &XmlPart| XmlPart {
        at: part.at.start - start..part.at.end - start,
        escaped: part.escaped,
    };
    let parts: Vec<XmlPart> = spot.parts.iter().map(within).collect();
    let Some(excerpt) = Excerpt::xml(&bytes[start..end], start, &parts) else {
        return replacements.skip_at(Reason::Entity, start);
    };
    let text = excerpt.text();
    match spot.form {
        Form::Url(site) => {
            let found = Occurrence { text, span: 0..text.len(), site, bar: None };
            replacements.consider(&excerpt, &found);
        }
        Form::Style => css::references(&excerpt, replacements, Extent::Inline),
        Form::Value { elements } => {
            css::references(&excerpt, replacements, Extent::Value { elements });
        }
    }
}
