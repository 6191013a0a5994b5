//! The shape of the library, read from its own source: which module may use
//! which, where each foreign crate is named, and what must stay pure.

mod rules;
mod source;

use source::{Source, sources};

#[test]
fn the_library_keeps_its_layers() {
    assert_none(rules::layers);
}

#[test]
fn each_foreign_crate_with_a_role_is_named_in_one_place() {
    assert_none(rules::one_place_per_crate);
}

#[test]
fn rules_and_plans_do_no_io_and_read_no_clock() {
    assert_none(rules::purity);
}

#[test]
fn nothing_below_the_command_prints_or_holds_global_state() {
    assert_none(rules::no_globals);
}

#[test]
fn only_pruning_deletes_and_the_shield_cannot_write() {
    assert_none(rules::no_writes_where_none_belong);
}

#[test]
fn files_have_at_most_500_lines_and_names_say_what_they_are() {
    assert_none(rules::size_and_names);
}

#[test]
fn every_rule_sees_what_breaks_it() {
    let broken: &[(Rule, &str, &str)] = &[
        (rules::layers, "asset/key.rs", "use crate::store::Object;"),
        (rules::layers, "publish/mod.rs", "use crate::shield::Shield;"),
        (rules::layers, "shield/mod.rs", "fn f() { crate::publish::build(); }"),
        (rules::layers, "shield/mod.rs", "use crate::{asset, bucket::Bucket};"),
        (rules::layers, "rewrite/html/mod.rs", "use super::super::publish::Plan;"),
        (rules::one_place_per_crate, "publish/mod.rs", "use aws_sdk_s3::Client;"),
        (rules::one_place_per_crate, "shield/flight.rs", "type C = moka::sync::Cache<u8, u8>;"),
        (rules::one_place_per_crate, "lib.rs", "fn f() -> anyhow::Result<()> { Ok(()) }"),
        (rules::purity, "semantics/range.rs", "fn f() { std::fs::remove_file(\"x\"); }"),
        (rules::purity, "publish/plan.rs", "fn f() { tokio::spawn(async {}); }"),
        (rules::purity, "shield/decide.rs", "fn f() { std::time::SystemTime::now(); }"),
        (rules::purity, "manifest/mod.rs", "use crate::clock::Clock;"),
        (rules::no_globals, "shield/mod.rs", "static N: AtomicU64 = AtomicU64::new(0);"),
        (rules::no_globals, "shield/mod.rs", "thread_local! { static X: u8 = 1; }"),
        (rules::no_globals, "publish/mod.rs", "fn f() { println!(\"x\"); }"),
        (rules::no_writes_where_none_belong, "shield/mod.rs", "use crate::store::ObjectWrite;"),
        (rules::no_writes_where_none_belong, "publish/upload.rs", "fn f() { s.delete(k, None); }"),
        (rules::size_and_names, "shield/helpers.rs", ""),
        (rules::size_and_names, "shield/mod.rs", "struct CacheManager;"),
        (rules::size_and_names, "shield/mod.rs", "fn handler() {}"),
        (rules::size_and_names, "shield/mod.rs", "type Handlers = u8;"),
    ];
    for (rule, path, text) in broken {
        let found = rule(&Source::parse(path, text));
        assert_eq!(found.len(), 1, "{path}: {text} gave {found:?}");
    }
    let long = "\n".repeat(501);
    assert_eq!(rules::size_and_names(&Source::parse("asset/long.rs", &long)).len(), 1);
}

#[test]
fn what_is_allowed_breaks_no_rule() {
    let text = "use crate::store::ObjectRead; #[cfg(test)] mod tests { use tokio::test; }";
    let source = Source::parse("shield/mod.rs", text);
    for rule in rules::ALL {
        assert_eq!(rule(&source), Vec::<String>::new());
    }
}

type Rule = fn(&Source) -> Vec<String>;

fn assert_none(rule: Rule) {
    let found: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
