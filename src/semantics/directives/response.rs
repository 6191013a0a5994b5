//! What a response wants of a shared cache, whichever field says it.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, HeaderName};

use super::syntax::Directive;
use super::targeted;
use crate::semantics::field;

/// The cache directives of a response.
///
/// A number that cannot be read is zero, so that what it was to allow ends at
/// once (RFC 9111 §4.2.1: invalid freshness is stale); so is one that is there
/// twice with different arguments.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResponseDirectives {
    /// Where they come from.
    pub decided_by: DecidedBy,
    /// It may not be stored (§5.2.2.5).
    pub no_store: bool,
    /// What of it may not be reused without validation (§5.2.2.4).
    pub no_cache: Scope,
    /// What of it is for one user only (§5.2.2.7).
    pub private: Scope,
    /// It may be stored in spite of `Authorization`, and be given a heuristic
    /// lifetime whatever its status (§5.2.2.9).
    pub public: bool,
    /// Once stale it may not be reused without validation (§5.2.2.2).
    pub must_revalidate: bool,
    /// The same for shared caches (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// It may be stored only by who understands its status (§5.2.2.3).
    pub must_understand: bool,
    /// Its content may not be changed on the way (§5.2.2.6).
    pub no_transform: bool,
    /// Its content does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// How long it is fresh (§5.2.2.1).
    pub max_age: Option<Duration>,
    /// How long it is fresh in a shared cache (§5.2.2.10).
    pub s_maxage: Option<Duration>,
    /// How long, once stale, it may be reused while it is validated behind
    /// (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// How long, once stale, it may be reused if the origin fails
    /// (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

/// The field that a response's directives were taken from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DecidedBy {
    /// None: the response says nothing about caches, or only by `Expires`.
    #[default]
    Nothing,
    /// `Cache-Control`, together with `Expires`.
    CacheControl,
    /// `CDN-Cache-Control` (RFC 9213 §3.1), instead of the two.
    CdnCacheControl,
    /// `Awning-Cache-Control`, instead of all others.
    AwningCacheControl,
    /// A rule of the configuration, for want of anything else.
    Rule,
}

impl DecidedBy {
    /// The field's name, for people; `rule` for the configuration.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::CacheControl => Some("cache-control"),
            Self::CdnCacheControl => Some("cdn-cache-control"),
            Self::AwningCacheControl => Some("awning-cache-control"),
            Self::Rule => Some("rule"),
        }
    }
}

/// What of a response a directive is about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// Nothing: the directive is not there.
    #[default]
    Nothing,
    /// These fields.
    Fields(Vec<HeaderName>),
    /// All of it.
    All,
}

impl ResponseDirectives {
    /// The directives of a response's header fields. The first targeted field
    /// that is valid and not empty replaces `Cache-Control` and `Expires`
    /// (RFC 9213 §2.2).
    pub fn of(headers: &HeaderMap) -> Self {
        targeted::of(headers).unwrap_or_else(|| Self::cache_control(headers))
    }

    /// The same, with what a rule of the configuration says of responses that
    /// say nothing themselves.
    pub fn with_default(headers: &HeaderMap, default: Option<&ResponseDirectives>) -> Self {
        let own = Self::of(headers);
        let silent = own.decided_by == DecidedBy::Nothing && !headers.contains_key(EXPIRES);
        match default.filter(|_| silent) {
            Some(default) => Self { decided_by: DecidedBy::Rule, ..default.clone() },
            None => own,
        }
    }

    /// The directives of a text in the syntax of `Cache-Control`.
    pub fn parse(text: &str) -> Self {
        let mut found = Reader::new(DecidedBy::CacheControl);
        Directive::all(text).for_each(|directive| found.take(&directive));
        found.directives
    }

    /// Whether the response may never be reused stale, whatever happens
    /// (RFC 9111 §4.2.4). `s-maxage` means `proxy-revalidate` (§5.2.2.10).
    pub fn forbids_stale(&self) -> bool {
        let no_cache = self.no_cache == Scope::All;
        no_cache || self.must_revalidate || self.proxy_revalidate || self.s_maxage.is_some()
    }

