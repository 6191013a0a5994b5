//! The whole shield in process, before an origin on loopback whose answers the
//! input decides, with a clock that it moves and purges in between.
//!
//! Nothing that is private or purged is ever another's, no body is another
//! one's, and assets are what was published.
#![no_main]

mod origin;
mod play;
mod release;
mod truth;
mod visitor;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::{Arbitrary, Unstructured};
use awning::asset::KeyLayout;
use awning::clock::{Clock, ManualClock};
use awning::rewrite::{Mount, PublicBase};
use awning::shield::config::{
    Config, Cookies, Limits, MountedChannel, PageRule, Pages, Serve, SiteConfig,
};
use awning::shield::metrics::Metrics;
use awning::shield::{DiskConfig, Shield};
use awning::store::ObjectRead;
use futures_util::future::join_all;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use url::Url;

use origin::Script;
use play::{ACTS_MAX, Act, Play};
use release::{Fickle, Published, channel};
use truth::Truth;

/// Time that a play may take, far more than any needs: longer is a hang.
const PLAY_MAX: Duration = Duration::from_secs(60);
/// Time that what is under way may take to end.
const SETTLING_MAX: Duration = Duration::from_secs(30);

/// The clock of a play.
pub(crate) type Time = Clock;

/// The shield of a play, and what is known of it.
pub(crate) struct Stage {
    shield: RefCell<Arc<Shield>>,
    pub(crate) config: Arc<Config>,
    bucket: Arc<Fickle>,
    pub(crate) published: Published,
    pub(crate) truth: Truth,
    pub(crate) rfc: bool,
    pub(crate) clock: ManualClock,
    visits: Cell<u32>,
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(play) = Play::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let runtime = runtime();
    let published = published().clone();
    runtime.block_on(async {
        timeout(PLAY_MAX, perform(&play, published)).await.expect("a play comes to its end");
    });
});

/// When all plays begin: in 2026.
pub(crate) fn begin() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_564_800)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The release is the same in all plays, and nobody writes to its bucket.
fn published() -> &'static Published {
    static PUBLISHED: OnceLock<Published> = OnceLock::new();
    PUBLISHED.get_or_init(|| runtime().block_on(Published::new()))
}

async fn perform(play: &Play, published: Published) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("an address");
    let upstream = Url::parse(&format!("http://{address}")).expect("a URL");
    let (clock, truth) = (ManualClock::at(begin()), Truth::default());
    let bucket = Arc::new(Fickle::new(Arc::clone(&published.bucket)));
    let disk = play.has_disk().then(|| tempfile::tempdir().expect("a directory"));
    let config = Arc::new(config(play, upstream, disk.as_ref().map(TempDir::path)));
    let shield = shield(&config, &bucket, &clock);
    shield.refresh().await;
    assert!(shield.readiness().ready);
    bucket.begin(&play.faults);
    let script = Script {
        answers: play.answers.clone(),
        rfc: play.rfc,
        rule: play.rule,
        truth: truth.clone(),
        time: Clock::Manual(clock.clone()),
    };
    let origin = tokio::spawn(origin::answer(listener, Arc::new(script)));
    let (shield, visits, rfc) = (RefCell::new(shield), Cell::new(0), play.rfc);
    let stage = Stage { shield, config, bucket, published, truth, rfc, clock, visits };
    for act in play.acts.iter().take(ACTS_MAX) {
        stage.act(act).await;
    }
    stage.settle().await;
    let (held, bound) = (stage.shield().memory_bytes_held(), stage.config.memory_bytes_max);
    assert!(held <= bound, "{held} of {bound} bytes");
    assert!(!origin.is_finished(), "the origin has met a bug of its own");
    origin.abort();
}

impl Stage {
    async fn act(&self, act: &Act) {
        match act {
            Act::Visit(visit) => self.visit(visit).await,
            Act::Again(visit) => {
                self.visit(visit).await;
                self.visit(visit).await;
            }
            Act::Together(one, other, third) => {
                let all = [one, other].into_iter().chain(third);
                join_all(all.map(|visit| self.visit(visit))).await;
            }
            Act::Wait(seconds) => self.clock.advance(Duration::from_secs(u64::from(*seconds))),
            Act::WaitLong(minutes) => {
                self.clock.advance(Duration::from_secs(60 * u64::from(*minutes)));
            }
            Act::Purge => {
                self.shield().epochs().advance();
                self.truth.facts().purges += 1;
            }
            Act::Settle => {
                self.settle().await;
                if self.config.disk.is_some() {
                    self.restart().await;
                }
            }
        }
    }

    async fn settle(&self) {
        assert!(self.shield().drain(SETTLING_MAX).await, "flights do not end");
    }

    /// What memory held is gone, and what was purged must stay so.
    async fn restart(&self) {
        let shield = shield(&self.config, &self.bucket, &self.clock);
        drop(self.shield.replace(Arc::clone(&shield)));
        shield.refresh().await;
    }

    pub(crate) fn shield(&self) -> Arc<Shield> {
        Arc::clone(&self.shield.borrow())
    }

    pub(crate) fn next_visit(&self) -> u32 {
        self.visits.replace(self.visits.get() + 1)
    }
}

fn shield(config: &Config, bucket: &Arc<Fickle>, clock: &ManualClock) -> Arc<Shield> {
    let bucket: Arc<dyn ObjectRead> = Arc::clone(bucket) as _;
    let (clock, metrics) = (Clock::Manual(clock.clone()), Arc::new(Metrics::default()));
    let shield = Shield::new(config.clone(), Some(bucket), KeyLayout::default(), clock, metrics);
    shield.expect("a configuration that can be served")
}

fn config(play: &Play, upstream: Url, disk: Option<&Path>) -> Config {
    let rule = play.rule.then(|| PageRule::new("/0", "max-age=60").expect("a rule"));
    let pages = Pages {
        cache: true,
        cookies: if play.rfc { Cookies::Rfc } else { Cookies::Safe },
        rules: rule.into_iter().collect(),
    };
    let shop = site(&["shop.nl", "other.nl"], Serve::Storefront { upstream }, "/static/");
    Config {
        sites: vec![
            site(&["cdn.nl"], Serve::Assets, "/"),
            site(&["site.nl"], Serve::Release, "/"),
            SiteConfig { rewrite: play.rewrite, pages, ..shop },
        ],
        memory_bytes_max: if play.is_narrow() { 256 << 10 } else { 8 << 20 },
        disk: disk.map(|at| DiskConfig { directory: at.to_owned(), bytes_max: 64 << 20 }),
        trusted_proxies: Vec::new(),
        limits: Limits::standard(),
    }
}

fn site(hosts: &[&str], serve: Serve, mount: &str) -> SiteConfig {
    SiteConfig {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        serve,
        assets: vec![MountedChannel { mount: Mount::at(mount), channel: channel() }],
        public: PublicBase::parse("https://cdn.nl").expect("a base"),
        rewrite: false,
        pages: Pages::default(),
    }
}
