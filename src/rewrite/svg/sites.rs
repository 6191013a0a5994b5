//! Which attributes of which SVG elements are references, and of what kind. A
//! closed table: links, gradients and paths are never touched.

use super::super::Site;

/// How a value is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// One URL.
    Url(Site),
    /// Declarations, or a sheet of them.
    Style,
    /// The value of one property; of one that takes SVG elements, or not.
    Value { elements: bool },
}

/// What the `href` of an element is, if it is a reference.
pub(super) fn href(element: &[u8]) -> Option<Form> {
    match element {
        b"feImage" | b"image" | b"script" => Some(Form::Url(Site::Plain)),
        // Browsers refuse `use` of another origin, whatever CORS says.
        b"use" => Some(Form::Url(Site::SameOrigin)),
        _ => None,
    }
}

/// What an attribute without a namespace is on any element, besides `href`.
pub(super) fn attribute(name: &[u8]) -> Option<Form> {
    match name {
        b"style" => Some(Form::Style),
        b"cursor" => Some(Form::Value { elements: false }),
        b"clip-path" | b"fill" | b"filter" | b"marker-end" | b"marker-mid" | b"marker-start"
        | b"mask" | b"stroke" => Some(Form::Value { elements: true }),
        _ => None,
    }
}
