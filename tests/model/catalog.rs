//! The trees that are published, built once: what each release needs, and what
//! the bytes of every object must be.

use std::collections::HashMap;

use awning::asset::{Digest, KeyLayout};
use awning::manifest::{Channel, ReleaseId};
use awning::publish::{self, Build, Options};
use awning::rewrite::PublicBase;
use tempfile::TempDir;

use super::random::Random;

/// Different trees.
const TREES: usize = 12;

/// Files of a tree, of which each tree has some, each in one of a few states.
const NAMES: [&str; 4] = ["a.txt", "img/b.svg", "css/c.css", "d.html"];
const STATES: u64 = 3;

#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) builds: Vec<Build>,
    /// Full keys that each release needs, its manifest included.
    pub(super) releases: HashMap<ReleaseId, Vec<String>>,
    /// The digest of every object, by its full key.
    pub(super) digests: HashMap<String, Digest>,
}

impl Catalog {
    pub(super) fn new() -> Self {
        let mut random = Random::of(20);
        let mut builds: Vec<Build> = Vec::new();
        while builds.len() < TREES {
            let build = build(&mut random);
            if builds.iter().all(|other| other.release() != build.release()) {
                builds.push(build);
            }
        }
        let (mut releases, mut digests) = (HashMap::new(), HashMap::new());
        for build in &builds {
            let mut keys = vec![layout().manifest(build.release())];
            for (_, entry) in build.manifest().iter() {
                let key = layout().object(&entry.key);
                digests.insert(key.clone(), entry.b3);
                keys.push(key);
            }
            releases.insert(build.release(), keys);
        }
        Self { builds, releases, digests }
    }
}

pub(super) fn layout() -> KeyLayout {
    KeyLayout::default()
}

pub(super) fn options(channel: Channel) -> Options {
    let public = PublicBase::parse("https://cdn.example.nl").unwrap();
    let mut options = Options::new(channel, public, PublicBase::default());
    options.allow_shrink = true;
    options.compress = false;
    options
}

/// A random tree, with its bytes in memory.
fn build(random: &mut Random) -> Build {
    let dir = TempDir::new().unwrap();
    let first = random.below(NAMES.len());
    for (at, name) in NAMES.iter().enumerate() {
        if at == first || random.chance(600) {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text(name, random.between(1, STATES))).unwrap();
        }
    }
    let options = options(Channel::default());
    let build = publish::build(dir.path(), &options, &mut |_| ()).unwrap();
    build.hold().unwrap()
}

/// Sheets and pages refer to other files, so that their names depend on those.
fn text(name: &str, state: u64) -> String {
    match name.rsplit_once('.').unwrap().1 {
        "css" => format!("body{{background:url(../img/b.svg)}}/*{state}*/"),
        "html" => format!("<link rel=stylesheet href=css/c.css><a href=/a.txt>{state}</a>"),
        "svg" => format!("<svg xmlns='http://www.w3.org/2000/svg' id='s{state}'/>"),
        _ => format!("state {state}"),
    }
}
