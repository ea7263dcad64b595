//! Series of one name, sorted. `prometheus_client` keeps them in a hash map, whose order differs each time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Metrics sorted by the values of these labels. Clones share them.
pub(super) struct Family<const N: usize, M> {
    series: Arc<RwLock<BTreeMap<Labels<N>, M>>>,
    new: fn() -> M,
}

pub(super) type Labels<const N: usize> = [(&'static str, String); N];

impl<const N: usize, M: Clone> Family<N, M> {
    /// An empty family; `new` creates its metrics.
    pub(super) fn new(new: fn() -> M) -> Self {
        Self { series: Arc::default(), new }
    }

    /// The metric of these labels, created if it does not exist.
    pub(super) fn of(&self, labels: [(&'static str, &str); N]) -> M {
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner).get(&labels).cloned();
        known.unwrap_or_else(|| {
            let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
            series.entry(labels).or_insert_with(self.new).clone()
        })
    }
}

impl<const N: usize, M> Family<N, M> {
    /// Drops all other metrics.
    pub(super) fn retain(&self, keep: impl Fn(&Labels<N>) -> bool) {
        self.series.write().unwrap_or_else(PoisonError::into_inner).retain(|labels, _| keep(labels));
    }
}

impl<const N: usize, M> Clone for Family<N, M> {
    fn clone(&self) -> Self {
        Self { series: self.series.clone(), new: self.new }
    }
}

impl<const N: usize, M> fmt::Debug for Family<N, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").finish_non_exhaustive()
    }
}

impl<const N: usize, M: TypedMetric> TypedMetric for Family<N, M> {
    const TYPE: MetricType = M::TYPE;
}

impl<const N: usize, M: EncodeMetric + TypedMetric> EncodeMetric for Family<N, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series.iter().try_for_each(|(labels, metric)| metric.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}
