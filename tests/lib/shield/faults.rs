//! A shield before a real bucket whose answers are lost, cut, damaged, refused
//! or out of date on the way (cases 8 and 22 to 25).

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use awning::asset::KeyLayout;
use awning::clock::{Clock, ManualClock};
use awning::shield::Shield;
use awning::shield::metrics::Metrics;
use awning::store::s3::{Profile, S3Config, S3Store, Waits};
use awning_front::{Change, Fault, Front, Moment, Script, When, cases};

use crate::bucket::Server;
use crate::harness::release::{BEGIN, CDN, Release, SITE, config};
use crate::harness::visit::get;
use crate::store_contract::{self, s3_store};

const PATH: &str = "/img/foto.jpg";

/// A shield, the front that it reads through, and the bucket behind that.
struct Seafront {
    server: Server,
    front: Front,
    clock: ManualClock,
    shield: Arc<Shield>,
}

impl Seafront {
    async fn with(release: &Release) -> Self {
        let server = Server::start().await;
        let front = Front::before(server.address).await.unwrap();
        let waits = Waits { answer: Some(Duration::from_secs(2)), ..Waits::default() };
        let settings = store_contract::config(&front.url(), "shop", Profile::Shield);
        let store = S3Store::new(S3Config { waits, ..settings });
        let clock = ManualClock::at(UNIX_EPOCH + BEGIN);
        let shield = Shield::new(
            config(64 << 20),
            Some(Arc::new(store)),
            KeyLayout::default(),
            Clock::Manual(clock.clone()),
            Arc::new(Metrics::default()),
        );
        let seafront = Self { server, front, clock, shield: shield.unwrap() };
        seafront.publish(release, 1).await;
        seafront.refresh().await;
        assert!(seafront.shield.readiness().ready);
        seafront
    }

    /// Publishes past the front.
    async fn publish(&self, release: &Release, seq: u64) {
        let store = s3_store(&self.server.endpoint(), "shop", Profile::Publisher);
        release.publish_to(&store, seq).await;
    }

    async fn refresh(&self) {
        self.shield.refresh().await;
    }

    /// Status, `Cache-Status` and body of one visit.
    async fn visit(&self, path: &str) -> (u16, String, Result<Vec<u8>, String>) {
        let seen = get(CDN, path).of(&self.shield).await;
        let told = seen.header("cache-status").to_owned();
        (seen.status, told, seen.body.map(|body| body.to_vec()))
    }

    fn reads(&self) -> u64 {
        self.front.counts().of("GetObject")
    }

    /// The metric of fills that failed for this reason.
    fn failures(&self, reason: &str) -> String {
        let counted = format!("awning_fill_failures_total{{reason=\"{reason}\"}} ");
        let text = self.shield.metrics().render();
        let line = text.lines().find_map(|line| line.strip_prefix(&counted));
        line.unwrap_or("none").to_owned()
    }
}

fn foto() -> Vec<u8> {
    (0..100_000_u32).map(|n| (n % 251) as u8).collect()
}

fn release() -> Release {
    Release::default().with("img/foto.jpg", foto()).with("index.html", "<img src=/img/foto.jpg>")
}

fn read() -> When {
    When::operation("GetObject").key("a/img/**")
}

/// What breaks off, stands still, or is lost once: the visitor never knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_breaks_off_is_taken_up_and_the_visitor_sees_all_of_it() {
    for (case, name, fault) in [
        (1, "pod busy", cases::pod_busy()),
        (21, "reset before the answer", Fault::Reset(Moment::Head)),
        (22, "silence within the body", Fault::Change(Change::HoldAfter(1000))),
        (23, "short body", Fault::Change(Change::CutAfter(1000))),
        (23, "no body", Fault::Change(Change::CutAfter(0))),
        (23, "reset within the body", Fault::Change(Change::ResetAfter(1000))),
        (29, "end before the answer", Fault::Close(Moment::Head)),
    ] {
        let seafront = Seafront::with(&release()).await;
        seafront.front.follow(Script::new().on(read().first(1), fault));
        let (status, _, body) = seafront.visit(PATH).await;
        assert_eq!(status, 200, "case {case}, {name}");
        assert!(body.as_ref() == Ok(&foto()), "case {case}, {name}: other bytes");
        assert_eq!(seafront.reads(), 2, "case {case}, {name}");
        let (_, told, again) = seafront.visit(PATH).await;
        assert!(told.contains("hit") && again == body, "case {case}, {name}: {told}");
        assert_eq!(seafront.reads(), 2, "case {case}, {name}");
    }
}

