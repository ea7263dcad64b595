//! Tracks which selected sources and clusters this process has read. Targets that were published before it began stay
//! until then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::filter::Filter;
use ecs_discovery::inventory::selection::ClusterSelection;
use tracing::warn;

/// How long a list that may lack targets is withheld while refreshes fail, without `--max-staleness`: as long as the
/// alerts on such failures wait. New targets elsewhere must not wait forever.
pub(crate) const LISTS_WAIT: Duration = Duration::from_secs(15 * 60);

/// The same for a cluster that AWS denies: a denial is an answer, and probably lasts. For some seconds after a policy
/// was changed, AWS may still deny what the policy allows.
pub(crate) const LISTS_WAIT_FOR_DENIED: Duration = Duration::from_secs(3 * 60);

/// How much was read when a snapshot was made.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The selected sources.
    pub(crate) places: Vec<Place>,
    /// Clusters of the snapshot that were not read yet, and whether lists wait for them.
    pub(crate) unread: BTreeMap<ClusterArn, bool>,
    /// Clusters that were read; empty once all were read.
    pub(crate) read: BTreeSet<ClusterArn>,
    /// Whether each source and cluster was read once, or given up after `--max-staleness`.
    pub(crate) is_done: bool,
    /// The same, except for sources and clusters that refreshes have failed to read for so long that lists do not wait
    /// for them.
    pub(crate) is_settled: bool,
    /// Whether the selected clusters have any target.
    pub(crate) found: bool,
    /// Whether the targets of a previous selection may be removed although the current one has none.
    pub(crate) allow_empty: bool,
    /// Whether the process began without knowing everything that was published before.
    pub(crate) lists_wait: bool,
}

/// The account, region and clusters of one source.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) account: Option<Box<str>>,
    pub(crate) region: String,
    pub(crate) clusters: ClusterSelection,
    /// Whether its clusters were listed once, or given up after `--max-staleness`.
    pub(crate) is_listed: bool,
    /// Whether lists wait until then.
    pub(crate) lists_wait: bool,
}

/// Why a cluster is no longer selected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deselected {
    Region(String),
    Account(String),
    Cluster(String),
}

impl Place {
    fn selects(&self, cluster: &ClusterArn) -> bool {
        // A source that has listed its clusters and whose account is unknown has no clusters.
        let is_of_account = self.account.as_deref().map_or(!self.is_listed, |own| own == cluster.account());
        is_of_account && self.region == cluster.region() && self.clusters.selects(cluster)
    }
}

impl Reading {
    /// Whether targets of a previous process that are not in the snapshot stay. `cluster` is their cluster, if it is
    /// known.
    pub(crate) fn keeps(&self, cluster: Option<&ClusterArn>) -> bool {
        match cluster.filter(|cluster| self.deselected(cluster).is_none()) {
            Some(cluster) => self.may_have(cluster),
            None => self.keeps_deselected(cluster.is_some()),
        }
    }

    /// Whether targets stay that are no longer selected. A selection without targets is probably a mistake.
    pub(crate) fn keeps_deselected(&self, is_known: bool) -> bool {
        let is_time = if is_known { self.is_settled } else { self.is_done };
        !is_time || self.keeps_for_want_of_others()
    }

    /// Whether targets that are no longer selected stay because there are no others.
    pub(crate) fn keeps_for_want_of_others(&self) -> bool {
        self.is_settled && !self.found && !self.allow_empty
    }

    /// Whether a selected cluster may have targets that are not in the snapshot.
    pub(crate) fn may_have(&self, cluster: &ClusterArn) -> bool {
        let mut selecting = self.places.iter().filter(|place| place.selects(cluster));
        !self.is_done
            && !self.read.contains(cluster)
            && (self.unread.contains_key(cluster) || selecting.any(|place| !place.is_listed))
    }

    /// Whether a list may lack targets that a previous process has served.
    pub(crate) fn withholds(&self, filter: &Filter) -> bool {
        let covers = |place: &Place| filter.covers(place.account.as_deref(), &place.region);
        self.lists_wait
            && !self.is_done
            && (self.places.iter().any(|place| place.lists_wait && covers(place))
                || self.unread.iter().any(|(cluster, wait)| *wait && filter.selects(cluster)))
    }

    /// Whether lists wait until they lack nothing that a previous process has served.
    pub(crate) fn lists_wait(&self) -> bool {
        self.lists_wait
    }

    /// Whether any list may lack what a process before this one has served.
    pub(crate) fn lists_may_lack(&self) -> bool {
        self.lists_wait && !self.is_settled
    }

    /// Why a cluster is not selected; `None` if it is.
    pub(crate) fn deselected(&self, cluster: &ClusterArn) -> Option<Deselected> {
        if self.places.iter().any(|place| place.selects(cluster)) {
            return None;
        }
        let mut there = self.places.iter().filter(|place| place.region == cluster.region()).peekable();
        Some(if there.peek().is_none() {
            Deselected::Region(cluster.region().to_owned())
        } else if !there.any(|place| place.account.as_deref() == Some(cluster.account())) {
            Deselected::Account(cluster.account().to_owned())
        } else {
            Deselected::Cluster(cluster.to_string())
        })
    }
}

/// Warns of targets that leave because they are no longer selected, given the cluster of each.
pub(crate) fn warn_of_deselected<'a>(reading: &Reading, clusters: impl Iterator<Item = &'a ClusterArn>) {
    let mut reasons = BTreeMap::new();
    for reason in clusters.filter_map(|cluster| reading.deselected(cluster)) {
        *reasons.entry(reason).or_insert(0) += 1;
    }
    for (reason, targets) in reasons {
        match reason {
            Deselected::Region(region) => {
                warn!(region, targets, "region is no longer selected; its targets leave");
            }
            Deselected::Account(account) => {
                warn!(account, targets, "account is no longer selected; its targets leave");
            }
            Deselected::Cluster(cluster) => {
                warn!(cluster, targets, "cluster is no longer selected; its targets leave");
            }
        }
    }
}

/// Warns of a selection without targets, if a previous one had some.
pub(crate) fn warn_of_nothing_selected(targets: usize) {
    warn!(
        targets,
        "the regions, accounts and clusters that are selected have no target; those of the selection before stay, \
         unless --allow-empty is given"
    );
}
