//! Releases made by hand, and shields that serve them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use awning::asset::{AssetPath, Digest, KeyLayout, ObjectKey, media};
use awning::clock::{Clock, ManualClock};
use awning::manifest::{Activation, Channel, Encoding, Entry, Manifest, ReleaseId, Variant};
use awning::rewrite::{Mount, PublicBase};
use awning::semantics::encoding::Coding;
use awning::shield::config::{Config, Limits, MountedChannel, Serve, SiteConfig};
use awning::shield::metrics::Metrics;
use awning::shield::{DiskConfig, Shield};
use awning::store::{ObjectHeaders, ObjectWrite};
use bytes::Bytes;
use url::Url;

use super::origin::Origin;

/// The hosts of [`Street`], one for each kind of site.
pub(crate) const CDN: &str = "cdn.example.nl";
pub(crate) const SITE: &str = "www.example.nl";
pub(crate) const SHOP: &str = "shop.example.nl";

/// 2026-11-25, when all tests begin.
pub(crate) const BEGIN: Duration = Duration::from_secs(1_795_564_800);

/// The assets of one release.
#[derive(Clone, Default)]
pub(crate) struct Release {
    entries: BTreeMap<AssetPath, Entry>,
    encoding: Option<Encoding>,
    objects: Vec<(ObjectKey, Bytes, ObjectHeaders)>,
}

/// A bucket, a clock, and a shield with an assets site, a release site and a
/// storefront before it.
pub(crate) struct Street {
    pub(crate) origin: Arc<Origin>,
    pub(crate) clock: ManualClock,
    pub(crate) shield: Arc<Shield>,
}

impl Release {
    /// Adds an asset with this content.
    pub(crate) fn with(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        let (path, content) = (AssetPath::parse(path).unwrap(), content.into());
        let b3 = Digest::of(&content);
        let entry = Entry {
            b3,
            cache: "public, max-age=31536000, immutable".into(),
            content_type: media::content_type(&path),
            headers: BTreeMap::new(),
            integrity: "sha384-".into(),
            key: ObjectKey::for_asset(&path, &b3.fingerprint()),
            refs: Vec::new(),
            size: content.len() as u64,
            stable: false,
            tags: Vec::new(),
            variants: BTreeMap::new(),
        };
        self.objects.push((entry.key.clone(), content, headers(&entry)));
        self.entries.insert(path, entry);
        self
    }

    /// As if its publisher had made the codings that are worth having.
    pub(crate) fn by_a_publisher_that_codes(mut self) -> Self {
        self.encoding = Some(Encoding { version: 1, ..Encoding::default() });
        self
    }

    /// Adds a coding of an asset that is there. The bytes need not be coded:
    /// nothing in the shield decodes them unless the asset itself is lost.
    pub(crate) fn with_variant(
        mut self,
        path: &str,
        coding: Coding,
        content: impl Into<Bytes>,
    ) -> Self {
        let content = content.into();
        let entry = self.entries.get_mut(path).unwrap();
        let key = ObjectKey::parse(&format!("{}{}", entry.key, coding.suffix())).unwrap();
        let (b3, size) = (Digest::of(&content), content.len() as u64);
        entry.variants.insert(coding, Variant { b3, key: key.clone(), size });
        self.objects.push((key, content, headers(entry)));
        self
    }

    /// The key of an asset's object.
    pub(crate) fn key(&self, path: &str) -> String {
        self.entries[path].key.to_string()
    }

    /// The public path of an asset's object.
    pub(crate) fn name(&self, path: &str) -> String {
        format!("/{}", self.entries[path].key.public_name().unwrap())
    }

    /// Puts the objects, the manifest and the head into a bucket.
    pub(crate) async fn publish(&self, origin: &Origin, seq: u64) -> ReleaseId {
        self.publish_to(&origin.store, seq).await
    }

    /// The same for a bucket of any kind.
    pub(crate) async fn publish_to(&self, store: &dyn ObjectWrite, seq: u64) -> ReleaseId {
        let keys = KeyLayout::default();
        for (key, content, headers) in &self.objects {
            store.put(&keys.object(key), content.clone(), headers).await.unwrap();
        }
        let mut manifest = Manifest::new(self.entries.clone());
        if let Some(encoding) = &self.encoding {
            manifest = manifest.with_encoding(encoding.clone());
        }
        let (release, bytes) = manifest.to_bytes().unwrap();
        let headers = ObjectHeaders::default();
        store.put(&keys.manifest(release), bytes.into(), &headers).await.unwrap();
        let head = head_bytes(release, seq);
        store.put(&keys.head(channel()), head.into(), &headers).await.unwrap();
        release
    }
}

impl Street {
    /// A street with this release published and read.
    pub(crate) async fn with(release: &Release) -> Self {
        Self::of_memory(release, 64 * 1024 * 1024).await
    }

