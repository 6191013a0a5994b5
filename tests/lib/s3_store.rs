//! The S3 store against servers that misbehave, and what it sends.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use awning::store::s3::{Profile, S3Store};
use awning::store::{
    GetOutcome, GetRequest, ObjectHeaders, ObjectRead as _, ObjectWrite as _, Part, PutCondition,
    StoreError, StoreErrorKind,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::bucket::Server;
use crate::store_contract::{causes, config, s3_store};

/// A server that answers the n-th request, whose head it is shown in lower
/// case, as it is told to. It closes the connection behind every answer.
struct Stub {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

/// What the stub does with a request.
enum Answer {
    Close(String),
    /// Sends this, and then nothing while the connection lasts.
    Stall(String),
}

impl Stub {
    async fn start(answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let stub = Self { address, heads: Arc::clone(&heads) };
        tokio::spawn(async move {
            let answer = Arc::new(answer);
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&heads), Arc::clone(&answer)));
            }
        });
        stub
    }

    fn store(&self, profile: Profile) -> S3Store {
        s3_store(&format!("http://{}", self.address), "shop", profile)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(
    stream: TcpStream,
    heads: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(usize, &str) -> Answer>,
) {
    let mut stream = BufStream::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap_or_default() == 0 {
            return;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    let number = {
        let mut heads = heads.lock().unwrap();
        heads.push(head.clone());
        heads.len()
    };
    let (text, stalls) = match answer(number, &head) {
        Answer::Close(text) => (text, false),
        Answer::Stall(text) => (text, true),
    };
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    if stalls {
        // Ends when the client gives up.
        let _ = stream.read_u8().await;
    }
}

fn response(status: &str, lines: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Close(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{lines}\r\n{body}"
    ))
}

fn error(status: &str, lines: &str, code: &str, message: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    response(status, lines, &body)
}

fn ok() -> Answer {
    response("200 OK", "", "")
}

async fn put(store: &S3Store) -> Result<(), StoreError> {
    let body = Bytes::from_static(b"bytes");
    store.put("dir/key.css", body, &ObjectHeaders::default()).await.map(|_| ())
}

async fn read(store: &S3Store) -> Result<Bytes, StoreError> {
    match store.get("key", GetRequest::default()).await? {
        GetOutcome::Found(object) => object.collect("key", 100).await,
        GetOutcome::NotModified => unreachable!("no condition was sent"),
    }
}

fn kind<T>(outcome: Result<T, StoreError>) -> Option<StoreErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn the_store_waits_as_long_as_it_is_asked_to_and_no_longer() {
    for (status, wait, at_least, below) in [
        ("503 Slow Down", "2", 2, 3),
        ("429 Too Many Requests", "1", 1, 2),
        ("503 Slow Down", "3600", 20, 21),
        ("503 Slow Down", "-1", 0, 2),
        ("503 Slow Down", "Wed, 21 Oct 2026 07:28:00 GMT", 0, 2),
    ] {
        let lines = format!("Retry-After: {wait}\r\n");
        let answer = move |number: usize, _: &str| match number {
            1 => error(status, &lines, "SlowDown", "slower"),
            _ => ok(),
        };
        let stub = Stub::start(answer).await;
        let start = Instant::now();
        put(&stub.store(Profile::Publisher)).await.unwrap();
        let waited = start.elapsed();
        assert_eq!(stub.heads().len(), 2);
        let expected = Duration::from_secs(at_least)..Duration::from_secs(below);
        assert!(expected.contains(&waited), "{status}, {wait}: waited {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_tries_eight_times_and_a_shield_twice() {
    let busy =
        |_: usize, _: &str| error("503 Busy", "", "ServiceUnavailable", "no tomes available");
    for (profile, attempts) in [(Profile::Publisher, 8), (Profile::Shield, 2)] {
        let stub = Stub::start(busy).await;
        assert_eq!(kind(read(&stub.store(profile)).await), Some(StoreErrorKind::Unavailable));
        assert_eq!(stub.heads().len(), attempts, "{profile:?}");
    }
    let stub = Stub::start(busy).await;
    let mut once = config(&format!("http://{}", stub.address), "shop", Profile::Publisher);
    once.attempts = 1;
    assert_eq!(kind(put(&S3Store::new(once)).await), Some(StoreErrorKind::Unavailable));
    assert_eq!(stub.heads().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_publish_does_not_run_out_of_retries() {
    // Every call succeeds at its eighth attempt; the tokens of the SDK would
    // last for a hundred retries.
    let calls = 40;
    let busy = |_: usize, head: &str| match head.contains("attempt=8;") {
        true => ok(),
        false => error("503 Busy", "", "ServiceUnavailable", "no tomes available"),
    };
    let stub = Stub::start(busy).await;
    let store = stub.store(Profile::Publisher);
    let puts = stream::iter(0..calls).map(|_| put(&store)).buffer_unordered(calls);
    let failed = puts.filter(|outcome| std::future::ready(outcome.is_err())).count().await;
    assert_eq!(failed, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_not_tried_again() {
    for (status, code, message, expected) in [
        ("403 Forbidden", "AccessDenied", "not allowed", StoreErrorKind::Denied),
        ("403 Forbidden", "AccessDenied", "storage cap exceeded.", StoreErrorKind::Capped),
        ("400 Bad Request", "BadDigest", "damaged", StoreErrorKind::Corrupt),
        ("501 Not Implemented", "NotImplemented", "no", StoreErrorKind::Rejected),
        ("404 Not Found", "NoSuchBucket", "no such bucket", StoreErrorKind::Rejected),
    ] {
        let stub = Stub::start(move |_, _| error(status, "", code, message)).await;
        let failed = put(&stub.store(Profile::Publisher)).await.unwrap_err();
        assert_eq!(failed.kind(), expected, "{code}");
        assert!(causes(&failed).contains(message), "{}", causes(&failed));
        assert_eq!(stub.heads().len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cap_is_an_outage_to_the_shield() {
    let capped = |_: usize, _: &str| {
        let message = "Cannot download file, transaction (Class B) cap exceeded.";
        error("403 Forbidden", "", "AccessDenied", message)
    };
    let stub = Stub::start(capped).await;
    let failed = read(&stub.store(Profile::Shield)).await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Unavailable);
    assert!(failed.is_retryable() && causes(&failed).contains("Caps & Alerts"));
}

#[tokio::test(start_paused = true)]
async fn an_error_under_a_status_of_success_is_an_error() {
    let stub = Stub::start(|_, _| error("200 OK", "", "InternalError", "retry your upload")).await;
    let outcome = put(&stub.store(Profile::Publisher)).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::Unavailable));
    assert_eq!(stub.heads().len(), 8);
}

#[tokio::test]
async fn a_validator_that_is_not_the_md5_means_damage() {
    let etag = "ETag: \"00000000000000000000000000000000\"\r\n";
    let stub = Stub::start(move |_, _| response("200 OK", etag, "")).await;
    let store = stub.store(Profile::Publisher);
    assert_eq!(kind(put(&store).await), Some(StoreErrorKind::Corrupt));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_whole_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let short = Stub::start(move |_, _| Answer::Close(format!("{head}12345"))).await;
    let stalled = Stub::start(move |_, _| Answer::Stall(format!("{head}12345"))).await;
    for stub in [short, stalled] {
        let outcome = read(&stub.store(Profile::Shield)).await;
        assert_eq!(kind(outcome), Some(StoreErrorKind::Unavailable));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let stub = Stub::start(|_, _| Answer::Stall(String::new())).await;
    let start = Instant::now();
    let outcome = read(&stub.store(Profile::Shield)).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::Unavailable));
    assert!(start.elapsed() <= Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let outcome = read(&s3_store(&endpoint, "shop", Profile::Shield)).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::Unavailable));
}

#[tokio::test]
async fn empty_pages_are_passed_over_up_to_a_limit() {
    let page = |contents: &str| {
        let more =
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
        response("200 OK", "", &format!("<ListBucketResult>{more}{contents}</ListBucketResult>"))
    };
    let contents = "<Contents><Key>k</Key><Size>1</Size></Contents>";
    let stub = Stub::start(move |number, _| page(if number < 3 { "" } else { contents })).await;
    let listed = stub.store(Profile::Publisher).list("", None).await.unwrap();
    assert_eq!((listed.objects[0].key.as_str(), listed.more), ("k", true));
    assert!(stub.heads()[2].contains("continuation-token=t"));

    let stub = Stub::start(move |_, _| page("")).await;
    let outcome = stub.store(Profile::Publisher).list("", None).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::Unavailable));
    assert_eq!(stub.heads().len(), 16);
}

#[tokio::test]
async fn requests_carry_what_b2_takes_and_nothing_else() {
    let stub = Stub::start(|_, _| ok()).await;
    let store = stub.store(Profile::Publisher);
    put(&store).await.unwrap();
    read(&store).await.unwrap();
    store.delete("key", Some("4_z1")).await.unwrap();
    let heads = stub.heads();
    assert!(heads[0].starts_with("put /shop/dir/key.css?"), "{}", heads[0]);
    for line in [
        "content-md5: szpigls+onmd6kfxpg/pkg==",
        "x-amz-content-sha256: 277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9",
        "content-length: 5",
    ] {
        assert!(heads[0].lines().any(|found| found == line), "{line} in {}", heads[0]);
    }
    assert!(heads[2].starts_with("delete /shop/key?"), "{}", heads[2]);
    assert!(heads[2].contains("versionid=4_z1"), "{}", heads[2]);
    for head in &heads {
        for unwanted in
            ["checksum", "aws-chunked", "x-amz-acl", "tagging", "if-none-match", "expect:"]
        {
            assert!(!head.contains(unwanted), "{unwanted} in {head}");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_denied_with_a_hint() {
    let server = Server::start().await;
    let mut wrong = config(&server.endpoint(), "shop", Profile::Publisher);
    wrong.key = "wrong".into();
    let failed = put(&S3Store::new(wrong)).await.unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Denied);
    assert!(causes(&failed).contains("the key is not the one of this key id"));
    assert_eq!(server.bucket.calls().refused(), 1);
}

#[tokio::test]
async fn a_call_of_the_store_is_one_call_of_the_bucket() {
    let server = Server::start().await;
    let store = s3_store(&server.endpoint(), "shop", Profile::Publisher);
    put(&store).await.unwrap();
    store.get("dir/key.css", GetRequest::default()).await.unwrap();
    store.head("dir/key.css").await.unwrap();
    store.list("", None).await.unwrap();
    store.list_versions("", None).await.unwrap();
    store.delete("dir/key.css", None).await.unwrap();
    let calls = server.bucket.calls();
    let counts: Vec<_> = calls.iter().map(|(name, _, count)| (name.to_owned(), count)).collect();
    let expected = [
        "DeleteObject",
        "GetObject",
        "HeadObject",
        "ListObjectVersions",
        "ListObjectsV2",
        "PutObject",
    ];
    assert_eq!(counts, expected.map(|name| (name.to_owned(), 1)));
}

#[tokio::test(start_paused = true)]
async fn a_request_to_slow_down_is_told_at_once_to_those_who_pace_themselves() {
    for (status, code, lines, wait) in [
        ("503 Slow Down", "SlowDown", "Retry-After: 7\r\n", Some(7)),
        ("503 Slow Down", "SlowDown", "", None),
        ("429 Too Many Requests", "TooManyRequests", "Retry-After: 3600\r\n", Some(3600)),
    ] {
        let stub = Stub::start(move |_, _| error(status, lines, code, "slower")).await;
        let store = stub.store(Profile::Publisher);
        let headers = ObjectHeaders::default();
        let put = store.put_now("key", "bytes".into(), &headers).await.unwrap_err();
        let part = store.put_part("key", "u1", 1, "bytes".into()).await.unwrap_err();
        for failed in [put, part] {
            assert_eq!(failed.kind(), StoreErrorKind::Throttled, "{code}");
            assert_eq!(failed.retry_after(), wait.map(Duration::from_secs), "{code}");
        }
        assert_eq!(stub.heads().len(), 2, "{code}");
    }
    // A store that fails is still tried again by the store.
    let busy = |_: usize, _: &str| error("503 Busy", "", "ServiceUnavailable", "no tomes");
    let stub = Stub::start(busy).await;
    let store = stub.store(Profile::Publisher);
    let outcome = store.put_now("key", "bytes".into(), &ObjectHeaders::default()).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::Unavailable));
    assert_eq!(stub.heads().len(), 8);
}

fn one_part() -> [Part; 1] {
    [Part { number: 1, size: 5, etag: "\"4b3a6218bb3e3a7303e8a171a60fcf92\"".to_owned() }]
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_fails_under_a_status_of_success_is_an_error() {
    let stub = Stub::start(|_, _| error("200 OK", "", "InternalError", "try again")).await;
    let store = stub.store(Profile::Publisher);
    let outcome = store.complete_upload("key", "u1", &one_part()).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::Unavailable));
    assert_eq!(stub.heads().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_is_tried_again_may_find_its_upload_gone() {
    let lost = |number: usize, _: &str| match number {
        1 => error("503 Busy", "", "ServiceUnavailable", "no tomes available"),
        _ => error("404 Not Found", "", "NoSuchUpload", "no such upload"),
    };
    let stub = Stub::start(lost).await;
    let store = stub.store(Profile::Publisher);
    let outcome = store.complete_upload("key", "u1", &one_part()).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::NotFound));
    assert_eq!(stub.heads().len(), 2);

    let missing = |_: usize, _: &str| error("400 Bad Request", "", "InvalidPart", "not found");
    let stub = Stub::start(missing).await;
    let outcome = stub.store(Profile::Publisher).complete_upload("key", "u1", &one_part()).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::PartMissing));
}

