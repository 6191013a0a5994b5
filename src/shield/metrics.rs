//! What the shield counts, and its Prometheus text.
//!
//! The recorder belongs to one shield; nothing global is installed, so two
//! shields in one process count apart.

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

/// Buckets of the histograms that count seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0];

const METADATA: Metadata<'static> = Metadata::new("awning", Level::INFO, None);

/// The counters, gauges and histograms of one shield.
pub struct Metrics {
    recorder: PrometheusRecorder,
}

impl Default for Metrics {
    fn default() -> Self {
        let builder = PrometheusBuilder::new();
        let suffix = Matcher::Suffix("_seconds".to_owned());
        // Only an empty list of buckets is refused, and this one is not empty.
        let builder = builder
            .set_buckets_for_metric(suffix, SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        Self { recorder: builder.build_recorder() }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// A counter. Label values must come from a closed set, never from a client.
    pub fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// A gauge.
    pub fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// A histogram; names end in their unit.
    pub fn histogram(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// Everything as Prometheus text.
    pub fn render(&self) -> String {
        self.tidy();
        self.recorder.handle().render()
    }

    /// Adds up what the histograms recorded. They keep every value until then,
    /// so this has to be called now and then even if nobody asks for the text.
    pub fn tidy(&self) {
        self.recorder.handle().run_upkeep();
    }
}

/// A counter for each value of one label, kept once it was made: to find it
/// anew by its name and labels costs more than a look into the cache.
#[derive(Debug)]
pub(crate) struct Counters {
    name: &'static str,
    label: (&'static str, String),
    /// By the value of the other label, of which there are few.
    made: ArcSwap<Vec<(&'static str, Counter)>>,
}

impl Counters {
    /// Counters of this name that have one label in common. They do not exist
    /// before they are used.
    pub(crate) fn new(name: &'static str, label: &'static str, value: &str) -> Self {
        Self { name, label: (label, value.to_owned()), made: ArcSwap::default() }
    }

    /// Adds one to the counter whose label `other` has this value.
    pub(crate) fn count(&self, metrics: &Metrics, other: &'static str, value: &'static str) {
        let made = self.made.load();
        if let Some((_, counter)) = made.iter().find(|(made, _)| *made == value) {
            return counter.increment(1);
        }
        let labels = [(self.label.0, self.label.1.as_str()), (other, value)];
        let counter = metrics.counter(self.name, &labels);
        counter.increment(1);
        self.made.rcu(|made| {
            let mut made = Vec::clone(made);
            if made.iter().all(|(made, _)| *made != value) {
                made.push((value, counter.clone()));
            }
            made
        });
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned()));
    Key::from_parts(name, labels.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_are_kept_count_like_those_that_are_found_anew() {
        let metrics = Metrics::default();
        let kept = Counters::new("awning_requests_total", "site", "a");
        for value in ["hit", "miss", "hit"] {
            kept.count(&metrics, "cache", value);
        }
        metrics.counter("awning_requests_total", &[("site", "a"), ("cache", "hit")]).increment(1);
        let text = metrics.render();
        assert!(text.contains(r#"awning_requests_total{site="a",cache="hit"} 3"#), "{text}");
        assert!(text.contains(r#"awning_requests_total{site="a",cache="miss"} 1"#), "{text}");
    }

    #[test]
    fn counts_are_rendered_as_prometheus_text() {
        let metrics = Metrics::default();
        metrics.counter("awning_requests_total", &[("site", "a"), ("cache", "hit")]).increment(2);
        metrics.histogram("awning_request_seconds", &[]).record(0.002);
        let text = metrics.render();
        assert!(text.contains(r#"awning_requests_total{site="a",cache="hit"} 2"#), "{text}");
        assert!(text.contains(r#"awning_request_seconds_bucket{le="0.0025"} 1"#), "{text}");
    }
}
