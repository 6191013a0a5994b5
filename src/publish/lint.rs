//! Rules that a source tree must keep, as pure functions over names and bytes.
//!
//! Secrets are found here by well-known names; those inside files are found by
//! `secret`. A rule can say that what looks like one is none.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

use super::problem::{Kind, Problem};
use super::rules::{Policy, Rules};
use crate::asset::{AssetPath, PREFIX_BYTES_MAX};
use crate::manifest::field::is_stored;

/// What to do about a secret.
pub(super) const OR_ELSE: &str =
    "remove it, ignore the file, or let a rule say `severity = { secret = \"warning\" }`";

/// Names of files that hold credentials.
const SECRET_NAMES: &[&str] = &[
    ".dockercfg",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
];

/// Extensions of files that hold private keys.
const SECRET_EXTENSIONS: &[&str] = &["jks", "key", "keystore", "p12", "pem", "pfx", "ppk"];

/// Names that Windows keeps for devices, whatever their extension.
const WINDOWS_DEVICES: &[&str] = &["aux", "con", "nul", "prn"];

/// Characters with a meaning of their own in URLs, or in names on Windows.
const AWKWARD: &[char] = &['#', '?', '%', '<', '>', ':', '"', '|', '*'];

/// Longest segment of a path that all known stores and file systems take, with
/// a fingerprint and a suffix behind it.
const SEGMENT_BYTES_MAX: usize = 200;

/// Bytes of what B2 stores with a file besides its content: names and values
/// of the fields and of awning's own, and the name of the file.
const STORED_BYTES_MAX: usize = 7_000;

/// The same where the bucket encrypts (SSE).
const STORED_ENCRYPTED_BYTES_MAX: usize = 2_048;

/// Bytes of the fields of one response, as servers and proxies commonly take.
const SENT_BYTES_MAX: usize = 8_000;

/// Names of `Cache-Control` and `Content-Type`, and awning's own digest.
const OWN_FIELD_BYTES: usize = 13 + 12 + 6 + 64;

/// What a key has besides the path: prefix, directory, fingerprint, suffix.
const KEY_EXTRA_BYTES: usize = PREFIX_BYTES_MAX + 1 + 2 + 17 + 4;

/// Longest path that all known stores take: Garage's keys have 479 bytes.
const PATH_BYTES_MAX: usize = 400;

/// Why a file of this name is not published, if it is not.
pub(super) fn secret_name(file_name: &str) -> Option<String> {
    let lower = file_name.to_ascii_lowercase();
    let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
    let secret = lower.starts_with(".env")
        || SECRET_NAMES.contains(&lower.as_str())
        || SECRET_EXTENSIONS.contains(&extension);
    secret.then(|| format!("`{file_name}` usually holds a secret: {OR_ELSE}"))
}

/// What is wrong with the name of an asset, as bad as `rules` say.
pub fn named_problems(path: &AssetPath, rules: &Rules) -> Vec<Problem> {
    rules.judge(name_problems(path))
}

/// What is wrong with the name of an asset: it is one that secrets have, or
/// works here, but not everywhere.
pub(super) fn name_problems(path: &AssetPath) -> Vec<Problem> {
    let secret = secret_name(path.file_name());
    let secret = secret.map(|message| Problem::error(path, message).of(Kind::Secret));
    let problem = |message| Problem::warning(path, message).of(Kind::Name);
    secret.into_iter().chain(unwise(path).into_iter().map(problem)).collect()
}

