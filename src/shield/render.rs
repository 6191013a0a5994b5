//! Pages of release sites: their references replaced, once per release.

use std::sync::Arc;

use super::metrics::Metrics;
use super::origin::Fault;
use super::wanted::Page;
use crate::rewrite::{Limits, Reference, Resolver, Site, Summary, rewrite_html_under};

/// How much longer than the page itself its rewritten form may be, at least.
const GROWTH_BYTES: u64 = 64 * 1024;

/// Memory that rewriting a page of `size` bytes takes: the page, its new form,
/// and what the rewriter holds back of it.
pub(crate) fn bytes_needed(size: u64) -> u64 {
    size.saturating_mul(3).saturating_add(GROWTH_BYTES)
}

/// Rewrites a page. It is work for a processor, so it is not done on the
/// threads that serve requests. A page whose new form would not fit into
/// `bytes_max` beside the old one stays as it is.
pub(crate) async fn render(
    bytes: Vec<u8>,
    page: Page,
    bytes_max: u64,
    metrics: &Arc<Metrics>,
) -> Result<Vec<u8>, Fault> {
    let rendering = tokio::task::spawn_blocking(move || rendered(bytes, &page, bytes_max));
    // It fails only by a panic in the rewriter, which must not take a page down
    // with the flight's task.
    let (bytes, summary) = rendering.await.map_err(|_| Fault::Unavailable)?;
    count(&summary, metrics);
    Ok(bytes)
}

fn rendered(bytes: Vec<u8>, page: &Page, bytes_max: u64) -> (Vec<u8>, Summary) {
    let resolver = |reference: &Reference<'_>| {
        // Which modules a page has under which URL was settled, with its import
        // map, when it was published; one that moved alone would run twice.
        if reference.site == Site::Module {
            return None;
        }
        page.resolvers.iter().find_map(|resolver| resolver.resolve(reference))
    };
    let Page { url, policy, .. } = page;
    let (rewritten, summary) =
        rewrite_html_under(policy, &bytes, url, &resolver, Limits::standard());
    if rewritten.len() as u64 + bytes.len() as u64 > bytes_max {
        return (bytes, Summary::default());
    }
    (rewritten, summary)
}

/// Counts what was done to a page.
pub(crate) fn count(summary: &Summary, metrics: &Metrics) {
    let rewritten = metrics.counter("awning_references_rewritten_total", &[]);
    rewritten.increment(summary.rewritten as u64);
    for (reason, skipped) in &summary.skipped {
        let labels = [("reason", reason.name())];
        metrics.counter("awning_rewrite_skipped_total", &labels).increment(*skipped as u64);
    }
}
