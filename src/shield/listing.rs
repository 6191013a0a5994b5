//! How an asset of a release is answered: made with the first request for it,
//! and shared by all that follow. Nothing of a request is in it.

use std::sync::{Arc, OnceLock};

use super::derive;
use super::wanted::{Policy, Wanted};
use crate::asset::{AssetPath, ObjectKey};
use crate::manifest::Entry;
use crate::semantics::encoding::{AcceptEncoding, Coding};

/// The place of an asset in a release. Small, for most assets of a large
/// release are not asked for before the next one.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) path: AssetPath,
    answers: OnceLock<Arc<Answers>>,
}

/// What an asset is answered with, whoever asks.
#[derive(Debug)]
pub(crate) struct Answers {
    /// As it was published.
    published: Form,
    /// With codings that are made here, where they are worth it.
    made: Option<Form>,
}

/// The name under which an asset is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    /// That of its object.
    Own,
    /// Its logical one, on an assets site.
    Logical,
    /// Its logical one, on a release site.
    OfSite,
}

/// An asset in the codings that there are.
#[derive(Debug)]
pub(crate) struct Form {
    own: Arc<Policy>,
    logical: Arc<Policy>,
    of_site: Arc<Policy>,
    identity: Arc<[Wanted]>,
    coded: Vec<Coded>,
}

/// A coding, and what to look for when it is liked best.
type Coded = (Coding, Arc<[Wanted]>);

impl Listing {
    pub(super) fn of(path: &AssetPath) -> Self {
        Self { path: path.clone(), answers: OnceLock::new() }
    }

    /// The answers, if they were made before.
    pub(super) fn made(&self) -> Option<Arc<Answers>> {
        self.answers.get().cloned()
    }

    /// The answers of the entry that the release has at this path.
    pub(super) fn answers(&self, entry: &Entry) -> Arc<Answers> {
        Arc::clone(self.answers.get_or_init(|| Arc::new(Answers::of(entry))))
    }
}

impl Answers {
    pub(super) fn of(entry: &Entry) -> Self {
        let made = derive::is_uncoded(entry).then(|| Form::made(entry));
        Self { published: Form::published(entry), made }
    }

    /// The asset as it is sent. `publisher_codes` is asked whether the
    /// publisher of an object made codings of what is worth them.
    pub(crate) fn form(&self, publisher_codes: impl Fn(&ObjectKey) -> bool) -> &Form {
        let coded =
            |form: &Form| form.identity.iter().any(|wanted| publisher_codes(&wanted.object));
        self.made.as_ref().filter(|form| !coded(form)).unwrap_or(&self.published)
    }
}

impl Form {
    fn published(entry: &Entry) -> Self {
        let coded = entry.variants.iter().map(|(coding, variant)| {
            let variant = Wanted::variant(entry, *coding, variant);
            // The asset as it is follows, for when the coding cannot be had.
            (*coding, Arc::from([variant, Wanted::identity(entry)]))
        });
        Self::of(entry, coded.collect(), |policy| policy)
    }

    fn made(entry: &Entry) -> Self {
        let coded = derive::MADE.into_iter().map(|coding| {
            let wanted = Wanted::made(Wanted::identity(entry), coding);
            (coding, Arc::from([wanted]))
        });
        Self::of(entry, coded.collect(), |policy| Policy { varies: true, ..policy })
    }

    fn of(entry: &Entry, coded: Vec<Coded>, change: fn(Policy) -> Policy) -> Self {
        Self {
            own: Arc::new(change(Policy::own_name(Some(entry)))),
            logical: Arc::new(change(Policy::logical(entry))),
            of_site: Arc::new(change(Policy::of_site(entry))),
            identity: Arc::from([Wanted::identity(entry)]),
            coded,
        }
    }

    /// How it is presented under this name.
    pub(crate) fn policy(&self, name: Name) -> Arc<Policy> {
        Arc::clone(match name {
            Name::Own => &self.own,
            Name::Logical => &self.logical,
            Name::OfSite => &self.of_site,
        })
    }

