//! Media types by file name: the same answer on every machine.

use super::AssetPath;

/// Extensions whose type the table behind `mime_guess` lacks or dates.
const OWN: &[(&str, &str)] = &[
    ("cjs", "text/javascript"),
    ("js", "text/javascript"),
    ("map", "application/json"),
    ("mjs", "text/javascript"),
    ("md", "text/markdown"),
    ("ts", "text/plain"),
    ("webmanifest", "application/manifest+json"),
];

/// Types that are not text and are not compressed by their own format. What
/// is not listed, such as `font/woff2` or `image/png`, is.
const COMPRESSIBLE: &[&str] = &[
    "application/ecmascript",
    "application/font-sfnt",
    "application/javascript",
    "application/json",
    "application/rtf",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-ttf",
    "application/x-javascript",
    "application/xml",
    "application/yaml",
    "font/collection",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/x-ms-bmp",
    "model/obj",
];

/// The `Content-Type` of an asset, with `charset=utf-8` where the type is text.
/// Files of unknown type are `application/octet-stream`.
pub fn content_type(path: &AssetPath) -> String {
    let extension = path.split_extension().1.unwrap_or_default().to_ascii_lowercase();
    let own = OWN.iter().find(|(known, _)| *known == extension).map(|(_, media)| *media);
    let guessed = || mime_guess::from_ext(&extension).first_raw();
    let media = own.or_else(guessed).unwrap_or("application/octet-stream");
    if is_text(media) { format!("{media}; charset=utf-8") } else { media.to_owned() }
}

/// Whether a browser would run or render documents of this type, so that it
/// must be sandboxed when it comes from the bucket under a name of its own.
pub fn is_active(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.ends_with("+xml") || matches!(essence, "text/html" | "text/xml" | "application/xml")
}

/// Whether a browser renders documents of this type as a page.
pub fn is_html(content_type: &str) -> bool {
    matches!(essence(content_type), "text/html" | "application/xhtml+xml")
}

/// Whether a browser runs files of this type as scripts or modules.
pub fn is_script(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence.eq_ignore_ascii_case("text/javascript")
        || essence.eq_ignore_ascii_case("application/javascript")
}

/// Whether a file of this type is a web manifest by its name. Many are called
/// `manifest.json`, which may be anything.
pub fn is_web_manifest(content_type: &str) -> bool {
    essence(content_type) == "application/manifest+json"
}

/// Whether a content coding makes files of this type smaller.
pub fn is_compressible(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || COMPRESSIBLE.contains(&essence.as_str())
}

/// The type without parameters: `text/html` of `text/html; charset=utf-8`.
pub fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn is_text(media: &str) -> bool {
    media.starts_with("text/")
        || matches!(media, "application/json" | "application/manifest+json" | "application/xml")
        || media.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_web_platform_are_known() {
        let table = [
            ("a.css", "text/css; charset=utf-8"),
            ("a.HTML", "text/html; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.js.map", "application/json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.webmanifest", "application/manifest+json; charset=utf-8"),
            ("a.woff2", "font/woff2"),
            ("a.avif", "image/avif"),
            ("a.wasm", "application/wasm"),
            ("a.jpg", "image/jpeg"),
            ("LICENSE", "application/octet-stream"),
        ];
        for (path, expected) in table {
            assert_eq!(content_type(&AssetPath::parse(path).unwrap()), expected, "{path}");
        }
    }

    #[test]
    fn documents_are_active_and_data_is_not() {
        assert!(is_active("text/html; charset=utf-8"));
        assert!(is_active("image/svg+xml"));
        assert!(!is_active("text/css"));
        assert!(!is_active("image/png"));
    }
}
