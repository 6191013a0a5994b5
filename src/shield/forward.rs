//! The one place where a request leaves for the upstream of a storefront, and
//! what its pages are rewritten with: one release of each of the site's mounts.

use std::sync::Arc;

use url::Url;

use super::Shield;
use super::body::RequestBody;
use super::config::Serve;
use super::deliver::Delivered;
use super::metrics::Metrics;
use super::origin::storefront::{Storefront, StorefrontLimits, UpstreamError, bypassed};
use super::page::Rewriting;
use super::release::Releases;
use super::request::GatedRequest;
use super::route::SAME_ORIGIN;
use super::site::Site;
use crate::asset::Digest;
use crate::rewrite::{ManifestResolver, PublicBase, Reference};

/// Digits of a release in validators.
const RELEASE_DIGITS: usize = 12;

/// The upstream of a site that has one.
pub(super) fn storefront(
    serve: &Serve,
    metrics: &Arc<Metrics>,
) -> Result<Option<Storefront>, UpstreamError> {
    match serve {
        Serve::Assets | Serve::Release => Ok(None),
        Serve::Storefront { upstream } => {
            let limits = StorefrontLimits::standard();
            Storefront::new(upstream, limits, Arc::clone(metrics)).map(Some)
        }
    }
}

impl Shield {
    /// Forwards a request to the site's upstream.
    pub(super) async fn storefront(
        &self,
        site: &Site,
        request: GatedRequest,
        body: RequestBody,
        releases: &Releases,
    ) -> Delivered {
        let Some(storefront) = &site.storefront else {
            return super::generated(http::StatusCode::BAD_GATEWAY, "no-storefront");
        };
        let rewriting = rewriting(site, &request, releases);
        let answered = match site.config.pages.cache {
            true => self.pages.answer(site, storefront, request, body, rewriting).await,
            false => storefront.forward(request, body, rewriting).await.map(|response| {
                let status = bypassed(response.status());
                (response, status)
            }),
        };
        match answered {
            Ok(delivered) => delivered,
            Err(error) => {
                tracing::warn!(site = site.name(), error = &error as &dyn std::error::Error);
                (error.response(), error.cache_status())
            }
        }
    }
}

/// `None` when the site's pages stay as they are, or no release is at hand.
fn rewriting(site: &Site, request: &GatedRequest, releases: &Releases) -> Option<Rewriting> {
    if !site.config.rewrite {
        return None;
    }
    let page = Url::parse(&format!("{}://{}/", request.scheme, request.authority)).ok()?;
    let same_origin = PublicBase::parse(SAME_ORIGIN).ok()?;
    let mounted = site.assets.iter().filter_map(|(mount, channel)| {
        let snapshot = releases.of(*channel)?;
        let resolver = ManifestResolver {
            manifest: Arc::clone(&snapshot.manifest),
            mount: mount.clone(),
            public: site.config.public.clone(),
            same_origin: same_origin.clone(),
            page: page.clone(),
        };
        Some((snapshot.release.to_string(), resolver))
    });
    let (names, resolvers): (Vec<_>, Vec<_>) = mounted.unzip();
    let mut release = match names.as_slice() {
        [] => return None,
        [name] => name.clone(),
        // A page that is made of several releases changes with each of them.
        names => Digest::of(names.concat().as_bytes()).to_string(),
    };
    release.truncate(RELEASE_DIGITS);
    let resolver = move |reference: &Reference<'_>| {
        use crate::rewrite::Resolver as _;
        resolvers.iter().find_map(|resolver| resolver.resolve(reference))
    };
    Some(Rewriting { resolver: Arc::new(resolver), release })
}
