//! `awning publish` in pipelines: variants, events, and GitHub Actions.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::harness::{Action, Finished, World, finish};

/// A sheet that is long enough to be coded, and a page that names it.
fn site(world: &World, color: &str) {
    world.write("site/index.html", "<link rel=stylesheet href=/app.css>");
    world.write("site/app.css", &format!("a {{ color: {color} }}\n").repeat(40));
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

fn puts(world: &World, suffix: &str) -> usize {
    let seen = world.proxy.seen();
    seen.iter().filter(|call| call.starts_with("PUT ") && call.ends_with(suffix)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_sent_unless_they_are_not_wanted() {
    let world = World::new().await;
    site(&world, "red");
    world.proxy.follow(|_, _| Action::Pass);
    let published = world.run(&["publish", "site", "--json"]).await.exited(0);
    let published: Value = serde_json::from_str(&published.stdout).unwrap();
    assert_eq!((&published["uploaded"], &published["variants"]), (&5.into(), &3.into()));
    // Two reads of a new channel's log, its head, the manifest that is read back.
    let calls = &published["calls"];
    let total = ["a", "b", "c"].map(|class| calls[class].as_u64().unwrap());
    assert_eq!(total.iter().sum::<u64>(), world.proxy.seen().len() as u64, "{calls}");
    assert_eq!(total[0], 5 + 4, "objects, intent, manifest, record and head");
    assert_eq!(published["retries"], 0);
    for suffix in [".br", ".zst", ".gz"] {
        assert_eq!(puts(&world, suffix), 1, "{suffix}");
    }

    site(&world, "blue");
    world.proxy.follow(|_, _| Action::Pass);
    world.run(&["publish", "site", "--no-compress"]).await.exited(0);
    assert_eq!(puts(&world, ".br"), 0);

    world.write("awning.toml", "[publish]\ncompress = false\n");
    site(&world, "green");
    let told = world.run(&["publish", "site"]).await.exited(0);
    assert!(!told.stdout.contains("variants"), "{}", told.stdout);
    assert!(told.stdout.contains("calls: 6 A, "), "{}", told.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_coded_is_kept_for_the_next_run() {
    let world = World::new().await;
    site(&world, "red");
    world.write("awning.toml", "[publish]\ncache = \"cache\"\n");
    world.run(&["publish", "site"]).await.exited(0);
    let files = || {
        std::fs::read_dir(world.path("cache")).unwrap().flat_map(|part| {
            std::fs::read_dir(part.unwrap().path()).unwrap().map(|file| file.unwrap().path())
        })
    };
    assert_eq!(files().count(), 3);

    // Where it cannot be written, the publish goes on and says so.
    std::fs::remove_dir_all(world.path("cache")).unwrap();
    world.write("cache", "a file");
    site(&world, "blue");
    let told = world.run(&["publish", "site"]).await.exited(0);
    assert!(
        told.stderr.contains("warning: coded files are not kept in `cache`"),
        "{}",
        told.stderr
    );

    let mut command = world.command(&["publish", "site", "--channel", "other"]);
    std::fs::remove_file(world.path("awning.toml")).unwrap();
    command.env("XDG_CACHE_HOME", world.path("caches"));
    finish(command).await.exited(0);
    assert!(world.path("caches/awning/encode").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_lines_of_json_the_last_of_which_is_the_outcome() {
    let world = World::new().await;
    site(&world, "red");
    let told = world.run(&["publish", "site", "--events", "events"]).await.exited(0);
    assert!(told.stdout.starts_with("published "), "{}", told.stdout);
    let written = events(&std::fs::read_to_string(world.path("events")).unwrap());
    let expected = [
        "scanned",
        "hashed",
        "hashed",
        "encoding",
        "encoded",
        "uploading",
        "uploaded",
        "uploaded",
        "uploaded",
        "uploaded",
        "uploaded",
        "outcome",
    ];
    assert_eq!(names(&written), expected);
    assert!(written.iter().all(|event| event["time"].as_f64().unwrap() > 1.7e9));
    assert_eq!((&written[3]["files"], &written[10]["objects"]), (&1.into(), &5.into()));
    let last = written.last().unwrap();
    assert_eq!((&last["outcome"], &last["uploaded"]), (&"published".into(), &5.into()));

    // On standard output they take the place of the data.
    let again = world.run(&["publish", "site", "--events", "-"]).await.exited(0);
    assert_eq!(events(&again.stdout).last().unwrap()["outcome"], "unchanged");
    let planned = world.run(&["publish", "site", "--events=-", "--dry-run"]).await.exited(0);
    assert_eq!(events(&planned.stdout).last().unwrap()["steps"][0]["step"], "keep");

    std::fs::create_dir(world.path("empty")).unwrap();
    let refused = world.run(&["publish", "empty", "--events", "-"]).await.exited(3);
    let last = events(&refused.stdout).pop().unwrap();
    assert_eq!((&last["event"], &last["outcome"]), (&"outcome".into(), &"failed".into()));
    assert_eq!(last["exit_code"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_written_are_a_mistake_of_the_caller() {
    let world = World::new().await;
    site(&world, "red");
    let refused = world.run(&["publish", "site", "--events", "none/events"]).await.exited(2);
    assert!(refused.stderr.contains("none/events: cannot be written"), "{}", refused.stderr);
    let both = world.run(&["publish", "site", "--events", "-", "--json"]).await.exited(2);
    assert!(both.stderr.contains("name a file"), "{}", both.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_were_sent_again_are_told() {
    let world = World::new().await;
    site(&world, "red");
    let mut refused = false;
    world.proxy.follow(move |method, _| {
        if method == "PUT" && !std::mem::replace(&mut refused, true) {
            return Action::Refuse(503, "SlowDown");
        }
        Action::Pass
    });
    let told = world.run(&["publish", "site"]).await.exited(0);
    assert!(told.stdout.contains(", 1 of them sent again"), "{}", told.stdout);
}

/// The command as a step of a workflow that has these files.
fn in_a_step(world: &World, command: &mut Command) {
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKSPACE", world.path(""))
        .env("GITHUB_STEP_SUMMARY", world.path("summary"))
        .env("GITHUB_OUTPUT", world.path("output"));
}

async fn step(world: &World, arguments: &[&str]) -> Finished {
    let mut command = world.command(arguments);
    in_a_step(world, &mut command);
    finish(command).await
}

fn read(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_told_of_problems_by_file_and_line() {
    let world = World::new().await;
    site(&world, "red");
    world.write("site/css/a,b.css", "p {}\n.a { background: url(missing.png) }\n");
    world.write("summary", "before\n");

    let refused = step(&world, &["publish", "site", "--strict"]).await.exited(3);
    let expected =
        "\n::error file=site/css/a%2Cb.css,line=2,col=22::`missing.png` names no asset\n";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    assert_eq!(refused.stdout, "", "standard output is for data");
    let summary = read(&world, "summary");
    assert!(summary.starts_with("before\n### awning: cannot publish"), "{summary}");
    assert!(
        summary.contains("| Problem | css/a,b.css:2:22: error: \\`missing.png\\`"),
        "{summary}"
    );
    assert_eq!(read(&world, "output"), "");

    let told = step(&world, &["publish", "site"]).await.exited(0);
    assert!(told.stderr.contains("\n::warning file=site/css/a%2Cb.css,line=2"), "{}", told.stderr);
    let summary = read(&world, "summary");
    assert!(summary.contains("| Calls by B2 class | 10 A, "), "{summary}");
    let output = read(&world, "output");
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[1..], ["channel=production", "uploaded=6"], "{output}");
    let release = lines[0].strip_prefix("release=").unwrap();
    assert_eq!(release.len(), 64, "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_told_of_objects_that_were_not_stored() {
    let world = World::new().await;
    site(&world, "red");
    world.proxy.follow(|method, _| match method {
        "PUT" => Action::Refuse(403, "AccessDenied"),
        _ => Action::Pass,
    });
    let failed = step(&world, &["publish", "site"]).await.exited(7);
    let intent = "::error::cannot store `.awning/intents/";
    assert!(failed.stderr.contains(intent), "{}", failed.stderr);
    world.proxy.follow(|method, path| match method {
        "PUT" if path.contains("/a/") => Action::Refuse(403, "AccessDenied"),
        _ => Action::Pass,
    });
    let failed = step(&world, &["publish", "site"]).await.exited(7);
    assert!(failed.stderr.contains("\n::error::cannot store `a/"), "{}", failed.stderr);

    // A summary that cannot be written does not fail the publish.
    world.proxy.follow(|_, _| Action::Pass);
    std::fs::remove_file(world.path("summary")).unwrap();
    std::fs::create_dir(world.path("summary")).unwrap();
    let told = step(&world, &["publish", "site"]).await.exited(0);
    assert!(told.stderr.contains("summary` is not written"), "{}", told.stderr);
}

fn action() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/github-action")
}

/// A script of the action, with the environment that the runner gives it.
fn script(world: &World, name: &str) -> Command {
    let mut command = world.command(&[]);
    let environment: Vec<_> = command
        .as_std()
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = Command::new("bash");
    command.arg(action().join(name)).current_dir(world.path("")).env_clear().envs(environment);
    command.env("PATH", "/usr/bin:/bin").env("ACTION_PATH", action());
    in_a_step(world, &mut command);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_publishes_what_its_inputs_name_and_runs_none_of_them() {
    let world = World::new().await;
    site(&world, "red");
    let directory = "$(touch hacked) `touch hacked`; touch hacked";
    std::fs::rename(world.path("site"), world.path(directory)).unwrap();
    world.write("other.toml", "[publish]\ncompress = false\n");

    let mut command = script(&world, "publish.sh");
    command
        .env("AWNING", env!("CARGO_BIN_EXE_awning"))
        .env("INPUT_DIRECTORY", directory)
        .env("INPUT_CHANNEL", "preview-1")
        .env("INPUT_CONFIG", "other.toml")
        .env("INPUT_ARGS", "--order=7\n\n--events\nan event; touch hacked\n");
    let published = finish(command).await.exited(0);
    assert!(published.stdout.starts_with("published "), "{}", published.stdout);
    assert!(read(&world, "output").contains("\nchannel=preview-1\nuploaded=2\n"));
    assert!(world.path("an event; touch hacked").is_file());
    assert!(!world.path("hacked").exists());

    // What looks like an option is a directory that is not there.
    let mut command = script(&world, "publish.sh");
    command.env("AWNING", env!("CARGO_BIN_EXE_awning")).env("INPUT_DIRECTORY", "--help");
    finish(command).await.exited(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_action_finds_the_binary_it_is_told_or_that_in_the_path() {
    let world = World::new().await;
    let binary = world.path("bin/awning");
    world.write("bin/awning", "#!/bin/sh\n");
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!("path={}\n", binary.display());

    let mut command = script(&world, "find.sh");
    finish_with(command.env("INPUT_BINARY", &binary)).await.exited(0);
    assert_eq!(read(&world, "output"), line);
    let mut command = script(&world, "find.sh");
    let path = format!("{}:/usr/bin:/bin", world.path("bin").display());
    finish_with(command.env("PATH", path)).await.exited(0);
    assert_eq!(read(&world, "output"), line.repeat(2));

    for bad in ["/none", "/bin/sh\nrelease=x"] {
        let mut command = script(&world, "find.sh");
        finish_with(command.env("INPUT_BINARY", bad)).await.exited(2);
    }
    assert_eq!(read(&world, "output"), line.repeat(2));
}

async fn finish_with(command: &mut Command) -> Finished {
    let output =
        command.stdin(std::process::Stdio::null()).kill_on_drop(true).output().await.unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
