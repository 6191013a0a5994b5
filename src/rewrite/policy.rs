//! Content Security Policies, as far as they decide whether a reference may
//! be replaced: what they pin by a hash, and what they would no longer let load.

use url::Url;

/// What a document fetches, by the directive that rules it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fetch {
    Font,
    Image,
    Media,
    Script,
    Style,
}

impl Fetch {
    /// A style sheet, and what sheets name: their URLs move with them.
    pub(super) const SHEET: &[Self] = &[Self::Style, Self::Image, Self::Font];
    pub(super) const ALL: &[Self] =
        &[Self::Font, Self::Image, Self::Media, Self::Script, Self::Style];

    /// The directives that rule it; the first that is there counts.
    fn directives(self) -> &'static [&'static str] {
        match self {
            Self::Font => &["font-src", "default-src"],
            Self::Image => &["img-src", "default-src"],
            Self::Media => &["media-src", "default-src"],
            Self::Script => &["script-src-elem", "script-src", "default-src"],
            Self::Style => &["style-src-elem", "style-src", "default-src"],
        }
    }
}

/// The policies of one document, all of which hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies(Vec<Directive>);

#[derive(Clone, Debug)]
struct Directive {
    /// The number of the policy that it is of.
    policy: usize,
    name: String,
    sources: Vec<String>,
}

impl Policies {
    /// Takes the value of a header, or of a `meta`: policies between commas.
    pub(super) fn add(&mut self, value: &str) {
        for text in value.split(',') {
            let policy = self.0.last().map_or(0, |last| last.policy + 1);
            for directive in text.split(';') {
                let mut words = directive.split_ascii_whitespace().map(str::to_owned);
                let Some(name) = words.next() else { continue };
                let (name, sources) = (name.to_ascii_lowercase(), words.collect());
                self.0.push(Directive { policy, name, sources });
            }
        }
    }

    /// Whether inline content may be pinned by its hash.
    pub(super) fn pin(&self) -> bool {
        let is_hash = |source: &String| {
            let source = source.to_ascii_lowercase();
            ["'sha256-", "'sha384-", "'sha512-"].iter().any(|hash| source.starts_with(hash))
        };
        self.0.iter().any(|directive| directive.sources.iter().any(is_hash))
    }

    /// Whether a script between tags may run: one without a nonce, or with this.
    pub(super) fn admit_inline_script(&self, nonce: Option<&str>) -> bool {
        let named = nonce.map(|nonce| format!("'nonce-{nonce}'"));
        self.ruling(Fetch::Script).all(|sources| {
            let any = |is: &dyn Fn(&str) -> bool| {
                sources.iter().any(|source| is(&source.to_ascii_lowercase()))
            };
            let bound = any(&|s| s.starts_with("'nonce-") || s.starts_with("'sha"));
            let open =
                any(&|s| s == "'unsafe-inline'") && !bound && !any(&|s| s == "'strict-dynamic'");
            open || sources.iter().any(|source| named.as_ref() == Some(source))
        })
    }

    /// Whether something of `kinds` loads from `from`, but would not from `to`,
    /// in the document at `page`.
    pub(super) fn bar(&self, kinds: &[Fetch], from: &Url, to: &Url, page: &Url) -> bool {
        kinds.iter().any(|kind| {
            let mut ruling = self.ruling(*kind);
            ruling.any(|sources| {
                let admits = |url: &Url| sources.iter().any(|source| admits(source, url, page));
                admits(from) && !admits(to)
            })
        })
    }

    /// Whether `base` may be the base of the document at `page`.
    pub(super) fn admit_base(&self, base: &Url, page: &Url) -> bool {
        let mut rules = self.0.iter().filter(|directive| directive.name == "base-uri");
        rules.all(|rule| rule.sources.iter().any(|source| admits(source, base, page)))
    }

    /// The sources of each policy for this kind.
    fn ruling(&self, kind: Fetch) -> impl Iterator<Item = &Vec<String>> {
        let last = self.0.last().map(|last| last.policy);
        (0..last.map_or(0, |last| last + 1)).filter_map(move |policy| {
            kind.directives().iter().find_map(|name| {
                let mut all = self.0.iter().filter(|found| found.policy == policy);
                all.find(|found| found.name == *name).map(|found| &found.sources)
            })
        })
    }
}

