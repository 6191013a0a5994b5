//! What `awning serve` takes from its configuration, read and checked: when it
//! starts, and again when the configuration changes.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use awning::asset::KeyLayout;
use awning::shield::config::{Config, Limits};
use awning::shield::{Tls, TlsError};
use awning::store::s3::{Profile, S3Config};
use secrecy::{ExposeSecret as _, SecretString};

use crate::commands::Context;
use crate::config::{ConfigError, TlsFiles, admin_tokens};

/// A whole configuration of `serve`.
#[derive(Debug)]
pub(crate) struct Served {
    /// What the shield is made of.
    pub(crate) config: Config,
    /// The tokens of the admin listener.
    pub(crate) tokens: Vec<SecretString>,
    /// How to reach the bucket, and where awning's keys lie in it.
    pub(crate) store: Option<(S3Config, KeyLayout)>,
    /// Whether proxies say whose connection each one is.
    pub(crate) proxy_protocol: bool,
    /// The files of the certificate.
    pub(crate) tls: Option<TlsFiles>,
    /// Where visitors are served.
    pub(crate) listen: SocketAddr,
    /// Where operators are served.
    pub(crate) admin_listen: SocketAddr,
}

impl Served {
    /// Reads everything; addresses that flags gave go before those in the file.
    pub(crate) fn read(
        context: &Context,
        listen: Option<SocketAddr>,
        admin_listen: Option<SocketAddr>,
    ) -> Result<Self, ConfigError> {
        let settings = context.settings()?;
        let tokens = admin_tokens(&context.environment)?;
        if settings.sites.is_empty() {
            let message = "no site is configured: write a `[[site]]` with `hosts` and `serve`";
            return Err(ConfigError::missing(message));
        }
        let store = match &settings.store {
            Some(bucket) => {
                Some((context.s3_config(bucket, Profile::Shield)?, bucket.layout.clone()))
            }
            None => None,
        };
        let config = Config {
            sites: settings.sites,
            memory_bytes_max: settings.shield.memory_bytes_max,
            disk: settings.shield.disk,
            trusted_proxies: settings.shield.trusted_proxies,
            limits: Limits::standard(),
        };
        let listen = listen.unwrap_or(settings.shield.listen);
        let admin_listen = admin_listen.unwrap_or(settings.shield.admin_listen);
        let (proxy_protocol, tls) = (settings.shield.proxy_protocol, settings.shield.tls);
        Ok(Self { config, tokens, store, proxy_protocol, tls, listen, admin_listen })
    }

    /// The files that hold the certificate and the key.
    pub(crate) fn tls_files(&self) -> Vec<PathBuf> {
        let files = self.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
        files.collect()
    }

    /// The certificate, read from its files.
    pub(crate) fn certificate(&self) -> Result<Option<Arc<Tls>>, ConfigError> {
        let Some(files) = &self.tls else { return Ok(None) };
        let tls = Tls::read(&files.certificate, &files.key);
        tls.map(|tls| Some(Arc::new(tls))).map_err(|error| unusable(&error))
    }

    /// The settings that `newer` changes and that are bound to what is open
    /// already: sockets, and the bucket whose objects are in the cache.
    pub(crate) fn fixed_in(&self, newer: &Self) -> Vec<&'static str> {
        let bucket = |served: &Self| {
            served.store.as_ref().map(|(s3, layout)| {
                (s3.endpoint.clone(), s3.region.clone(), s3.bucket.clone(), layout.clone())
            })
        };
        let differ = [
            ("shield.listen", self.listen != newer.listen),
            ("shield.admin_listen", self.admin_listen != newer.admin_listen),
            ("shield.proxy_protocol", self.proxy_protocol != newer.proxy_protocol),
            ("shield.tls", self.tls.is_some() != newer.tls.is_some()),
            ("store", bucket(self) != bucket(newer)),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// What is wrong with a certificate, and where it is named.
fn unusable(error: &TlsError) -> ConfigError {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    ConfigError::missing(&format!("`shield.tls`: {error}{cause}"))
}

/// The bucket of `before`, reached with the credentials and the patience of
/// `newer`; `None` if those are the same.
pub(crate) fn renewed(before: &S3Config, newer: &S3Config) -> Option<S3Config> {
    let same = before.key_id == newer.key_id
        && before.key.expose_secret() == newer.key.expose_secret()
        && before.attempts == newer.attempts
        && before.waits == newer.waits;
    (!same).then(|| S3Config {
        endpoint: before.endpoint.clone(),
        region: before.region.clone(),
        bucket: before.bucket.clone(),
        ..newer.clone()
    })
}