fn unwise(path: &AssetPath) -> Vec<String> {
    let mut unwise = Vec::new();
    if let Some(c) = path.as_str().chars().find(|c| AWKWARD.contains(c)) {
        unwise.push(format!("`{c}` has a meaning of its own in URLs or on Windows"));
    }
    let segments = || path.as_str().split('/');
    if segments().any(|segment| segment.ends_with(['.', ' ']) || segment.starts_with(' ')) {
        unwise.push("a space or dot at an end of a name is lost on Windows and in URLs".into());
    }
    if let Some(device) = segments().find(|segment| is_device(segment)) {
        unwise.push(format!("`{device}` is the name of a device on Windows"));
    }
    if segments().any(|segment| segment.len() > SEGMENT_BYTES_MAX) {
        unwise.push(format!("a name of more than {SEGMENT_BYTES_MAX} bytes is too long for some"));
    }
    if path.as_str().len() > PATH_BYTES_MAX {
        unwise.push(format!("a path of more than {PATH_BYTES_MAX} bytes is too long for some"));
    }
    unwise
}

/// Whether Windows takes the name for a device: `con`, `NUL.txt`, `com1`.
fn is_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let is_port = port.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| matches!(b, b'1'..=b'9')));
    is_port || WINDOWS_DEVICES.contains(&stem.as_str())
}

/// Whether the header fields that rules give to an asset fit where they go.
pub(super) fn field_problems(path: &AssetPath, policy: &Policy<'_>) -> Vec<Problem> {
    let bytes = |stored: bool| -> usize {
        let fields = policy.headers.iter().map(|(name, field)| (name.as_str(), field.value));
        let counted = fields.filter(|(name, _)| !stored || is_stored(name));
        counted.map(|(name, value)| name.len() + value.as_str().len()).sum()
    };
    let own = OWN_FIELD_BYTES + policy.cache_control.value.len() + policy.content_type.value.len();
    let stored = own + bytes(true) + path.as_str().len() + KEY_EXTRA_BYTES;
    let sent = own + bytes(false);
    if stored > STORED_BYTES_MAX {
        let message = format!(
            "the header fields to be stored with it have {stored} bytes with its name: \
             B2 takes {STORED_BYTES_MAX}"
        );
        return vec![Problem::error(path, message)];
    }
    if sent > SENT_BYTES_MAX {
        let message = format!(
            "its header fields have {sent} bytes, more than {SENT_BYTES_MAX}: many proxies refuse them"
        );
        return vec![Problem::error(path, message)];
    }
    if stored > STORED_ENCRYPTED_BYTES_MAX {
        let message = format!(
            "the header fields to be stored with it have {stored} bytes with its name: \
             B2 takes {STORED_ENCRYPTED_BYTES_MAX} where the bucket is encrypted"
        );
        return vec![Problem::warning(path, message)];
    }
    Vec::new()
}