    /// What to look for, the best first. `accepted` is asked only where there
    /// is a choice.
    pub(crate) fn wanted(&self, accepted: impl FnOnce() -> AcceptEncoding) -> Arc<[Wanted]> {
        let codings = self.coded.iter().map(|(coding, _)| *coding);
        let coding = if self.coded.is_empty() { None } else { accepted().prefer(codings) };
        let coded = self.coded.iter().find(|(there, _)| Some(*there) == coding);
        Arc::clone(coded.map_or(&self.identity, |(_, wanted)| wanted))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::asset::Digest;
    use crate::manifest::{Manifest, ReleaseId};
    use crate::shield::release::ReleaseSnapshot;

    fn entry(cache: &str, key: &str, variants: serde_json::Value) -> Entry {
        let b3 = Digest::of(b"content").to_string();
        serde_json::from_value(serde_json::json!({
            "b3": b3, "cache": cache, "integrity": "", "key": key, "size": 4096,
            "type": "text/css", "variants": variants,
        }))
        .unwrap()
    }

    fn plain(cache: &str) -> Entry {
        entry(cache, "a/app.css", serde_json::json!({}))
    }

    fn in_brotli() -> Entry {
        let b3 = Digest::of(b"coded").to_string();
        let variant = serde_json::json!({ "b3": b3, "key": "a/app.css.br", "size": 7 });
        entry("public", "a/app.css", serde_json::json!({ "br": variant }))
    }

    fn codings(form: &Form, accepted: &str) -> Vec<Option<Coding>> {
        let wanted = form.wanted(|| AcceptEncoding::parse([accepted]));
        wanted.iter().map(|wanted| wanted.coding).collect()
    }

    #[test]
    fn what_the_publisher_coded_is_had_in_its_codings_and_as_it_is() {
        let answers = Answers::of(&in_brotli());
        let form = answers.form(|_| false);
        assert_eq!(codings(form, "gzip, br"), [Some(Coding::Br), None]);
        assert_eq!(codings(form, "gzip"), [None]);
        assert!(form.policy(Name::Own).varies);
    }

    #[test]
    fn codings_are_made_of_what_its_publisher_never_tried_to_code() {
        let answers = Answers::of(&plain("public"));
        let made = answers.form(|_| false);
        assert_eq!(codings(made, "gzip, br"), [Some(Coding::Br)]);
        assert_eq!(codings(made, "gzip"), [None]);
        assert!(made.policy(Name::Own).varies);
        let tried = answers.form(|object| object.as_str() == "a/app.css");
        assert_eq!(codings(tried, "gzip, br"), [None]);
        assert!(!tried.policy(Name::Own).varies);
    }

    #[test]
    fn each_name_of_an_asset_has_its_own_policy() {
        let answers = Answers::of(&plain("public, max-age=31536000, immutable"));
        let form = answers.form(|_| true);
        let own = form.policy(Name::Own);
        assert!(own.ages && own.cross_origin);
        let logical = form.policy(Name::Logical);
        assert!(!logical.ages && logical.cross_origin);
        assert_eq!(logical.cache_control, "public, max-age=60");
        let of_site = form.policy(Name::OfSite);
        assert!(!of_site.cross_origin && !of_site.sandbox);
    }

    #[test]
    fn answers_are_made_once_and_are_those_of_the_asset_that_is_named() {
        let (one, other) = (plain("max-age=1"), plain("max-age=2"));
        let path = |text| AssetPath::parse(text).unwrap();
        let entries = BTreeMap::from([(path("one.css"), one), (path("other.css"), other)]);
        let manifest = Manifest::default().with_entries(entries);
        let release = ReleaseSnapshot::new(ReleaseId::new(Digest::of(b"")), manifest);
        for (name, seconds) in [("one.css", "max-age=1"), ("other.css", "max-age=2")] {
            let entry = release.manifest.get(name).unwrap();
            let answers = release.answers_at(&path(name), entry);
            assert_eq!(answers.form(|_| true).policy(Name::Own).cache_control, seconds);
        }
        // Both have the same object, which is found as one of them.
        let object = ObjectKey::parse("a/app.css").unwrap();
        let (first, again) = (release.answers_of(&object), release.answers_of(&object));
        assert!(Arc::ptr_eq(&first.unwrap(), &again.unwrap()));
    }
}
