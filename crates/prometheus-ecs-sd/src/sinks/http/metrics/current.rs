//! Metrics of the current state: targets, clusters, findings, sources, cached facts, rate limits.
//!
//! They are computed from the published data at each scrape, so that the series of a cluster disappear with it. There is
//! a series for each cluster and source, and none for each task.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::conventions::builtin::NAMES;
use ecs_discovery::conventions::list::Conventions;
use ecs_discovery::finding::{Reason, Verdict};
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::snapshot::{Scope, ScopeStatus, Snapshot};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;

use crate::aws::BucketStatus;
use crate::clock::Reading;
use crate::published::{EventStatus, Published, SourceStatus};
use crate::telemetry::dropped;
use crate::telemetry::metrics::OWN;

/// All statuses of a scope, as label values.
const STATUSES: [&str; 5] = ["fresh", "stale", "restored", "retired", "never_read"];

/// The data for one scrape.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) published: Published,
    /// The conventions that are turned on.
    pub(super) conventions: Conventions,
    pub(super) sources: Vec<SourceStatus>,
    pub(super) bucket_statuses: Vec<BucketStatus>,
    /// When the program started.
    pub(super) began: Duration,
    pub(super) clock: Reading,
}

impl Collector for Current {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Families(&mut encoder);
        self.clusters(&mut page, &self.published.snapshot)?;
        self.conventions(&mut page, &self.published.snapshot)?;
        findings(&mut page, &self.published.snapshot)?;
        self.sources(&mut page)?;
        self.facts(&mut page)?;
        self.rate_limits(&mut page)?;
        let help = "Log messages that were dropped because the log is read too slowly";
        page.counter("log_messages_dropped", help, None, dropped())
    }
}

/// Writes families of metrics one after the other.
pub(super) struct Families<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    fn begin<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // The registry also adds a period.
        self.0.encode_descriptor(name, &format!("{help}."), unit, kind)
    }

    /// Gauges by label set.
    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, unit, MetricType::Gauge)?;
        series.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// Counters by label set.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.begin(name, help, None, MetricType::Counter)?;
        series.into_iter().try_for_each(|(labels, value)| {
            family.encode_family(&labels)?.encode_counter(&value, None::<&Exemplar<L, u64>>)
        })
    }

    /// A gauge without labels.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.begin(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A counter without labels.
    pub(super) fn counter<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: V,
    ) -> fmt::Result {
        let no_exemplar = None::<&Exemplar<[(&str, &str); 0], u64>>;
        self.begin(name, help, unit, MetricType::Counter)?.encode_counter(&value, no_exemplar)
    }
}

fn labels(cluster: &ClusterArn) -> [(&'static str, &str); 3] {
    [("account", cluster.account()), ("region", cluster.region()), ("cluster", cluster.last_part())]
}

fn status(scope: &Scope) -> &'static str {
    match &scope.status {
        // One word, as usual for a label value.
        ScopeStatus::NeverRead(_) => "never_read",
        status => status.as_str(),
    }
}

/// Findings, without labels of unbounded values. The log names the containers.
fn findings(page: &mut Families<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    let mut skipped = BTreeMap::from(Reason::ALL.map(|reason| (reason, 0_u64)));
    let mut warnings = 0_u64;
    for finding in snapshot.findings() {
        match &finding.verdict {
            Verdict::NotScraped(problem) => *skipped.entry(problem.reason).or_default() += 1,
            Verdict::Warning(_) => warnings += 1,
        }
    }
    let skipped = skipped.iter().map(|(reason, count)| ([("reason", reason.as_str())], *count));
    page.gauges(
        "skipped_containers",
        "Containers that opted in and are not scraped, by reason",
        None,
        skipped,
    )?;
    let help = "Warnings about containers that are scraped, but with a setting ignored";
    page.gauge("container_warnings", help, None, warnings)
}

impl Current {
    fn clusters(&self, page: &mut Families<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
        let targets = |(cluster, scope): (_, &Scope)| (labels(cluster), scope.derived.targets.len() as u64);
        page.gauges("targets", "Targets that are published", None, snapshot.scopes.iter().map(targets))?;
        let kept = snapshot.scopes.iter().map(|(cluster, scope)| (labels(cluster), self.kept(scope)));
        let help = "Time since a cluster was last read, 0 if that was at its last refresh";
        page.gauges("cluster_held", help, Some(&Unit::Seconds), kept)?;
        let denied = |(cluster, scope): (_, &Scope)| (labels(cluster), u64::from(scope.denied));
        let help = "Whether AWS denied access to a cluster at its last refresh";
        page.gauges("cluster_denied", help, None, snapshot.scopes.iter().map(denied))?;
        let mut clusters = BTreeMap::from(STATUSES.map(|name| (name, 0_u64)));
        for scope in snapshot.scopes.values() {
            *clusters.entry(status(scope)).or_default() += 1;
        }
        let clusters = clusters.into_iter().map(|(status, count)| ([("standing", status)], count));
        page.gauges("clusters", "Clusters by status", None, clusters)
    }

