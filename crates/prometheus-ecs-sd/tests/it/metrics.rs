//! The page of metrics: all of it at once, and each number by what makes it move.

mod fleet;
mod page;
mod program;
mod requests;

use std::collections::BTreeMap;

use prometheus_ecs_sd::sinks::http::metrics::Format;

use crate::simulated::Running;

/// The samples of a page by name and labels, of which no two are alike.
pub(crate) fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let twice = samples.insert(name.to_owned(), value.parse().unwrap()).is_some();
        assert!(!twice, "{name} is there twice");
    }
    samples
}

/// The page as it is now.
struct Now(BTreeMap<String, f64>);

impl Now {
    fn of(running: &Running) -> Self {
        Self(samples(&running.metrics(Format::Text)))
    }

    /// One sample; names go without their prefix.
    fn sample(&self, name: &str) -> Option<f64> {
        self.0.get(&format!("ecs_sd_{name}")).copied()
    }

    /// The sum of all samples of a name whose labels include this text.
    fn sum(&self, name: &str, labels: &str) -> f64 {
        let name = format!("ecs_sd_{name}{{");
        let samples =
            self.0.iter().filter(|(sample, _)| sample.starts_with(&name) && sample.contains(labels));
        samples.map(|(_, value)| value).sum()
    }
}
