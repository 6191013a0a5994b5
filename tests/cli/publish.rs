//! `awning publish` as a pipeline sees it: what is sent, what is printed, how it exits.

use crate::harness::{Action, World};

/// A page, a style sheet, and as many pictures as are asked for.
fn site(world: &World, pictures: usize, color: &str) {
    world.write("site/index.html", "<link rel=stylesheet href=/css/app.css><p>etalage");
    world.write(
        "site/css/app.css",
        &format!("body {{ color: {color}; background: url(../img/0.svg) }}"),
    );
    for n in 0..pictures {
        world.write(&format!("site/img/{n}.svg"), &format!("<svg data-n='{n}' fill='{color}'/>"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_published_and_publishing_it_again_costs_two_reads() {
    let world = World::new().await;
    site(&world, 3, "red");

    let first = world.run(&["publish", "site"]).await.exited(0);
    assert!(first.stdout.starts_with("published "), "{}", first.stdout);
    let page = world.served("index.html").await.unwrap();
    assert!(page.contains("href=/_a/css/app."), "{page}");

    world.proxy.follow(|_, _| Action::Pass);
    let again = world.run(&["publish", "site"]).await.exited(0);
    assert!(again.stdout.starts_with("unchanged "), "{}", again.stdout);
    let seen = world.proxy.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].ends_with("/.awning/channels/production/head.json"), "{seen:?}");
    assert!(seen[1].starts_with("GET /etalage/.awning/releases/"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upload_refused_of_61_changes_nothing_and_a_second_run_finishes() {
    let world = World::new().await;
    site(&world, 59, "red");
    world.run(&["publish", "site"]).await.exited(0);

    site(&world, 59, "blue");
    world.proxy.follow(|method, path| {
        let refused = method == "PUT" && path.contains("/img/7.");
        if refused { Action::Refuse(403, "AccessDenied") } else { Action::Pass }
    });
    let failed = world.run(&["publish", "site"]).await.exited(4);
    assert!(failed.stderr.contains("img/7."), "{}", failed.stderr);
    assert!(world.served("css/app.css").await.unwrap().contains("red"));

    world.proxy.follow(|_, _| Action::Pass);
    world.run(&["publish", "site"]).await.exited(0);
    assert!(world.served("css/app.css").await.unwrap().contains("blue"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_inside_is_worth_another_try() {
    let world = World::new().await;
    site(&world, 3, "red");
    world.proxy.follow(|method, _| match method {
        "PUT" => Action::Refuse(503, "ServiceUnavailable"),
        _ => Action::Pass,
    });
    world.run(&["publish", "site"]).await.exited(4);
    assert_eq!(world.served("index.html").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_write_is_denied() {
    let world = World::new().await;
    site(&world, 1, "red");
    world.proxy.follow(|method, _| match method {
        "PUT" => Action::Refuse(403, "AccessDenied"),
        _ => Action::Pass,
    });
    world.run(&["publish", "site"]).await.exited(7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_is_refused_before_anything_is_asked() {
    let world = World::new().await;
    site(&world, 1, "red");
    world.run(&["publish", "site"]).await.exited(0);

    std::fs::create_dir(world.path("empty")).unwrap();
    let calls = world.bucket.calls().total();
    let refused = world.run(&["publish", "empty"]).await.exited(3);
    assert!(refused.stderr.contains("empty"), "{}", refused.stderr);
    assert_eq!(world.bucket.calls().total(), calls);
    assert!(world.served("index.html").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_plan_and_sends_nothing() {
    let world = World::new().await;
    site(&world, 2, "red");
    let planned = world.run(&["publish", "site", "--dry-run"]).await.exited(0);
    assert!(planned.stdout.contains("css/app."), "{}", planned.stdout);

    let json = world.run(&["publish", "site", "--dry-run", "--json"]).await.exited(0);
    let plan: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(plan["outcome"], "planned", "{plan}");
    let puts = world.proxy.seen().iter().filter(|call| call.starts_with("PUT")).count();
    assert_eq!(puts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_leads_nowhere_is_told_and_refused_when_strict() {
    let world = World::new().await;
    site(&world, 1, "red");
    world.write("site/css/extra.css", "p {}\n.a { background: url(missing.png) }\n");

    let strict = world.run(&["publish", "site", "--strict"]).await.exited(3);
    assert!(strict.stderr.contains("css/extra.css:2:"), "{}", strict.stderr);
    assert_eq!(world.served("index.html").await, None);

    let told = world.run(&["publish", "site"]).await.exited(0);
    assert!(told.stderr.contains("css/extra.css:2:"), "{}", told.stderr);
    assert!(world.served("css/extra.css").await.unwrap().contains("url(missing.png)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_and_build_tools_learn_the_names_and_urls() {
    let world = World::new().await;
    site(&world, 1, "red");
    world.write("site/js/app.js", "export const color = 'red';\n");
    world.run(&["publish", "site"]).await.exited(0);

    let flat = world.run(&["manifest", "--format", "flat"]).await.exited(0);
    let flat: serde_json::Value = serde_json::from_str(&flat.stdout).unwrap();
    let url = flat["css/app.css"].as_str().unwrap();
    assert!(url.starts_with("/_a/css/app.") && url.ends_with(".css"), "{url}");

    let name = url.strip_prefix("/_a/").unwrap();
    let formats = ["awning", "django", "importmap", "propshaft", "sprockets", "vite", "webpack"];
    for format in formats {
        let printed = world.run(&["manifest", "--format", format]).await.exited(0);
        let document: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
        let found = match format {
            "awning" => document["entries"]["css/app.css"]["key"].as_str(),
            "django" => document["paths"]["css/app.css"].as_str(),
            "importmap" => document["imports"]["js/app.js"].as_str(),
            "propshaft" => document["css/app.css"]["digested_path"].as_str(),
            "sprockets" => document["assets"]["css/app.css"].as_str(),
            "vite" => document["css/app.css"]["file"].as_str(),
            _ => document["css/app.css"].as_str(),
        };
        let expected = match format {
            "awning" => format!("a/{name}"),
            "importmap" => flat["js/app.js"].as_str().unwrap().to_owned(),
            _ => name.to_owned(),
        };
        assert_eq!(found, Some(expected.as_str()), "{format}: {document}");
    }
    let unknown = world.run(&["manifest", "--format", "yaml"]).await.exited(2);
    assert!(unknown.stderr.contains("importmap"), "{}", unknown.stderr);

    let resolved = world.run(&["resolve", "css/app.css", "index.html"]).await.exited(0);
    assert_eq!(resolved.stdout.lines().next(), Some(url));
    assert_eq!(resolved.stdout.lines().count(), 2);
    let missing = world.run(&["resolve", "css/app.css", "css/none.css"]).await.exited(3);
    assert_eq!(missing.stdout, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_shrink_is_refused_and_names_the_flag_that_allows_it() {
    let world = World::new().await;
    site(&world, 9, "red");
    world.run(&["publish", "site"]).await.exited(0);

    std::fs::remove_dir_all(world.path("site/img")).unwrap();
    let refused = world.run(&["publish", "site"]).await.exited(3);
    assert!(refused.stderr.contains("--allow-shrink"), "{}", refused.stderr);
    world.run(&["publish", "site", "--allow-shrink"]).await.exited(0);
}