#[tokio::test]
async fn a_part_carries_its_md5_and_no_checksum_of_the_sdk() {
    let etag = "ETag: \"4b3a6218bb3e3a7303e8a171a60fcf92\"\r\n";
    let stub = Stub::start(move |_, _| response("200 OK", etag, "")).await;
    let store = stub.store(Profile::Publisher);
    let part = store.put_part("dir/key", "u1", 1, "bytes".into()).await.unwrap();
    assert_eq!(part, one_part()[0]);
    let head = &stub.heads()[0];
    assert!(head.starts_with("put /shop/dir/key?"), "{head}");
    for text in ["partnumber=1", "uploadid=u1", "content-md5: szpigls+onmd6kfxpg/pkg=="] {
        assert!(head.contains(text), "{text} in {head}");
    }
    assert!(!head.contains("checksum") && !head.contains("aws-chunked"), "{head}");

    let other = "ETag: \"00000000000000000000000000000000\"\r\n";
    let stub = Stub::start(move |_, _| response("200 OK", other, "")).await;
    let outcome = stub.store(Profile::Publisher).put_part("key", "u1", 1, "bytes".into()).await;
    assert_eq!(kind(outcome), Some(StoreErrorKind::Corrupt));
}

#[tokio::test]
async fn a_condition_is_sent_only_by_a_conditional_write() {
    let stub = Stub::start(|_, _| ok()).await;
    let (store, headers) = (stub.store(Profile::Publisher), ObjectHeaders::default());
    let absent = PutCondition::Absent;
    store.put_if("key", "bytes".into(), &headers, absent).await.unwrap();
    let unchanged = PutCondition::Unchanged("\"abc\"".to_owned());
    store.put_if("key", "bytes".into(), &headers, unchanged).await.unwrap();
    store.put_now("key", "bytes".into(), &headers).await.unwrap();
    let heads = stub.heads();
    assert!(heads[0].contains("if-none-match: *\r\n"), "{}", heads[0]);
    assert!(heads[1].contains("if-match: \"abc\"\r\n"), "{}", heads[1]);
    assert!(!heads[2].contains("if-"), "{}", heads[2]);

    for (status, code, expected) in [
        ("412 Precondition Failed", "PreconditionFailed", StoreErrorKind::Precondition),
        ("501 Not Implemented", "NotImplemented", StoreErrorKind::Rejected),
    ] {
        let stub = Stub::start(move |_, _| error(status, "", code, "no")).await;
        let (store, absent) = (stub.store(Profile::Publisher), PutCondition::Absent);
        let outcome = store.put_if("key", "bytes".into(), &headers, absent).await;
        assert_eq!(kind(outcome), Some(expected), "{code}");
    }
}

#[tokio::test]
async fn a_listing_of_versions_that_does_not_say_where_it_goes_on_is_no_whole_one() {
    let version = "<Version><Key>k</Key><VersionId>v</VersionId><IsLatest>true</IsLatest>\
                   <Size>1</Size><LastModified>2026-11-25T00:00:00.000Z</LastModified></Version>";
    for (rest, whole) in
        [("<IsTruncated>false</IsTruncated>", true), ("<IsTruncated>true</IsTruncated>", false)]
    {
        let body = format!("<ListVersionsResult>{rest}{version}</ListVersionsResult>");
        let stub = Stub::start(move |_, _| response("200 OK", "", &body)).await;
        let listed = stub.store(Profile::Publisher).list_versions("", None).await;
        assert_eq!(listed.is_ok(), whole, "{listed:?}");
    }
    let error = "<Error><Code>NotImplemented</Code></Error>";
    let stub = Stub::start(move |_, _| response("501 Not Implemented", "", error)).await;
    let store = stub.store(Profile::Publisher);
    let kinds =
        [kind(store.list_versions("", None).await), kind(store.list_uploads("", None).await)];
    assert_eq!(kinds, [Some(StoreErrorKind::Unsupported); 2]);
}
