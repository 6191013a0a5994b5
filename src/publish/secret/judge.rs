//! What a secret looks like: the shape its issuer documents, and signs that it
//! is a real one and not the example of a manual.

/// What a secret is, for messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::publish) struct Secret {
    /// With its article: `a private key`.
    pub(in crate::publish) what: &'static str,
    /// Whether it may be meant to be public.
    pub(in crate::publish) may_be_public: bool,
}

/// A kind of secret: what it begins with, and what has to follow.
pub(super) struct Shape {
    pub(super) prefix: &'static str,
    what: &'static str,
    follows: Follows,
}

/// What follows a prefix.
enum Follows {
    /// One of `next`, and a token of so many characters: at least, or exactly.
    Token { next: &'static [&'static [u8]], characters: fn(u8) -> bool, least: usize, exact: bool },
    /// The label of a private key in PEM form (RFC 7468), and its first line.
    Pem,
    /// The rest of an AWS key's id; the key itself stands near it.
    AwsId,
}

/// Different characters that a random token of any shape has at least.
const DIFFERENT_MIN: usize = 10;

/// The shortest run of base64 that is taken for the first line of a key.
const KEY_LINE_BYTES: usize = 32;

/// Longest label of a private key: `ENCRYPTED PRIVATE KEY`, with room.
const LABEL_BYTES_MAX: usize = 40;

/// How far from an AWS key's id the key is looked for.
const AWS_NEAR_BYTES: usize = 400;

const AWS_ID_BYTES: usize = 20;
const AWS_KEY_BYTES: usize = 40;

/// Few prefixes, because the search is several times as fast with a dozen as
/// with two.
pub(super) const SHAPES: &[Shape] = &[
    Shape { prefix: "-----BEGIN ", what: "a private key", follows: Follows::Pem },
    Shape { prefix: "AKIA", what: "an AWS access key", follows: Follows::AwsId },
    Shape {
        prefix: "K00",
        what: "a B2 application key",
        follows: Follows::Token { next: DIGITS, characters: is_base64, least: 27, exact: true },
    },
    token("ghp_", "a GitHub token", is_alphanumeric, 36),
    token("gho_", "a GitHub token", is_alphanumeric, 36),
    token("ghs_", "a GitHub token", is_alphanumeric, 36),
    token("ghu_", "a GitHub token", is_alphanumeric, 36),
    token("github_pat_", "a GitHub token", is_word, 60),
    Shape {
        prefix: "xox",
        what: "a Slack token",
        follows: Follows::Token { next: SLACK, characters: is_slack, least: 20, exact: false },
    },
    token("sk_live_", "a Stripe key", is_alphanumeric, 24),
    token("rk_live_", "a Stripe key", is_alphanumeric, 24),
    exact_token("npm_", "an npm token", is_alphanumeric, 36),
    exact_token(GOOGLE, "a Google API key", is_url_base64, 35),
];

