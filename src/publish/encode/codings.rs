//! Which assets are published in content codings as well. Pure, and the one
//! place that decides it.

use crate::asset::{AssetPath, media};
use crate::publish::options::Options;
use crate::publish::rules::Compress;
use crate::semantics::encoding::Coding;

/// Below this many bytes a coding saves less than its header fields cost.
const BYTES_MIN: u64 = 256;

/// Largest asset that is coded, in bytes, as it is held in memory. A publish
/// of one of this size peaked below 300 MiB, encoders included.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The codings that an asset may have: those that a rule names, or else all of
/// them if its type is one that compresses.
///
/// Depends on nothing but its arguments, so that the same tree makes the same
/// manifest on every machine.
pub(super) fn codings(
    path: &AssetPath,
    content_type: &str,
    size: u64,
    options: &Options,
) -> Vec<Coding> {
    if !options.compress || !(BYTES_MIN..=BYTES_MAX).contains(&size) {
        return Vec::new();
    }
    match options.rules.for_path(path).compress.value {
        Some(Compress::Yes) => Coding::ALL.into(),
        Some(Compress::No) => Vec::new(),
        Some(Compress::Only(codings)) => codings.clone(),
        None if media::is_compressible(content_type) => Coding::ALL.into(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Channel;
    use crate::rewrite::PublicBase;

    fn options(compress: bool) -> Options {
        let channel = Channel::parse("production").unwrap();
        let options = Options::new(channel, PublicBase::default(), PublicBase::default());
        Options { compress, ..options }
    }

    fn is_tried(name: &str, size: u64, compress: bool) -> bool {
        let path = AssetPath::parse(name).unwrap();
        let codings = codings(&path, &media::content_type(&path), size, &options(compress));
        assert!(codings.is_empty() || codings == Coding::ALL);
        !codings.is_empty()
    }

    #[test]
    fn types_that_are_not_compressed_yet_are_coded() {
        for name in [
            "a.css",
            "a.js",
            "a.mjs",
            "a.html",
            "a.json",
            "a.js.map",
            "a.svg",
            "a.xml",
            "a.txt",
            "a.webmanifest",
            "a.wasm",
            "a.ttf",
            "a.otf",
            "a.eot",
            "a.ico",
            "a.bmp",
            "a.md",
            "a.atom",
            "a.rss",
            "a.csv",
            "a.xhtml",
        ] {
            assert!(is_tried(name, 1000, true), "{name}");
        }
        for name in [
            "a.woff", "a.woff2", "a.png", "a.jpg", "a.avif", "a.webp", "a.gif", "a.zip", "a.gz",
            "a.br", "a.mp4", "a.webm", "a.mp3", "a.pdf", "LICENSE",
        ] {
            assert!(!is_tried(name, 1000, true), "{name}");
        }
    }

    #[test]
    fn size_and_options_decide_as_well() {
        for (size, compress, tried) in [
            (BYTES_MIN - 1, true, false),
            (BYTES_MIN, true, true),
            (BYTES_MAX, true, true),
            (BYTES_MAX + 1, true, false),
            (BYTES_MIN, false, false),
        ] {
            assert_eq!(is_tried("a.css", size, compress), tried, "{size} {compress}");
        }
    }
}
