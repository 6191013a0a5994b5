use super::*;

/// The first line of a key that was made for this test.
const KEY_LINE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
const AWS_KEY: &str = "tQ8rZk3VbN1mLw7cXe5Hy9Gd2Ks4Pf6JaUoTiEvR";

fn found(bytes: &[u8]) -> Vec<(&'static str, usize, usize)> {
    let prefixes = Prefixes::known();
    let mut search = prefixes.search();
    search.update(bytes);
    let found = search.finish().into_iter();
    found.map(|Found { secret, line, column }| (secret.what, line, column)).collect()
}

fn what(text: &str) -> Option<&'static str> {
    found(text.as_bytes()).first().map(|(what, ..)| *what)
}

/// Tokens are put together here, so that no file holds what looks like one.
fn tokens() -> Vec<(String, &'static str)> {
    let random = "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xY3zA5bC7dE9fG2hJ4kL6mN8pQ1rS3tU5vW7xY";
    let token = |prefix: &str, length: usize| format!("{prefix}{}", &random[..length]);
    vec![
        (token("ghp_", 36), "a GitHub token"),
        (token("gho_", 36), "a GitHub token"),
        (token("ghs_", 40), "a GitHub token"),
        (token("github_pat_", 68), "a GitHub token"),
        (token("xoxb-", 30), "a Slack token"),
        (token("sk_live_", 24), "a Stripe key"),
        (token("rk_live_", 30), "a Stripe key"),
        (token("npm_", 36), "an npm token"),
        (token("K005", 27), "a B2 application key"),
        (token("AIza", 35), "a Google API key"),
        (format!("{} {AWS_KEY}", token_id()), "an AWS access key"),
    ]
}

fn token_id() -> String {
    format!("AKIA{}", "Z7Q2M5X8K3V6N9B4")
}

#[test]
fn tokens_of_known_issuers_are_found() {
    for (token, expected) in tokens() {
        for text in
            [token.clone(), format!("key = \"{token}\"\n"), format!("{{\"k\":\"{token}\"}}")]
        {
            assert_eq!(what(&text), Some(expected), "{text}");
        }
    }
}

#[test]
fn what_only_looks_alike_is_not_found() {
    let random = "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xY3zA5bC7dE9fG";
    let table = [
        format!("ghp_{}", &random[..20]),
        format!("ghp_{}", "x".repeat(36)),
        format!("aghp_{}", &random[..36]),
        format!("npm_{}", &random[..40]),
        "npm_config_registry_something_long_enough_0".to_owned(),
        format!("K005{}", &random[..30]),
        format!("QK005{}", &random[..27]),
        format!("/K005{}", &random[..27]),
        format!("AIza{}", &random[..36]),
        "xoxb-1234-your-token-here".to_owned(),
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
        token_id(),
        format!("{} da39a3ee5e6b4b0d3255bfef95601890afd80709", token_id()),
        format!("{} {}", token_id(), "AbC1/EXAMPLEKEY+aB3dE5fG7hJ9kL2mN4pQ6rS8"),
        format!("AKIAIOSFODNN7{} {AWS_KEY}", "EXAMPLE"),
    ];
    for text in table {
        assert_eq!(what(&text), None, "{text}");
    }
}

#[test]
fn an_aws_key_is_found_before_and_behind_its_id_but_not_far_away() {
    let id = token_id();
    assert!(what(&format!("secret={AWS_KEY}\nid={id}\n")).is_some());
    assert!(what(&format!("{id}{}{AWS_KEY} ", " ".repeat(300))).is_some());
    assert!(what(&format!("{id}{}{AWS_KEY} ", " ".repeat(500))).is_none());
}

#[test]
fn private_keys_are_found_in_any_notation() {
    for label in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
        let begin = format!("-----BEGIN {label}PRIVATE KEY-----");
        let table = [
            format!("{begin}\n{KEY_LINE}\n"),
            format!("x\r\n{begin}\r\n{KEY_LINE}\r\n"),
            format!("  key: |\n    {begin}\n    {KEY_LINE}\n"),
            format!("{{\"private_key\": \"{begin}\\n{KEY_LINE}\\n\"}}"),
            format!("'{begin}\\r\\n' +\n  '{KEY_LINE}'"),
            format!("{begin}\nProc-Type: 4,ENCRYPTED\n"),
        ];
        for text in table {
            assert_eq!(what(&text), Some("a private key"), "{text}");
        }
    }
    let pgp = format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{KEY_LINE}\n");
    assert_eq!(what(&pgp), Some("a private key"));
}

#[test]
fn a_mention_of_a_private_key_is_not_one() {
    let mentions = [
        format!("-----BEGIN PUBLIC KEY-----\n{KEY_LINE}\n"),
        format!("-----BEGIN CERTIFICATE-----\n{KEY_LINE}\n"),
        "-----BEGIN PRIVATE KEY-----\n...\n".to_owned(),
        "if (pem.startsWith('-----BEGIN PRIVATE KEY-----')) return pem.slice(27)".to_owned(),
        format!("-----BEGIN PRIVATE KEY-----\n{}\n", "A".repeat(64)),
        "-----BEGIN ".to_owned(),
        String::new(),
    ];
    for text in mentions {
        assert_eq!(what(&text), None, "{text}");
    }
}

#[test]
fn stores_of_keys_are_known_by_their_first_bytes() {
    let table: [(&[u8], bool); 8] = [
        (b"\x30\x82\x0a\x01\x02\x01\x03\x30\x82", true),
        (b"\x30\x80\x02\x01\x03\x30\x80", true),
        (b"\xfe\xed\xfe\xed\0\0\0\x02", true),
        (b"\xce\xce\xce\xce\0\0\0\x02", true),
        (b"PuTTY-User-Key-File-3: ssh-ed25519", true),
        (b"\x30\x82\x0a\x01\x30\x82", false),
        (b"x\xfe\xed\xfe\xed", false),
        (b"\x30", false),
    ];
    for (head, expected) in table {
        assert_eq!(found(head).len(), usize::from(expected), "{head:?}");
    }
}

#[test]
fn a_secret_is_found_wherever_a_file_is_cut_and_at_its_place() {
    let before = "//\n".repeat(700);
    let token = &tokens()[0].0;
    let text = format!("{before}let t = '{token}';\n{before}");
    let prefixes = Prefixes::known();
    for length in [1, 7, 64, 1000, 4096] {
        let mut search = prefixes.search();
        text.as_bytes().chunks(length).for_each(|chunk| search.update(chunk));
        let found = search.finish();
        let places: Vec<_> = found.iter().map(|found| (found.line, found.column)).collect();
        assert_eq!(places, [(701, 10)], "{length}");
    }
}

#[test]
fn a_key_behind_the_first_megabyte_is_found_and_memory_stays_small() {
    let prefixes = Prefixes::known();
    let mut search = prefixes.search();
    for _ in 0..64 {
        search.update(&[b'x'; 16 * 1024]);
        assert!(search.window.len() <= AHEAD_BYTES + BEHIND_BYTES);
    }
    search.update(format!("\n-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n").as_bytes());
    assert_eq!(search.finish().len(), 1);
}

#[test]
fn a_file_full_of_secrets_is_told_with_a_few() {
    let text = format!("{}\n", tokens()[0].0).repeat(1000);
    assert_eq!(found(text.as_bytes()).len(), FOUND_MAX);
}
