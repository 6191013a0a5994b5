//! What the command says of a file, for people and for programs.

use serde_json::{Value, json};

use crate::harness::{World, write};

const RULES: &str = r#"[publish]
ignore = ["drafts"]

[[publish.rule]]
match = "fonts/**"
cache_control = "public, max-age=60"
headers = { Link = "</a>; rel=help" }

[[publish.rule]]
match = "**/*.woff2"
cache_control = "no-cache"
tags = ["fonts", "woff"]
severity = { secret = "warning" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_property_is_told_with_the_rule_that_decides_it() {
    let world = World::new().await;
    world.write("awning.toml", RULES);
    let explained = world.run(&["explain", "/fonts/a.woff2"]).await.exited(0);
    let expected = r#"fonts/a.woff2
  published
  cache_control = "public, max-age=60"  publish.rule[0] match = "fonts/**" (awning.toml:4)
  content_type = "font/woff2"  default
  fingerprint = true  default
  compress = "by type"  default
  references = "by name"  default
  tags = ["fonts","woff"]  publish.rule[1] match = "**/*.woff2" (awning.toml:9)
  headers.link = "</a>; rel=help"  publish.rule[0] match = "fonts/**" (awning.toml:4)
  severity.secret = "warning"  publish.rule[1] match = "**/*.woff2" (awning.toml:9)
"#;
    assert_eq!(explained.stdout, expected);

    let explained = world.run(&["explain", "drafts/b.css", "--json"]).await.exited(0);
    let explained: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(explained["path"], "drafts/b.css");
    assert_eq!(explained["ignored"], json!({ "path": "drafts/", "rule": "drafts" }));

    let explained = world.run(&["explain", "fonts/b.css", "--json"]).await.exited(0);
    let explained: Value = serde_json::from_str(&explained.stdout).unwrap();
    assert_eq!(explained["ignored"], Value::Null);
    let first = json!({
        "name": "cache_control",
        "value": "public, max-age=60",
        "rule": 0,
        "match": "fonts/**",
        "place": "awning.toml:4",
    });
    assert_eq!(explained["properties"][0], first);
    assert_eq!(explained["properties"][2]["rule"], Value::Null, "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_publish_refuses_is_told() {
    let world = World::new().await;
    let refused = world.run(&["explain", "a/.env"]).await.exited(0);
    let begins = "a/.env\n  refused\n  a/.env: error: `.env` usually holds a secret";
    assert!(refused.stdout.starts_with(begins), "{}", refused.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_file_of_a_tree_is_a_mistake_of_the_caller() {
    let world = World::new().await;
    let url = world.run(&["explain", "https://cdn.example.nl/a.css"]).await.exited(2);
    assert!(url.stderr.contains("running shield"), "{}", url.stderr);
    let outside = world.run(&["explain", "../a.css"]).await.exited(2);
    assert!(outside.stderr.contains("names no file"), "{}", outside.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_of_a_tree_are_told_at_once_and_nothing_is_sent() {
    let world = World::new().await;
    world.write("awning.toml", "[[publish.rule]]\nmatch = \"**\"\nseverity = \"error\"\n");
    for (path, text) in [
        ("site/.env", "A=1"),
        ("site/A.css", ""),
        ("site/a.css", "a{background:url(gone.png)}"),
        ("site/con.js", ""),
        ("site/token.js", &format!("t = 'ghp_{}'", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW0xY3zA5")),
    ] {
        write(&world.path(path), text);
    }
    let refused = world.run(&["publish", "site", "--json"]).await.exited(3);
    let refused: Value = serde_json::from_str(&refused.stdout).unwrap();
    let told = refused["problems"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|p| (&p["path"], &p["kind"], &p["severity"], &p["line"])).collect();
    let error = &json!("error");
    let expected = [
        (&json!(".env"), &json!("secret"), error, &Value::Null),
        (&json!("a.css"), &json!("name"), error, &Value::Null),
        (&json!("a.css"), &json!("dangling"), error, &json!(1)),
        (&json!("con.js"), &json!("name"), error, &Value::Null),
        (&json!("token.js"), &json!("secret"), error, &json!(1)),
    ];
    assert_eq!(told, expected);
    assert_eq!(world.served("a.css").await, None);
}
