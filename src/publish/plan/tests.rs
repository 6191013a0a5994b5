use std::fs;

use super::*;
use crate::asset::Digest;
use crate::publish::build;
use crate::rewrite::PublicBase;

fn options() -> Options {
    let public = PublicBase::parse("https://cdn.example.nl").unwrap();
    let same_origin = PublicBase::parse("/_a").unwrap();
    Options::new(Channel::parse("production").unwrap(), public, same_origin)
}

/// Plans a tree of `a.css` and `b.css` on a base that had an entry changed.
fn on(change: impl Fn(&mut Entry)) -> Result<Plan, Refused> {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.css", "b.css"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    let build = build(dir.path(), &options(), &mut |_| ()).unwrap();
    let entries = build.manifest.iter().map(|(path, entry)| (path.clone(), entry.clone()));
    let mut entries: BTreeMap<_, _> = entries.collect();
    change(entries.get_mut("a.css").unwrap());
    let base = Base { manifest: Some(Manifest::new(entries)), ..Base::default() };
    plan(build, base, &options())
}

fn reasons(plan: &Plan) -> Vec<Option<Reason>> {
    let reason = |step: &Step| match step {
        Step::Put { reason, .. } => Some(*reason),
        Step::Keep { .. } => None,
    };
    plan.steps.iter().map(reason).collect()
}

#[test]
fn objects_of_the_base_are_kept() {
    assert_eq!(reasons(&on(|_| ()).unwrap()), [None, None]);
}

#[test]
fn an_object_with_other_header_fields_is_sent_again() {
    let plan = on(|entry| entry.content_type = "text/plain".into()).unwrap();
    assert_eq!(reasons(&plan), [Some(Reason::Headers), None]);
    let plan = on(|entry| entry.cache = "no-store".into()).unwrap();
    assert_eq!(reasons(&plan), [Some(Reason::Headers), None]);
}

#[test]
fn an_object_is_sent_again_for_fields_that_are_stored_with_it_only() {
    let field = |name: &'static str| {
        on(move |entry| {
            entry.headers.insert(name.to_owned(), "x".to_owned());
        })
    };
    assert_eq!(reasons(&field("content-language").unwrap()), [Some(Reason::Headers), None]);
    assert_eq!(reasons(&field("x-robots-tag").unwrap()), [None, None]);
}

#[test]
fn an_object_under_another_key_is_sent() {
    let plan = on(|entry| entry.key = ObjectKey::parse("a/a.old.css").unwrap()).unwrap();
    assert_eq!(reasons(&plan), [Some(Reason::Changed), None]);
}

#[test]
fn a_key_is_never_overwritten_with_other_bytes() {
    let refused = on(|entry| entry.b3 = Digest::of(b"other"));
    assert!(matches!(refused, Err(Refused::Collision { .. })), "{refused:?}");
}
