use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use tempfile::TempDir;

use super::*;

/// A tree with these files, each holding its own name.
fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    dir
}

fn scanned(dir: &TempDir, globs: &[&str]) -> Scan {
    scan(dir.path(), &Ignore::parse(globs).unwrap(), LIMITS).unwrap()
}

fn assets(scan: &Scan) -> Vec<&str> {
    scan.files.iter().map(|file| file.asset.as_str()).collect()
}

fn problems(scan: &Scan) -> Vec<String> {
    scan.problems.iter().map(Problem::to_string).collect()
}

#[test]
fn files_are_listed_in_the_order_of_their_paths() {
    let dir = tree(&["b/c.css", "b.css", "a/z/y.js", "index.html"]);
    let scan = scanned(&dir, &[]);
    assert_eq!(assets(&scan), ["a/z/y.js", "b.css", "b/c.css", "index.html"]);
    assert_eq!(problems(&scan), [""; 0]);
}

#[test]
fn an_empty_tree_is_a_problem() {
    for dir in [tree(&[]), tree(&[".git/HEAD"]), tree(&["draft.md"])] {
        let scan = scanned(&dir, &["*.md"]);
        assert_eq!(problems(&scan), [".: error: there is nothing to publish"]);
    }
}

#[test]
fn what_is_left_out_is_told_with_the_rule() {
    let dir = tree(&[
        ".git/HEAD",
        "a/.DS_Store",
        "a/Thumbs.db",
        ".awning/x",
        "awning.toml",
        "a/awning.toml",
        "a/b.psd",
        "drafts/x.html",
        "a.css",
    ]);
    let scan = scanned(&dir, &["**/*.psd", "drafts"]);
    assert_eq!(assets(&scan), ["a.css", "a/awning.toml"]);
    let ignored: Vec<_> = scan.ignored.iter().map(|i| (&*i.path, &*i.rule)).collect();
    let expected = [
        (".awning/", "built-in: .awning"),
        (".git/", "built-in: .git"),
        ("a/.DS_Store", "built-in: .DS_Store"),
        ("a/Thumbs.db", "built-in: Thumbs.db"),
        ("a/b.psd", "**/*.psd"),
        ("awning.toml", "built-in: awning.toml"),
        ("drafts/", "drafts"),
    ];
    assert_eq!(ignored, expected);
}

#[test]
fn a_link_is_followed_only_inside_the_tree() {
    let outside = tree(&["passwd"]);
    let dir = tree(&["a/b.css", ".git/config", "secret/.x"]);
    let link = |target: &Path, name: &str| symlink(target, dir.path().join(name)).unwrap();
    link(Path::new("a"), "copy");
    link(Path::new("a/b.css"), "b.css");
    link(&outside.path().join("passwd"), "out.css");
    link(outside.path(), "out");
    link(Path::new("gone"), "broken");
    link(Path::new(".git/config"), "config.txt");
    link(Path::new("."), "self");
    link(Path::new(".."), "a/up");

    let scan = scanned(&dir, &[]);
    assert_eq!(assets(&scan), ["a/b.css", "b.css", "copy/b.css", "secret/.x"]);
    let found = problems(&scan);
    let expected = [
        "a/up: error: the link leads back to a directory that holds it",
        "broken: error: cannot be read",
        "config.txt: error: the link leads to what is never published",
        "copy/up: error: the link leads back",
        "out: error: the link leads out of the tree",
        "out.css: error: the link leads out of the tree",
        "self: error: the link leads back",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} instead of {expected}");
    }
}

#[test]
fn a_link_to_a_secret_is_refused_under_any_name() {
    let dir = tree(&["a.css", ".env"]);
    symlink(".env", dir.path().join("config.js")).unwrap();
    let scan = scanned(&dir, &[".env"]);
    assert_eq!(assets(&scan), ["a.css"]);
    assert!(problems(&scan)[0].starts_with("config.js: error: the link leads to a secret"));
}

#[test]
fn pipes_and_sockets_are_refused_without_opening_them() {
    let dir = tree(&["a.css"]);
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
    assert!(made.success());
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();

    let scan = scanned(&dir, &[]);
    assert_eq!(assets(&scan), ["a.css"]);
    let paths: Vec<_> = scan.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["pipe", "socket"]);
}

#[test]
fn all_bad_names_are_reported_at_once() {
    let dir = tree(&["ok.css", "back\\slash.css", "new\nline.css", ".env", "OK.css"]);
    let not_utf8 = std::ffi::OsStr::from_bytes(b"caf\xe9.css");
    fs::write(dir.path().join(not_utf8), "x").unwrap();

    let scan = scanned(&dir, &[]);
    let mut paths: Vec<_> = scan.problems.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, [".env", "back\\slash.css", "caf\u{fffd}.css", "new\nline.css", "ok.css"]);
}

#[test]
fn a_tree_beyond_the_limits_is_refused() {
    let dir = tree(&["a.css", "b.css", "c.css"]);
    let at = |files, file_bytes| {
        problems(&scan(dir.path(), &Ignore::default(), Limits { files, file_bytes }).unwrap())
    };
    assert_eq!(at(3, 5), [""; 0]);
    assert_eq!(at(2, 5), [".: error: the tree has more than 2 files"]);
    assert_eq!(at(3, 4)[0], "a.css: error: the file has 5 bytes, more than 4");
}

#[test]
fn the_source_must_be_a_directory() {
    let dir = tree(&["a.css"]);
    for missing in ["a.css", "gone"] {
        assert!(scan(&dir.path().join(missing), &Ignore::default(), LIMITS).is_err());
    }
}

#[test]
fn the_rule_of_a_directory_holds_for_what_is_in_it() {
    let ignore = Ignore::parse(&["drafts", "**/*.psd"]).unwrap();
    let of =
        |path: &str| ignored(&AssetPath::parse(path).unwrap(), &ignore).map(|i| (i.path, i.rule));
    let some = |path: &str, rule: &str| Some((path.to_owned(), rule.to_owned()));
    assert_eq!(of("a.css"), None);
    assert_eq!(of("a/b.psd"), some("a/b.psd", "**/*.psd"));
    assert_eq!(of("drafts/a/b.html"), some("drafts/", "drafts"));
    assert_eq!(of("a/.git/config"), some("a/.git/", "built-in: .git"));
    assert_eq!(of("awning.toml"), some("awning.toml", "built-in: awning.toml"));
}
