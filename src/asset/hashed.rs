//! Names that other tools made from the content of a file.
//!
//! Vite and Rollup write `app-BsQK3x9d.js`, webpack `main.9c68a1b2.js`, Rails
//! `app-6d58c9e6.css`, Django `app.9a9f5f18de69.css`. The shape proves nothing:
//! whoever asks needs another word for it that the name is one.

use super::AssetPath;

/// Fewest characters of a hash in a name: Propshaft's.
const HASH_CHARS_MIN: usize = 7;

/// Characters of Rollup's hashes, which may hold hyphens.
const ROLLUP_CHARS: usize = 8;

/// Fewest characters of a hash that is the whole stem.
const WHOLE_CHARS_MIN: usize = 16;

/// Whether the name of a file may hold a hash of its content.
pub fn may_be_hashed(path: &AssetPath) -> bool {
    let parts: Vec<&str> = path.file_name().split('.').collect();
    let (stem, rest) = parts.split_first().unwrap_or((&"", &[]));
    is_hash(stem, WHOLE_CHARS_MIN)
        || ends_in_hash(stem)
        || rest.iter().any(|part| is_hash(part, HASH_CHARS_MIN) || ends_in_hash(part))
}

/// Whether a hash follows some hyphen of `part`.
fn ends_in_hash(part: &str) -> bool {
    let behind_last = part.rsplit_once('-').is_some_and(|(_, tail)| is_hash(tail, HASH_CHARS_MIN));
    let rollup = part.len().checked_sub(ROLLUP_CHARS).and_then(|at| part.split_at_checked(at));
    behind_last
        || rollup.is_some_and(|(before, tail)| {
            before.ends_with('-') && is_hash(&tail.replace(['-', '_'], ""), 1)
        })
}

/// Whether `text` looks drawn at random: words have no digits, and one case.
fn is_hash(text: &str, chars_min: usize) -> bool {
    let has = |test: fn(&u8) -> bool| text.bytes().any(|b| test(&b));
    let mixed =
        has(u8::is_ascii_digit) || has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.len() >= chars_min && plain && mixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_build_tools_may_be_hashed_and_plain_names_are_not() {
        let hashed = [
            "assets/app-BsQK3x9d.js",
            "assets/app-B-QK_x9d.js",
            "assets/index-DiwrgTda.css",
            "main.9c68a1b2c3d4.js",
            "main.9c68a1b2.chunk.js",
            "static/9c68a1b2c3d4e5f60718.png",
            "app-6d58c9e6.css",
            "app-6d58c9e6.css.map",
            "app.9a9f5f18de69.css",
            "LICENSE-6d58c9e6",
            "LICENSE.2c54f4e1ca1c",
        ];
        let plain = [
            "app.css",
            "css/vendor-polyfills.js",
            "jquery-3.7.1.min.js",
            "bootstrap.bundle.min.js",
            "manifest.json",
            "font.woff2",
            "app.webmanifest",
            "LICENSE",
            "a.b",
            "-.css",
        ];
        for (names, expected) in [(&hashed[..], true), (&plain[..], false)] {
            for name in names {
                assert_eq!(may_be_hashed(&AssetPath::parse(name).unwrap()), expected, "{name}");
            }
        }
    }
}
