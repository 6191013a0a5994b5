//! Publishing a directory to a bucket in memory.

mod conditional;
mod crash;
mod documents;
mod history;
mod ingested;
mod modules;
mod pacing;
mod parts;
mod preview;
mod properties;
mod prune;
mod prune_race;
mod prune_uploads;
mod race;
mod refusal;
mod release;
mod rules;
mod shielded;
mod switch;
mod switch_faults;
mod upload;
mod variants;
mod verify;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use awning::asset::{Digest, KeyLayout, ObjectKey};
use awning::manifest::{Activation, Channel, Manifest};
use awning::publish::{
    self, Build, BuildError, Coder, Options, Plan, Problem, PublishError, Refused, Release,
};
use awning::rewrite::PublicBase;
use awning::store::memory::MemoryStore;
use awning::store::{GetOutcome, GetRequest, ObjectRead, ObjectWrite, StoreErrorKind};
use bytes::Bytes;
use tempfile::TempDir;

/// Everything that can end a publish.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

fn channel() -> Channel {
    Channel::parse("production").unwrap()
}

fn options() -> Options {
    let public = PublicBase::parse("https://cdn.example.nl").unwrap();
    Options::new(channel(), public, PublicBase::parse("/_a").unwrap())
}

/// For tests that count objects for another reason than their codings.
fn plain() -> Options {
    Options { compress: false, ..options() }
}

fn layout() -> KeyLayout {
    KeyLayout::under("shop")
}

/// A directory with these files.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(dir.path(), path, text);
    }
    dir
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A page, a sheet it links, an image the sheet uses, and a script.
const SHOP: &[(&str, &str)] = &[
    ("index.html", "<link rel=stylesheet href=css/app.css><script src=/js/app.js></script>"),
    ("css/app.css", "body{background:url(../img/awning.svg)}"),
    ("img/awning.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ("js/app.js", "console.log('open')"),
];

fn build(dir: &TempDir, options: &Options) -> Result<Build, BuildError> {
    publish::build(dir.path(), options, &mut |_| ())
}

fn problems(dir: &TempDir, options: &Options) -> Vec<String> {
    match build(dir, options) {
        Err(BuildError::Problems(problems)) => problems.iter().map(Problem::to_string).collect(),
        other => panic!("no problems: {other:?}"),
    }
}

async fn planned(
    dir: &TempDir,
    store: &dyn ObjectRead,
    options: &Options,
) -> Result<Plan, Failure> {
    let build = build(dir, options)?;
    let base = publish::base(store, &layout(), &options.channel).await?;
    let build = publish::encode(build, &base, &Coder::default(), options, &mut |_| ())?;
    Ok(publish::plan(build, base, options)?)
}

/// The whole publish, as the command does it.
async fn publish_with(
    dir: &TempDir,
    store: &dyn ObjectWrite,
    options: &Options,
    nonce: &str,
) -> Result<Release, Failure> {
    let plan = planned(dir, store, options).await?;
    let uploaded = publish::upload(plan, store, &layout(), options, &mut |_| ()).await?;
    let nonce = nonce.to_owned();
    Ok(publish::activate(uploaded, store, &layout(), UNIX_EPOCH, nonce, options).await?)
}

async fn publish_to(
    dir: &TempDir,
    store: &dyn ObjectWrite,
    nonce: &str,
) -> Result<Release, Failure> {
    publish_with(dir, store, &options(), nonce).await
}

async fn read(store: &dyn ObjectRead, key: &str) -> Option<Bytes> {
    match store.get(key, GetRequest::default()).await {
        Ok(GetOutcome::Found(object)) => Some(object.collect(key, usize::MAX).await.unwrap()),
        Ok(GetOutcome::NotModified) => panic!("no condition was set"),
        Err(error) if error.kind() == StoreErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

async fn text(store: &dyn ObjectRead, key: &ObjectKey) -> String {
    String::from_utf8(read(store, &layout().object(key)).await.unwrap().to_vec()).unwrap()
}

/// All keys of the bucket, without the prefix.
async fn keys(store: &MemoryStore) -> Vec<String> {
    let page = store.list("", None).await.unwrap();
    assert!(!page.more);
    let keys = page.objects.into_iter().map(|listed| listed.key);
    keys.map(|key| key.strip_prefix("shop/").unwrap().to_owned()).collect()
}

/// The head of the channel, if there is one, after checking that its release
/// is whole: every object is there with the bytes that the manifest names.
async fn whole_head(store: &Arc<MemoryStore>) -> Option<Activation> {
    let bytes = read(&**store, &layout().head(channel())).await?;
    let head = Activation::from_bytes(&channel(), &bytes).unwrap();
    let bytes = read(&**store, &layout().manifest(head.release)).await.unwrap();
    let manifest = Manifest::from_bytes(head.release, &bytes).unwrap();
    for (path, entry) in manifest.iter() {
        let key = layout().object(&entry.key);
        let bytes = read(&**store, &key).await.unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(Digest::of(&bytes), entry.b3, "{path} has other bytes");
        assert_eq!(bytes.len() as u64, entry.size, "{path}");
        for (coding, variant) in &entry.variants {
            let bytes = read(&**store, &layout().object(&variant.key)).await;
            let bytes = bytes.unwrap_or_else(|| panic!("{path} is missing as {coding}"));
            assert_eq!(Digest::of(&bytes), variant.b3, "{path} has other bytes as {coding}");
        }
    }
    Some(head)
}