    /// Conventions that are turned on are there without targets, so that the end of a migration is visible.
    fn conventions(&self, page: &mut Families<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
        let mut targets: BTreeMap<_, _> = self.conventions.iter().map(|one| (one.name(), 0)).collect();
        targets.extend(snapshot.by_convention());
        let targets = targets.into_iter().map(|(name, count)| ([("convention", name)], count as u64));
        page.gauges("convention_targets", "Targets by convention", None, targets)?;
        let is_turned_on = |name: &&str| self.conventions.iter().any(|one| one.name() == *name);
        let others = NAMES.into_iter().filter(|name| !is_turned_on(name));
        let mut hints: BTreeMap<_, _> = others.map(|name| (name, 0)).collect();
        hints.extend(snapshot.hints());
        let hints = hints.into_iter().map(|(name, count)| ([("convention", name)], count as u64));
        let help = "Containers without a target that a convention would scrape which is not turned on";
        page.gauges("hinted_containers", help, None, hints)
    }

    /// How long the cluster's targets are kept. A cluster that was never read counts from the start of the program.
    fn kept(&self, scope: &Scope) -> f64 {
        let since = match scope.status {
            ScopeStatus::Fresh => return 0.0,
            ScopeStatus::NeverRead(_) => self.began,
            ScopeStatus::Stale(_) | ScopeStatus::Restored | ScopeStatus::Retired(_) => scope.last_read,
        };
        self.clock.age(since).as_secs_f64()
    }

    fn sources(&self, page: &mut Families<'_, '_>) -> fmt::Result {
        // Two roles may have the same name by mistake, and a page must not repeat a series.
        let sources: BTreeMap<_, _> = self.sources.iter().map(|source| (&*source.name, source)).collect();
        let took = sources.iter().map(|(name, source)| ([("source", *name)], source.took.as_secs_f64()));
        let help = "Time that the last refresh of a source took";
        page.gauges("last_refresh_duration", help, Some(&Unit::Seconds), took)?;
        let every = sources.iter().map(|(name, source)| ([("source", *name)], source.interval.as_secs_f64()));
        let help = "Time between two refreshes of a source now";
        page.gauges("refresh_interval", help, Some(&Unit::Seconds), every)?;
        let with_queues = sources.iter().filter(|(_, source)| source.events != EventStatus::Off);
        let live = with_queues
            .map(|(name, source)| ([("source", *name)], u64::from(source.events == EventStatus::Live)));
        page.gauges("events_live", "Whether events tell every change of a source", None, live)?;
        let completed = sources.iter().map(|(name, source)| {
            let at = source.completed.map(|moment| self.clock.time_of_day(moment)).unwrap_or_default();
            ([("source", *name)], at.as_secs_f64())
        });
        let help = "When a source was last read in full, 0 if it never was";
        page.gauges("last_complete_refresh_timestamp", help, Some(&Unit::Seconds), completed)
    }

    fn facts(&self, page: &mut Families<'_, '_>) -> fmt::Result {
        // After a reload, the published facts may be those of other sources for a while.
        let names: BTreeMap<_, _> = self.sources.iter().map(|source| (source.id(), &*source.name)).collect();
        let facts = self.published.facts.iter();
        let facts: BTreeMap<_, _> =
            facts.filter_map(|(id, saved)| Some((*names.get(&**id)?, counts(saved)))).collect();
        let series = facts.into_iter().flat_map(|(source, counts)| {
            counts.map(|(kind, count)| ([("source", source), ("kind", kind)], count))
        });
        page.gauges(
            "facts_cached",
            "Facts in the cache, which are not requested from AWS again",
            None,
            series,
        )
    }

    fn rate_limits(&self, page: &mut Families<'_, '_>) -> fmt::Result {
        fn of<T>(bucket: &BucketStatus, value: T) -> ([(&'static str, &str); 3], T) {
            let account = bucket.account.as_deref().unwrap_or(OWN);
            ([("account", account), ("region", &bucket.region), ("bucket", bucket.bucket)], value)
        }
        let bucket_statuses = &self.bucket_statuses;
        let help = "Requests that could be sent to AWS immediately";
        page.gauges(
            "aws_tokens",
            help,
            None,
            bucket_statuses.iter().map(|bucket| of(bucket, bucket.tokens)),
        )?;
        let help = "Requests a second that may currently be sent to AWS";
        let rates = bucket_statuses.iter().map(|bucket| of(bucket, bucket.rate / bucket.slowness));
        page.gauges("aws_token_rate", help, None, rates)?;
        let help = "Tokens that requests to AWS have used";
        page.counters(
            "aws_tokens_drawn",
            help,
            bucket_statuses.iter().map(|bucket| of(bucket, bucket.drawn)),
        )?;
        let help = "Requests that AWS has throttled";
        page.counters(
            "aws_throttles",
            help,
            bucket_statuses.iter().map(|bucket| of(bucket, bucket.throttled)),
        )
    }
}

fn counts(saved: &Saved) -> [(&'static str, u64); 5] {
    let tasks = saved.scopes.iter().map(|scope| scope.tasks.len()).sum();
    let services = saved.scopes.iter().map(|scope| scope.services.len()).sum();
    let counts = [
        ("container_instances", saved.container_instances.len()),
        ("hosts", saved.hosts.len()),
        ("services", services),
        ("task_definitions", saved.definitions.len()),
        ("tasks", tasks),
    ];
    counts.map(|(kind, count): (_, usize)| (kind, count as u64))
}
