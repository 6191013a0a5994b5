//! Bearer tokens, compared without telling by time how much of one was right.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// What a request may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    /// It bears a known token.
    Granted,
    /// It bears another one.
    Denied,
    /// It bears none, or none is known.
    Anonymous,
}

/// The known tokens, as digests: equally long, and of no use to a reader of
/// memory. Others may take their place at any time.
#[derive(Default)]
pub(crate) struct Tokens(ArcSwap<Vec<[u8; 32]>>);

impl Tokens {
    /// Empty tokens are no tokens.
    pub(super) fn new(tokens: &[SecretString]) -> Self {
        let known = Self::default();
        known.replace(tokens);
        known
    }

    /// Knows these from now on, and no longer those before.
    pub(crate) fn replace(&self, tokens: &[SecretString]) {
        let texts = tokens.iter().map(|token| token.expose_secret().trim());
        let digests = texts.filter(|text| !text.is_empty()).map(digest).collect();
        self.0.store(Arc::new(digests));
    }

    /// What the request with these fields may do.
    pub(super) fn access(&self, headers: &HeaderMap) -> Access {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let (line, more) = (lines.next().and_then(|line| line.to_str().ok()), lines.next());
        let scheme_and_token =
            line.filter(|_| more.is_none()).and_then(|line| line.split_once(' '));
        match scheme_and_token {
            Some((scheme, token))
                if scheme.eq_ignore_ascii_case("bearer") && !self.0.load().is_empty() =>
            {
                let presented = digest(token.trim());
                let known = |all: Choice, known: &[u8; 32]| all | known.ct_eq(&presented);
                let known = self.0.load().iter().fold(Choice::from(0), known);
                if bool::from(known) { Access::Granted } else { Access::Denied }
            }
            _ => Access::Anonymous,
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.load().len())
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_token_is_granted_access() {
        let known = Tokens::new(&["one".into(), " two\n".into(), "".into()]);
        let none = Tokens::new(&["".into()]);
        for (tokens, line, access) in [
            (&known, Some("Bearer one"), Access::Granted),
            (&known, Some("bearer two"), Access::Granted),
            (&known, Some("Bearer on"), Access::Denied),
            (&known, Some("Bearer "), Access::Denied),
            (&known, Some("Basic one"), Access::Anonymous),
            (&known, Some("one"), Access::Anonymous),
            (&known, None, Access::Anonymous),
            (&none, Some("Bearer "), Access::Anonymous),
            (&none, Some("Bearer one"), Access::Anonymous),
        ] {
            let headers = line.map(|line| (AUTHORIZATION, line.parse().unwrap()));
            assert_eq!(tokens.access(&headers.into_iter().collect()), access, "{line:?}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(AUTHORIZATION, "Bearer one".parse().unwrap());
        }
        assert_eq!(known.access(&twice), Access::Anonymous);
    }

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(format!("{:?}", Tokens::new(&["secret".into()])), "Tokens(1)");
    }
}