/// What does not get better is an error of the gateway, and nothing is stored.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_is_never_stored_and_asked_for_anew() {
    for (case, name, fault, reads, reason) in [
        (8, "download cap", cases::download_cap(), 1, "unavailable"),
        (5, "bad gateway", cases::edge(502), 2, "unavailable"),
        (24, "a flipped bit", Fault::Change(Change::Flip(50_000)), 1, "corrupt"),
    ] {
        let seafront = Seafront::with(&release()).await;
        seafront.front.follow(Script::new().on(read(), fault));
        let (status, told, _) = seafront.visit(PATH).await;
        assert_eq!(status, 502, "case {case}, {name}: {told}");
        assert!(told.ends_with(&format!("detail={reason}")), "case {case}, {name}: {told}");
        assert_eq!(seafront.reads(), reads, "case {case}, {name}");
        assert_eq!(seafront.failures(reason), "1", "case {case}, {name}");

        seafront.front.follow(Script::new());
        seafront.clock.advance(Duration::from_secs(1));
        let (status, told, body) = seafront.visit(PATH).await;
        assert!(told.contains("fwd=uri-miss"), "case {case}, {name}: {told}");
        assert_eq!(status, 200, "case {case}, {name}: {told}");
        assert!(body == Ok(foto()), "case {case}, {name}: {:?}", body.map(|body| body.len()));
    }
}

/// A cap is no reason to forget what is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_outlives_a_cap() {
    let seafront = Seafront::with(&release()).await;
    let (_, _, body) = seafront.visit(PATH).await;
    seafront.front.follow(Script::new().on(When::any(), cases::download_cap()));
    seafront.refresh().await;
    let (status, told, again) = seafront.visit(PATH).await;
    assert_eq!((status, again), (200, body), "{told}");
    assert!(seafront.shield.readiness().ready);
}

/// Heads and manifests that are out of date, or not there yet, leave the old
/// release whole until the new one is.
#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_release_or_the_new_one_and_never_both() {
    let page = async |seafront: &Seafront| {
        let seen = get(SITE, "/").of(&seafront.shield).await;
        let names = [release(), newer()].map(|release| release.name("img/foto.jpg"));
        names.map(|name| seen.text().contains(&name))
    };
    let head = || When::any().key("**/head.json");
    let manifest = || When::any().key(".awning/releases/**");
    for (name, script) in [
        ("an old head", Script::new().on(head(), Fault::Replay)),
        ("a hidden head", Script::new().on(head(), cases::no_such_key())),
        ("a hidden manifest", Script::new().on(manifest(), cases::no_such_key())),
        ("an old manifest", Script::new().on(manifest(), Fault::Replay)),
        ("a cut manifest", Script::new().on(manifest(), Fault::Change(Change::CutAfter(9)))),
        ("a damaged manifest", Script::new().on(manifest(), Fault::Change(Change::Flip(90)))),
        ("a damaged head", Script::new().on(head(), Fault::Change(Change::Flip(9)))),
    ] {
        let seafront = Seafront::with(&release()).await;
        assert_eq!(page(&seafront).await, [true, false], "{name}");
        seafront.publish(&newer(), 2).await;
        seafront.front.follow(script);
        seafront.refresh().await;
        assert_eq!(page(&seafront).await, [true, false], "{name}");
        seafront.front.follow(Script::new());
        seafront.refresh().await;
        assert_eq!(page(&seafront).await, [false, true], "{name}");
    }
}

/// The bucket answers again as it did before the newer release.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_turns_old_again_is_not_followed() {
    let seafront = Seafront::with(&release()).await;
    seafront.publish(&newer(), 2).await;
    seafront.refresh().await;
    seafront.publish(&release(), 1).await;
    seafront.refresh().await;
    let seen = get(SITE, "/").of(&seafront.shield).await;
    assert!(seen.text().contains(&newer().name("img/foto.jpg")), "{}", seen.text());
}

fn newer() -> Release {
    Release::default().with("img/foto.jpg", "newer").with("index.html", "<img src=/img/foto.jpg>")
}
