//! What the tests of the command share: the command itself, a bucket, and
//! something in between that refuses or holds calls.

mod proxy;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use awning::asset::{Digest, KeyLayout};
use awning::bucket::{Bucket, Credentials};
use awning::clock::Clock;
use awning::manifest::Channel;
use awning::publish;
use awning::store::s3::{Profile, S3Config, S3Store, Waits};
use awning::store::{
    GetOutcome, GetRequest, ObjectHeaders, ObjectRead, ObjectWrite as _, StoreErrorKind, Unfinished,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use proxy::{Action, Proxy};

const KEY_ID: &str = "awning";
const KEY: &str = "awning-secret";
const BUCKET: &str = "etalage";
/// Nothing that a test publishes is larger.
const OBJECT_BYTES_MAX: usize = 1 << 26;

/// A bucket that is served, the proxy before it, and a directory to work in.
pub(crate) struct World {
    pub(crate) bucket: Bucket,
    pub(crate) proxy: Proxy,
    directory: TempDir,
    store: S3Store,
    ending: CancellationToken,
}

/// What a finished command came to.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at(Clock::System).await
    }

    /// A world whose bucket takes the time from `clock`.
    pub(crate) async fn at(clock: Clock) -> Self {
        let directory = TempDir::new().unwrap();
        let credentials = Credentials { key_id: KEY_ID.into(), key: KEY.into() };
        let bucket = Bucket::open_at(&directory.path().join("bucket"), credentials, clock).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap();
        let ending = CancellationToken::new();
        let (served, end) = (bucket.clone(), ending.clone());
        tokio::spawn(async move { served.serve(listener, end).await });
        let proxy = Proxy::before(behind).await;
        let store = S3Store::new(S3Config {
            endpoint: Url::parse(&format!("http://{behind}")).unwrap(),
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            key_id: KEY_ID.into(),
            key: KEY.into(),
            profile: Profile::Publisher,
            attempts: 1,
            waits: Waits::default(),
        });
        Self { bucket, proxy, directory, store, ending }
    }

    /// A path in the directory of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file below the directory of this test.
    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.path(name), text);
    }

    /// The command, with the bucket configured through the proxy.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare_command(arguments);
        command
            .current_dir(self.directory.path())
            .env("AWNING_STORE_BUCKET", BUCKET)
            .env("AWNING_STORE_ENDPOINT", self.proxy.url())
            .env("AWNING_STORE_ATTEMPTS", "2")
            .env("B2_APPLICATION_KEY_ID", KEY_ID)
            .env("B2_APPLICATION_KEY", KEY);
        command
    }

    /// Runs the command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments)).await
    }

    /// Starts the command; it is killed when the value is dropped.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Reads the head of production past the proxy, and every object of its
    /// manifest; returns what the release has at `path`. Panics if anything
    /// of the release is not there, or is not what the manifest says.
    pub(crate) async fn served(&self, path: &str) -> Option<String> {
        let layout = KeyLayout::default();
        let channel = Channel::default();
        let base = publish::base(&self.store, &layout, &channel).await.unwrap();
        base.head()?;
        let manifest = base.manifest().unwrap_or_else(|| panic!("{:?}", base.remarks()));
        let mut found = None;
        for (asset, entry) in manifest.iter() {
            let object = self.object(entry.key.as_str()).await;
            let object = object.unwrap_or_else(|| panic!("`{asset}` has no object"));
            assert_eq!(Digest::of(&object), entry.b3, "`{asset}` has other bytes");
            for (coding, variant) in &entry.variants {
                let object = self.object(variant.key.as_str()).await;
                let object = object.unwrap_or_else(|| panic!("`{asset}` has no {coding}"));
                assert_eq!(Digest::of(&object), variant.b3, "`{asset}` has another {coding}");
            }
            if asset.as_str() == path {
                found = Some(String::from_utf8(object.to_vec()).unwrap());
            }
        }
        found
    }

    /// Stores an object past the proxy.
    pub(crate) async fn put(&self, key: &str, text: &str) {
        let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
        self.store.put(key, bytes, &ObjectHeaders::default()).await.unwrap();
    }

    /// What is stored under a key, past the proxy.
    pub(crate) async fn text(&self, key: &str) -> Option<String> {
        self.object(key).await.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// Begins an upload in parts past the proxy, and sends a part of it.
    pub(crate) async fn begin(&self, key: &str, part: &'static str) {
        let upload = self.store.begin_upload(key, &ObjectHeaders::default()).await.unwrap();
        self.store.put_part(key, &upload, 1, part.into()).await.unwrap();
    }

    /// The uploads that are under way, past the proxy.
    pub(crate) async fn uploads(&self) -> Vec<Unfinished> {
        self.store.list_uploads("", None).await.unwrap().uploads
    }

    /// The keys that begin with `prefix`, past the proxy.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let page = self.store.list(prefix, None).await.unwrap();
        page.objects.into_iter().map(|listed| listed.key).collect()
    }

    /// Deletes every version of the keys that contain `text`, past the proxy.
    pub(crate) async fn lose(&self, text: &str) {
        for version in self.store.list_versions("", None).await.unwrap().versions {
            if version.key.contains(text) {
                self.store.delete(&version.key, version.version.as_deref()).await.unwrap();
            }
        }
    }

    async fn object(&self, key: &str) -> Option<Vec<u8>> {
        match self.store.get(key, GetRequest::default()).await {
            Ok(GetOutcome::Found(object)) => {
                Some(object.collect(key, OBJECT_BYTES_MAX).await.unwrap().to_vec())
            }
            Ok(GetOutcome::NotModified) => panic!("`{key}` answered as if asked conditionally"),
            Err(error) if error.kind() == StoreErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

/// The command with an empty environment and nothing configured.
pub(crate) fn bare_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awning"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn finish(mut command: Command) -> Finished {
    let output = command.output().await.unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl Finished {
    /// Asserts the exit code, and shows what was printed if it is another.
    #[track_caller]
    pub(crate) fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}
