//! Every store keeps the contract: in memory, over the embedded bucket, and
//! over another S3 server when one is named in the environment:
//! `AWNING_TEST_S3_ENDPOINT`, `_BUCKET`, `_KEY_ID`, `_KEY`, and `_REGION` where
//! the endpoint does not tell it.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use awning::clock::Clock;
use awning::store::ObjectWrite;
use awning::store::contract::Contract;
use awning::store::memory::MemoryStore;
use awning::store::s3::{Profile, S3Config, S3Store, Waits, region_of};
use url::Url;

use crate::bucket::{KEY, KEY_ID, Server};

/// A store over an S3 server.
pub(crate) fn s3_store(endpoint: &str, bucket: &str, profile: Profile) -> S3Store {
    S3Store::new(config(endpoint, bucket, profile))
}

pub(crate) fn config(endpoint: &str, bucket: &str, profile: Profile) -> S3Config {
    S3Config {
        endpoint: Url::parse(endpoint).unwrap(),
        region: "eu-central-003".to_owned(),
        bucket: bucket.to_owned(),
        key_id: KEY_ID.to_owned(),
        key: KEY.into(),
        profile,
        attempts: 0,
        waits: Waits::default(),
    }
}

async fn assert_kept(store: &dyn ObjectWrite, prefix: &str) {
    let outcomes = Contract::new(store, prefix).check_all().await;
    let broken: Vec<_> = outcomes
        .into_iter()
        .filter_map(|(promise, kept)| Some(format!("{promise}: {}", causes(&kept.err()?))))
        .collect();
    assert!(broken.is_empty(), "broken promises:\n{}", broken.join("\n"));
}

/// An error and its causes.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_store_in_memory_keeps_the_contract() {
    assert_kept(&MemoryStore::new(Clock::System), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_over_the_embedded_bucket_keeps_the_contract() {
    let server = Server::start().await;
    let store = s3_store(&server.endpoint(), "shop", Profile::Publisher);
    assert_kept(&store, "under/a prefix/").await;
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment names the server, and tells runs apart"
)]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
async fn a_store_over_another_server_keeps_the_contract() {
    let read = |name: &str| std::env::var(format!("AWNING_TEST_S3_{name}")).ok();
    let Some(endpoint) = read("ENDPOINT") else {
        eprintln!("skipped: AWNING_TEST_S3_ENDPOINT does not name another S3 server");
        return;
    };
    let endpoint = Url::parse(&endpoint).unwrap();
    let region = read("REGION").or_else(|| region_of(&endpoint));
    let store = S3Store::new(S3Config {
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        endpoint,
        bucket: read("BUCKET").unwrap(),
        key_id: read("KEY_ID").unwrap(),
        key: read("KEY").unwrap().into(),
        profile: Profile::Publisher,
        attempts: 0,
        waits: Waits::default(),
    });
    let since: Duration = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert_kept(&store, &format!("contract/{}/", since.as_nanos())).await;
}
