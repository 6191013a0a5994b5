//! Rules that a source tree must keep, as pure functions over names and bytes.
//!
//! Secrets are found by well-known names, and by the first lines of a private
//! key. There is no override: such a file is renamed, removed or ignored.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

use super::problem::Problem;
use crate::asset::AssetPath;

/// Names of files that hold credentials.
const SECRET_NAMES: &[&str] = &[".htpasswd", ".npmrc", "id_ed25519", "id_rsa"];

/// Extensions of files that hold private keys.
const SECRET_EXTENSIONS: &[&str] = &["key", "pem"];

/// The shortest line of base64 that is taken for the body of a key.
const KEY_LINE_BYTES: usize = 32;

/// Why a file of this name is not published, if it is not.
pub(super) fn secret_name(file_name: &str) -> Option<String> {
    let lower = file_name.to_ascii_lowercase();
    let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
    let secret = lower.starts_with(".env")
        || SECRET_NAMES.contains(&lower.as_str())
        || SECRET_EXTENSIONS.contains(&extension);
    secret.then(|| format!("`{file_name}` usually holds a secret: remove it, or ignore it"))
}

/// Whether some line of `bytes` begins a private key in PEM form (RFC 7468).
///
/// The header alone is not enough: scripts that read keys mention it.
pub(super) fn holds_private_key(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).peekable();
    while let Some(line) = lines.next() {
        let header = line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----");
        if header && lines.peek().is_some_and(|next| is_key_line(next)) {
            return true;
        }
    }
    false
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
            Some(first) => problems.push(Problem::error(
                path,
                format!("differs from `{first}` only in letter case or Unicode form"),
            )),
        }
    }
    problems
}

/// The first line behind the header: base64, or a header of an encrypted key.
fn is_key_line(line: &[u8]) -> bool {
    let base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    let body = line.len() >= KEY_LINE_BYTES && line.iter().all(base64);
    body || line.starts_with(b"Proc-Type:")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ];
        for name in refused {
            assert!(secret_name(name).is_some(), "{name} was accepted");
        }
        for name in ["env.js", "id_rsa.pub", "keys.css", "pem", "monkey", "a.keys"] {
            assert!(secret_name(name).is_none(), "{name} was refused");
        }
    }

    #[test]
    fn a_private_key_is_found_and_a_mention_of_one_is_not() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj";
        for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
            let text = format!("x\r\n-----BEGIN {kind}PRIVATE KEY-----\r\n{body}\r\n");
            assert!(holds_private_key(text.as_bytes()), "{kind}");
        }
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert!(holds_private_key(text.as_bytes()));
        let mentions = [
            format!("-----BEGIN PUBLIC KEY-----\n{body}\n"),
            format!("const pem = '-----BEGIN PRIVATE KEY-----\\n{body}';"),
            "-----BEGIN PRIVATE KEY-----\n...\n".to_owned(),
            String::new(),
        ];
        for text in mentions {
            assert!(!holds_private_key(text.as_bytes()), "{text}");
        }
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