/// The number of a B2 cluster.
const DIGITS: &[&[u8]] = &[b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"];

/// What a Slack token is for: bots, apps, people, refreshing, workspaces.
const SLACK: &[&[u8]] = &[b"a-", b"b-", b"p-", b"r-", b"s-"];

/// Keys for the browser begin like those for servers.
const GOOGLE: &str = "AIza";

const fn token(
    prefix: &'static str,
    what: &'static str,
    characters: fn(u8) -> bool,
    least: usize,
) -> Shape {
    let follows = Follows::Token { next: &[b""], characters, least, exact: false };
    Shape { prefix, what, follows }
}

const fn exact_token(
    prefix: &'static str,
    what: &'static str,
    characters: fn(u8) -> bool,
    length: usize,
) -> Shape {
    let follows = Follows::Token { next: &[b""], characters, least: length, exact: true };
    Shape { prefix, what, follows }
}

impl Shape {
    /// The secret that begins at `at`, if it is one.
    pub(super) fn judge(&self, window: &[u8], at: usize) -> Option<Secret> {
        let before = at.checked_sub(1).map(|last| window[last]);
        let after = &window[at + self.prefix.len()..];
        let is_secret = match self.follows {
            Follows::Token { next, characters, least, exact } => {
                let mut rests = next.iter().filter_map(|next| after.strip_prefix(*next));
                stands_alone(before, characters)
                    && rests.any(|rest| is_token(rest, characters, least, exact))
            }
            Follows::Pem => is_private_key(after),
            Follows::AwsId => {
                stands_alone(before, is_alphanumeric)
                    && is_token(after, is_upper_or_digit, AWS_ID_BYTES - self.prefix.len(), true)
                    && has_aws_key_near(window, at)
            }
        };
        let may_be_public = self.prefix == GOOGLE;
        is_secret.then_some(Secret { what: self.what, may_be_public })
    }
}

/// A file that is a store of keys by its first bytes: PKCS#12, two of Java's,
/// and PuTTY's.
pub(super) fn key_store(head: &[u8]) -> Option<Secret> {
    let java = head.starts_with(b"\xfe\xed\xfe\xed") || head.starts_with(b"\xce\xce\xce\xce");
    let putty = head.starts_with(b"PuTTY-User-Key-File-");
    let what = "a store of private keys";
    (java || putty || is_pkcs12(head)).then_some(Secret { what, may_be_public: false })
}

/// A DER sequence of the version 3 and another sequence (RFC 7292 §4).
fn is_pkcs12(head: &[u8]) -> bool {
    let inside = match head {
        [0x30, 0x80, rest @ ..] => rest,
        [0x30, 0x82, _, _, rest @ ..] => rest,
        [0x30, 0x83, _, _, _, rest @ ..] => rest,
        _ => return false,
    };
    inside.starts_with(&[0x02, 0x01, 0x03, 0x30])
}

/// Whether the token begins here and not in the midst of a longer text.
fn stands_alone(before: Option<u8>, characters: fn(u8) -> bool) -> bool {
    before.is_none_or(|b| !is_word(b) && !characters(b))
}

fn is_token(after: &[u8], characters: fn(u8) -> bool, least: usize, exact: bool) -> bool {
    let length = after.iter().take_while(|b| characters(**b)).count();
    let long_enough = if exact { length == least } else { length >= least };
    long_enough && is_random(&after[..length])
}

/// Whether a text may have come from a random source: placeholders repeat few
/// characters, or say what they are.
fn is_random(text: &[u8]) -> bool {
    let mut seen = [false; 256];
    text.iter().for_each(|b| seen[usize::from(*b)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    let says_so = |word: &[u8]| text.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    let has_digit = text.iter().any(u8::is_ascii_digit);
    let words: [&[u8]; 4] = [b"example", b"xxxxx", b"your", b"123456789"];
    different >= DIFFERENT_MIN && has_digit && !words.into_iter().any(says_so)
}

/// The label of a private key, the end of its line in any notation, and the
/// beginning of the key. The label alone is not enough: what reads keys names it.
fn is_private_key(after: &[u8]) -> bool {
    let label = &after[..after.len().min(LABEL_BYTES_MAX)];
    let Some(end) = label.windows(5).position(|dashes| dashes == b"-----") else { return false };
    let is_private =
        label[..end].ends_with(b"PRIVATE KEY") || label[..end].ends_with(b"PRIVATE KEY BLOCK");
    if !is_private {
        return false;
    }
    let body = behind_line_break(&after[end + 5..]);
    let headers = [&b"Proc-Type:"[..], b"Version:", b"Comment:"];
    if headers.iter().any(|header| body.starts_with(header)) {
        return true;
    }
    let line = body.iter().take_while(|b| is_base64(**b)).count();
    line >= KEY_LINE_BYTES && is_random(&body[..line])
}

/// What stands behind a line break, as it is or escaped in a text of JSON or a
/// script, where lines may be joined with `+`.
fn behind_line_break(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b'\\', b'n' | b'r' | b't', rest @ ..] => rest,
            [b'"' | b'\'' | b'`' | b'+' | b',' | b'\\', rest @ ..] => rest,
            [b, rest @ ..] if b.is_ascii_whitespace() => rest,
            _ => return text,
        };
    }
}

/// Whether a run that can be an AWS secret key stands near the id at `at`.
fn has_aws_key_near(window: &[u8], at: usize) -> bool {
    let behind = at.saturating_sub(AWS_NEAR_BYTES);
    let ahead = window.len().min(at + AWS_ID_BYTES + AWS_NEAR_BYTES);
    let near = &window[behind..ahead];
    near.split(|b| !is_base64(*b)).any(|run| {
        let has = |kind: fn(&u8) -> bool| run.iter().any(kind);
        run.len() == AWS_KEY_BYTES
            && is_random(run)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_lowercase)
    })
}

fn is_alphanumeric(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn is_slack(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-'
}

fn is_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')
}

fn is_url_base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

fn is_upper_or_digit(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}