    /// Whether `Expires` counts (RFC 9111 §5.3, RFC 9213 §2.2).
    pub fn leaves_expires(&self) -> bool {
        let targeted = matches!(
            self.decided_by,
            DecidedBy::CdnCacheControl | DecidedBy::AwningCacheControl | DecidedBy::Rule
        );
        !targeted && self.max_age.is_none() && self.s_maxage.is_none()
    }

    /// How long a shared cache may answer with the response without asking, by
    /// its directives alone (§4.2.1). Nothing where they do not say, or say not
    /// to.
    pub fn shared_lifetime(&self) -> Duration {
        let withheld = self.no_store || self.no_cache == Scope::All || self.private == Scope::All;
        let lifetime = self.s_maxage.or(self.max_age).filter(|_| !withheld);
        lifetime.unwrap_or_default()
    }

    fn cache_control(headers: &HeaderMap) -> Self {
        let mut found = Reader::new(DecidedBy::Nothing);
        for line in headers.get_all(CACHE_CONTROL) {
            found.directives.decided_by = DecidedBy::CacheControl;
            let line = String::from_utf8_lossy(line.as_bytes());
            Directive::all(&line).for_each(|directive| found.take(&directive));
        }
        found.directives
    }
}

/// Directives while they are read, one after the other.
pub(super) struct Reader {
    pub(super) directives: ResponseDirectives,
}

impl Reader {
    pub(super) fn new(decided_by: DecidedBy) -> Self {
        Self { directives: ResponseDirectives { decided_by, ..ResponseDirectives::default() } }
    }

    pub(super) fn take(&mut self, directive: &Directive<'_>) {
        let found = &mut self.directives;
        let fields = || Scope::of(directive.argument.as_ref());
        match directive.name.as_str() {
            "no-store" => found.no_store = true,
            "no-cache" => found.no_cache.widen(fields()),
            "private" => found.private.widen(fields()),
            "public" => found.public = true,
            "must-revalidate" => found.must_revalidate = true,
            "proxy-revalidate" => found.proxy_revalidate = true,
            "must-understand" => found.must_understand = true,
            "no-transform" => found.no_transform = true,
            "immutable" => found.immutable = true,
            "max-age" => settle(&mut found.max_age, directive),
            "s-maxage" => settle(&mut found.s_maxage, directive),
            "stale-while-revalidate" => settle(&mut found.stale_while_revalidate, directive),
            "stale-if-error" => settle(&mut found.stale_if_error, directive),
            _ => {}
        }
    }
}

/// Two different times for one directive leave none (RFC 9111 §4.2.1 allows
/// the first or stale; stale errs on no side).
fn settle(known: &mut Option<Duration>, directive: &Directive<'_>) {
    let read = directive.seconds().unwrap_or_default();
    let agreed = known.is_none_or(|known| known == read);
    *known = Some(if agreed { read } else { Duration::ZERO });
}

impl Scope {
    /// The fields that an argument lists. What lists none, or what is no name,
    /// means the whole response: the strict reading.
    fn of(argument: Option<&Cow<'_, str>>) -> Self {
        let Some(argument) = argument else { return Scope::All };
        let names: Result<Vec<HeaderName>, _> =
            field::split(argument).map(|name| HeaderName::from_bytes(name.as_bytes())).collect();
        match names {
            Ok(names) if !names.is_empty() => Scope::Fields(names),
            _ => Scope::All,
        }
    }

    /// Whether it names this field.
    pub fn names(&self, name: &HeaderName) -> bool {
        matches!(self, Scope::Fields(names) if names.contains(name))
    }

    fn widen(&mut self, other: Scope) {
        match (&mut *self, other) {
            (Scope::Fields(names), Scope::Fields(more)) => names.extend(more),
            (Scope::All, _) => {}
            (_, other) => *self = other,
        }
    }
}