/// Whether a source expression matches a URL (CSP Level 3, §6.7.2.8). Nonces
/// and keywords do not depend on the URL, so they match none here.
fn admits(source: &str, url: &Url, page: &Url) -> bool {
    let source = source.to_ascii_lowercase();
    let host = url.host_str().unwrap_or_default();
    match source.as_str() {
        "*" => return true,
        "'self'" => return url.origin() == page.origin(),
        keyword if keyword.starts_with('\'') => return false,
        _ => {}
    }
    if let Some(scheme) = source.strip_suffix(':') {
        return is_scheme(scheme, url);
    }
    let (scheme, rest) = match source.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => (page.scheme(), source.as_str()),
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    let is_host = match name.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix),
        None => host == name,
    };
    let is_port = match port {
        "*" => true,
        "" => url.port().is_none(),
        port => url.port_or_known_default().is_some_and(|known| known.to_string() == port),
    };
    let found = url.path().to_ascii_lowercase();
    let is_path = if path.is_empty() || path == "/" {
        true
    } else if path.ends_with('/') {
        found.starts_with(path)
    } else {
        found == path
    };
    is_scheme(scheme, url) && is_host && is_port && is_path
}

/// A source for `http` admits `https` too.
fn is_scheme(scheme: &str, url: &Url) -> bool {
    scheme == url.scheme() || (scheme == "http" && url.scheme() == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://shop.nl/winkel/";

    #[test]
    fn a_move_is_barred_where_it_would_end_what_loads() {
        let cdn = "https://cdn.nl/a.fp.png";
        let own = "https://shop.nl/_a/a.fp.png";
        let table: &[(&str, &[Fetch], &str, bool)] = &[
            ("", Fetch::ALL, cdn, false),
            ("img-src 'self'", &[Fetch::Image], cdn, true),
            ("IMG-SRC 'SELF'", &[Fetch::Image], cdn, true),
            ("img-src 'self'", &[Fetch::Image], own, false),
            ("img-src 'self'", &[Fetch::Script], cdn, false),
            ("font-src 'self'", Fetch::SHEET, cdn, true),
            ("default-src 'self'", &[Fetch::Script], cdn, true),
            ("default-src 'self'; script-src cdn.nl 'self'", &[Fetch::Script], cdn, false),
            ("default-src 'self'; script-src-elem *.nl", &[Fetch::Script], cdn, false),
            ("script-src 'nonce-abc' 'strict-dynamic'", &[Fetch::Script], cdn, false),
            ("img-src 'none'", &[Fetch::Image], cdn, false),
            ("img-src *", &[Fetch::Image], cdn, false),
            ("img-src https:", &[Fetch::Image], cdn, false),
            ("img-src 'self' http://cdn.nl/", &[Fetch::Image], cdn, false),
            ("img-src 'self' cdn.nl/img/", &[Fetch::Image], cdn, true),
            ("img-src 'self' cdn.nl:8443", &[Fetch::Image], cdn, true),
            ("img-src 'self' *.cdn.nl", &[Fetch::Image], cdn, true),
            ("img-src https://shop.nl/static/", &[Fetch::Image], own, true),
            ("img-src *, img-src 'self'", &[Fetch::Image], cdn, true),
            ("img-src 'self'; img-src *", &[Fetch::Image], cdn, true),
        ];
        let (from, page) = ("https://shop.nl/static/a.png", Url::parse(PAGE).unwrap());
        let from = Url::parse(from).unwrap();
        for (policy, kinds, to, barred) in table {
            let mut policies = Policies::default();
            policies.add(policy);
            let to = Url::parse(to).unwrap();
            assert_eq!(policies.bar(kinds, &from, &to, &page), *barred, "{policy}");
        }
    }

    #[test]
    fn an_inline_script_runs_where_a_policy_says_so() {
        let table = [
            ("", None, true),
            ("img-src 'self'", None, true),
            ("script-src 'self'", None, false),
            ("default-src 'self'", Some("x"), false),
            ("script-src 'self' 'unsafe-inline'", None, true),
            ("script-src 'unsafe-inline' 'nonce-AbC'", None, false),
            ("script-src 'unsafe-inline' 'sha256-x'", None, false),
            ("script-src 'nonce-AbC'", Some("AbC"), true),
            ("script-src 'nonce-AbC'", Some("abc"), false),
            ("script-src 'nonce-AbC', script-src 'self'", Some("AbC"), false),
            ("script-src 'self'; script-src-elem 'unsafe-inline'", None, true),
        ];
        for (policy, nonce, admitted) in table {
            let mut policies = Policies::default();
            policies.add(policy);
            assert_eq!(policies.admit_inline_script(nonce), admitted, "{policy} {nonce:?}");
        }
    }

    #[test]
    fn several_policies_all_hold() {
        let mut policies = Policies::default();
        policies.add("img-src *");
        policies.add("style-src 'sha256-abc='");
        policies.add("img-src 'self'");
        let url = |text: &str| Url::parse(PAGE).unwrap().join(text).unwrap();
        assert!(policies.pin());
        assert!(policies.bar(&[Fetch::Image], &url("/a"), &url("//cdn.nl/a"), &url("")));
    }
}
