//! What must hold after every publication, whatever goes on: nothing is lost that still runs, nothing is there that
//! never was, and where nothing is wrong all is right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prometheus_ecs_sd::published::{Published, SourceStatus};
use tokio::time::Instant;

use super::faults::Trouble;
use super::reference::{Group, Target};
use super::steps::Cluster;

/// From one refresh to the next, jitter included.
pub(super) const PERIOD: Duration = Duration::from_secs(64);

/// The results of one source wait so long for those of the other, and a little.
const OTHERS: Duration = Duration::from_secs(3);

/// A source that nothing is wrong with is refreshed within this time, whatever its calls take, and the time between
/// refreshes while events are live.
const REFRESHED: Duration = Duration::from_secs(600);

type Labels = BTreeMap<String, String>;

/// What was seen so far. Groups stand here as their [identities](Group::identity).
pub(super) struct Watch {
    /// What was ever a target, as the world goes, and the clusters and tasks it was of.
    possible: BTreeMap<Group, BTreeSet<(Cluster, String)>>,
    /// What was published, as it last was, and must stay as long as it is a target.
    published: BTreeMap<Group, Labels>,
    /// When the world last changed.
    changed: Instant,
    /// When something was last wrong with a cluster.
    harmed: BTreeMap<Cluster, Instant>,
    /// When an answer may last have been wrong in a way that cannot be noticed.
    deceived: Instant,
    /// When there were publications, and how long the slowest refresh before each took.
    publications: Vec<(Instant, Duration)>,
    /// When the last refresh of each source began, and its end as the source tells it.
    refreshes: BTreeMap<String, (Instant, Option<Duration>)>,
    /// The longest time from one refresh to the next.
    period: Duration,
}

impl Watch {
    /// With the longest time from one refresh to the next.
    pub(super) fn new(period: Duration) -> Self {
        let now = Instant::now();
        Self {
            possible: BTreeMap::new(),
            published: BTreeMap::new(),
            changed: now,
            harmed: BTreeMap::new(),
            deceived: now,
            publications: Vec::new(),
            refreshes: BTreeMap::new(),
            period,
        }
    }

    pub(super) fn changed(&mut self, targets: Vec<Target>) {
        self.changed = Instant::now();
        self.was_possible(targets);
    }

    /// These may be published, though the world has others now.
    pub(super) fn was_possible(&mut self, targets: Vec<Target>) {
        for Target { cluster, task, group } in targets {
            self.possible.entry(group.identity()).or_default().insert((cluster, task));
        }
    }

    /// A refresh that was on its way came to nothing.
    pub(super) fn restarted(&mut self) {
        self.changed = Instant::now();
        self.refreshes.clear();
    }

    /// Takes note of what is wrong now.
    pub(super) fn note(&mut self, trouble: &Trouble) {
        let now = Instant::now();
        let harmed = Cluster::ALL.into_iter().filter(|cluster| trouble.harms(*cluster));
        self.harmed.extend(harmed.map(|cluster| (cluster, now)));
        if trouble.deceives() {
            self.deceived = now;
        }
    }

    /// `found` is what the files hold, `targets` what they should. With `slow`, tasks may have changed in a way that
    /// shows late.
    pub(super) fn check(
        &mut self,
        published: &Published,
        sources: &[SourceStatus],
        found: Vec<Group>,
        targets: &[Target],
        slow: bool,
    ) -> Result<(), String> {
        self.publications.push((Instant::now(), published.took));
        for source in sources {
            self.note_refresh(source);
        }
        let found: BTreeMap<Group, Labels> =
            found.into_iter().map(|group| (group.identity(), group.labels)).collect();
        let expected = targets.iter().map(|target| (target.group.identity(), target)).collect();
        if let Some(invented) = found.keys().find(|identity| !self.possible.contains_key(identity)) {
            return Err(format!("published, though it never was: {invented:#?}"));
        }
        self.nothing_is_lost(&found, &expected)?;
        if !slow {
            self.all_is_right(published, &found, &expected)?;
        }
        self.published.extend(found);
        Ok(())
    }

    fn note_refresh(&mut self, source: &SourceStatus) {
        let noted = self.refreshes.get(&source.id()).map(|(_, end)| *end);
        match source.refreshed {
            // Not since the start.
            None => drop(self.refreshes.insert(source.id(), (self.changed, None))),
            end if noted == Some(end) => {}
            end => {
                let began = Instant::now() - source.took - OTHERS;
                self.refreshes.insert(source.id(), (began, end));
            }
        }
    }

    /// Whether what was published just now, if it is complete, was all requested after that moment. While a source is
    /// being refreshed, the result of its previous refresh is published.
    pub(super) fn is_past(&self, moment: Instant) -> bool {
        let elapsed = moment.elapsed();
        let is_refreshed =
            elapsed > REFRESHED + self.period || self.refreshes.values().all(|(began, _)| *began > moment);
        is_refreshed && elapsed > PERIOD + OTHERS + self.slowest_since(moment)
    }

    /// How long the slowest refresh took that was published since that moment.
    pub(super) fn slowest_since(&self, moment: Instant) -> Duration {
        let since = self.publications.iter().rev().take_while(|(at, _)| *at >= moment);
        since.map(|(_, took)| *took).max().unwrap_or_default()
    }

    fn nothing_is_lost(
        &self,
        found: &BTreeMap<Group, Labels>,
        expected: &BTreeMap<Group, &Target>,
    ) -> Result<(), String> {
        for (identity, before) in &self.published {
            let Some(target) = expected.get(identity) else { continue };
            // Without labels, a task's target may pass for that of the task before.
            if self.possible[identity].len() > 1 {
                continue;
            }
            let Some(now) = found.get(identity) else {
                return Err(format!("lost, though it runs: {identity:#?}"));
            };
            let is_lost = |name: &str| {
                let value = before.get(name);
                target.group.labels.get(name) == value && now.get(name) != value
            };
            if let Some(name) = before.keys().find(|name| is_lost(name)) {
                return Err(format!("lost the label {name}: {identity:#?}"));
            }
        }
        Ok(())
    }

    /// Clusters that nothing was wrong with are as they should be, and if the publication says that it is complete
    /// so are all.
    fn all_is_right(
        &self,
        published: &Published,
        found: &BTreeMap<Group, Labels>,
        expected: &BTreeMap<Group, &Target>,
    ) -> Result<(), String> {
        if !self.is_past(self.changed) {
            return Ok(());
        }
        let is_right = |cluster: &Cluster| {
            (published.complete && self.is_past(self.deceived))
                || self.harmed.get(cluster).is_none_or(|moment| self.is_past(*moment))
        };
        let missing = |(identity, target): &(&Group, &&Target)| {
            is_right(&target.cluster) && !found.contains_key(identity)
        };
        if let Some((identity, _)) = expected.iter().find(missing) {
            return Err(format!("missing, though nothing is wrong: {identity:#?}"));
        }
        let is_over = |identity: &&Group| {
            let mut of = self.possible[*identity].iter();
            !expected.contains_key(identity) && of.all(|(cluster, _)| is_right(cluster))
        };
        match found.keys().find(is_over) {
            Some(identity) => Err(format!("still there, though nothing is wrong: {identity:#?}")),
            None => Ok(()),
        }
    }
}