    /// The same with another bound on memory.
    pub(crate) async fn of_memory(release: &Release, bytes_max: u64) -> Self {
        let street = Self::unpublished(bytes_max);
        release.publish(&street.origin, 1).await;
        let report = street.shield.refresh().await;
        assert!(street.shield.readiness().ready, "{report:?}");
        street
    }

    /// A street whose bucket is empty.
    pub(crate) fn unpublished(bytes_max: u64) -> Self {
        let clock = ManualClock::at(UNIX_EPOCH + BEGIN);
        let origin = Origin::new(Clock::Manual(clock.clone()));
        let shield = Shield::new(
            config(bytes_max),
            Some(origin.clone()),
            KeyLayout::default(),
            Clock::Manual(clock.clone()),
            Arc::new(Metrics::default()),
        );
        Self { origin, clock, shield: shield.unwrap() }
    }

    /// A street with this release published and read, and a disk tier.
    pub(crate) async fn on_disk(release: &Release, disk: &Path, bytes_max: u64) -> Self {
        let clock = ManualClock::at(UNIX_EPOCH + BEGIN);
        let origin = Origin::new(Clock::Manual(clock.clone()));
        release.publish(&origin, 1).await;
        let street = Self::over(origin, clock, disk, bytes_max);
        street.shield.refresh().await;
        street
    }

    /// The same street after a restart, with its channels not read yet. What
    /// memory held is gone.
    pub(crate) async fn restart(self, disk: &Path, bytes_max: u64) -> Self {
        let Self { origin, clock, shield } = self;
        assert!(shield.drain(Duration::from_secs(60)).await);
        drop(shield);
        Self::over(origin, clock, disk, bytes_max)
    }

    fn over(origin: Arc<Origin>, clock: ManualClock, disk: &Path, bytes_max: u64) -> Self {
        let disk = DiskConfig { directory: disk.to_owned(), bytes_max: 64 << 20 };
        let shield = Shield::new(
            Config { disk: Some(disk), ..config(bytes_max) },
            Some(origin.clone()),
            KeyLayout::default(),
            Clock::Manual(clock.clone()),
            Arc::new(Metrics::default()),
        );
        Self { origin, clock, shield: shield.unwrap() }
    }

    /// The value of a metric with exactly these labels; 0 when it is not there.
    pub(crate) fn metric(&self, name_and_labels: &str) -> f64 {
        let text = self.shield.metrics().render();
        let value = text.lines().find_map(|line| line.strip_prefix(name_and_labels));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}

/// Makes a release the head of the channel.
pub(crate) async fn put_head(origin: &Origin, release: ReleaseId, seq: u64) {
    put_head_bytes(origin, head_bytes(release, seq)).await;
}

fn head_bytes(release: ReleaseId, seq: u64) -> Vec<u8> {
    let head = Activation {
        activated: String::new(),
        by: None,
        channel: channel(),
        expires: None,
        locked: false,
        nonce: "n".into(),
        order: 0,
        release,
        seq,
    };
    serde_json::to_vec(&head).unwrap()
}

/// Puts these bytes where the channel's head lies.
pub(crate) async fn put_head_bytes(origin: &Origin, bytes: impl Into<Bytes>) {
    let key = KeyLayout::default().head(channel());
    origin.store.put(&key, bytes.into(), &ObjectHeaders::default()).await.unwrap();
}

/// A configuration with one site of each kind.
pub(crate) fn config(memory_bytes_max: u64) -> Config {
    let upstream = Url::parse("http://127.0.0.1:9").unwrap();
    Config {
        sites: vec![
            site(CDN, Serve::Assets, "/"),
            site(SITE, Serve::Release, "/"),
            site(SHOP, Serve::Storefront { upstream }, "/static/"),
        ],
        memory_bytes_max,
        disk: None,
        trusted_proxies: Vec::new(),
        limits: Limits::standard(),
    }
}

/// A site of one channel.
pub(crate) fn site(host: &str, serve: Serve, mount: &str) -> SiteConfig {
    SiteConfig {
        hosts: vec![host.to_owned()],
        serve,
        assets: vec![MountedChannel { mount: Mount::at(mount), channel: channel() }],
        public: PublicBase::parse(&format!("https://{CDN}")).unwrap(),
        rewrite: true,
        pages: Default::default(),
    }
}

pub(crate) fn channel() -> Channel {
    Channel::parse("production").unwrap()
}

fn headers(entry: &Entry) -> ObjectHeaders {
    ObjectHeaders {
        content_type: Some(entry.content_type.clone()),
        cache_control: Some(entry.cache.clone()),
        meta: BTreeMap::from([("blake3".to_owned(), entry.b3.to_string())]),
        ..ObjectHeaders::default()
    }
}