/// Pairs of paths that a file system which folds case, or composes letters,
/// takes for one.
pub(super) fn clashes<'a>(paths: impl IntoIterator<Item = &'a AssetPath>) -> Vec<Problem> {
    let mut seen: BTreeMap<String, &AssetPath> = BTreeMap::new();
    let mut problems = Vec::new();
    for path in paths {
        let folded = path.as_str().nfc().collect::<String>().to_lowercase();
        match seen.get(&folded) {
            None => {
                seen.insert(folded, path);
            }
            Some(first) => problems.push(
                Problem::error(
                    path,
                    format!("differs from `{first}` only in letter case or Unicode form"),
                )
                .of(Kind::Name),
            ),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::{Digest, KeyLayout, ObjectKey};
    use crate::manifest::field::{FieldName, FieldValue};
    use crate::publish::problem::Severity;
    use crate::publish::rules::{Pattern, Rule};
    use crate::semantics::encoding::Coding;

    #[test]
    fn well_known_names_of_secrets_are_refused() {
        let refused = [
            ".env",
            ".env.local",
            ".ENV",
            ".npmrc",
            ".htpasswd",
            "id_rsa",
            "id_ed25519",
            "server.key",
            "server.PEM",
            "store.p12",
            "release.jks",
            ".netrc",
        ];
        for name in refused {
            assert!(secret_name(name).is_some(), "{name} was accepted");
        }
        for name in ["env.js", "id_rsa.pub", "keys.css", "pem", "monkey", "a.keys"] {
            assert!(secret_name(name).is_none(), "{name} was refused");
        }
    }

    #[test]
    fn names_that_do_not_work_everywhere_are_told() {
        let long = "n".repeat(SEGMENT_BYTES_MAX + 1);
        let deep = "directory/".repeat(PATH_BYTES_MAX / 10) + "a.css";
        let table = [
            ("a#b.css", "`#` has a meaning"),
            ("a/b?.css", "`?` has a meaning"),
            ("100%.css", "`%` has a meaning"),
            ("a./b.css", "a space or dot at an end"),
            ("a.css ", "a space or dot at an end"),
            ("a/con", "`con` is the name of a device"),
            ("Aux.js", "`Aux.js` is the name of a device"),
            ("lpt1.css", "`lpt1.css` is the name of a device"),
            (&long, "a name of more than 200 bytes"),
            (&deep, "a path of more than 400 bytes"),
        ];
        for (path, expected) in table {
            let found = name_problems(&AssetPath::parse(path).unwrap());
            assert_eq!(found.len(), 1, "{path}: {found:?}");
            assert!(found[0].message.starts_with(expected), "{path}: {found:?}");
            assert_eq!((found[0].severity, found[0].kind), (Severity::Warning, Kind::Name));
        }
        for path in ["img/een hoed.png", "[slug]-a+b.js", "console.js", "com10", "a..b", ".x"] {
            assert_eq!(name_problems(&AssetPath::parse(path).unwrap()), [], "{path}");
        }
    }

    #[test]
    fn header_fields_fit_where_they_are_stored_and_sent() {
        let path = AssetPath::parse("a.css").unwrap();
        let found = |fields: &[(&str, usize)]| {
            let mut rule = Rule::of(Pattern::parse("**").unwrap());
            for (name, length) in fields {
                let value = FieldValue::parse(&"v".repeat(*length)).unwrap();
                rule.headers.insert(FieldName::parse(name).unwrap(), value);
            }
            let rules = Rules::new(vec![rule]).unwrap();
            let found = field_problems(&path, &rules.for_path(&path));
            found.first().map(|problem| (problem.severity, problem.message.clone()))
        };
        let says = |found: Option<(Severity, String)>, severity, text: &str| {
            let (found, message) = found.unwrap();
            assert!(found == severity && message.contains(text), "{message}");
        };
        assert_eq!(found(&[("content-disposition", 1000), ("x-a", 3000)]), None);
        says(found(&[("content-disposition", 2000)]), Severity::Warning, "takes 2048");
        let both = [("content-disposition", 4000), ("content-language", 3000)];
        says(found(&both), Severity::Error, "takes 7000");
        says(found(&[("x-a", 4000), ("x-b", 4000)]), Severity::Error, "more than 8000");
    }

    #[test]
    fn the_longest_path_fits_into_a_key_with_the_longest_prefix() {
        let path = AssetPath::parse(&"p".repeat(900)).unwrap();
        let key = ObjectKey::for_asset(&path, &Digest::of(b"").fingerprint());
        let prefix = "x".repeat(PREFIX_BYTES_MAX);
        let suffix = Coding::ALL.map(|coding| coding.suffix().len());
        let longest = KeyLayout::under(&prefix).object(&key).len();
        assert!(longest + suffix.into_iter().max().unwrap() <= 1024);
    }

    #[test]
    fn names_that_some_file_systems_take_for_one_clash() {
        let composed = "caf\u{e9}.css";
        let decomposed = "cafe\u{301}.css";
        let paths: Vec<_> = ["A.css", "a.css", "b.css", composed, decomposed]
            .iter()
            .map(|text| AssetPath::parse(text).unwrap())
            .collect();
        let found: Vec<_> = clashes(&paths).into_iter().map(|problem| problem.path).collect();
        assert_eq!(found, ["a.css", decomposed]);
    }
}
