//! How far this process has read what it looks at. What was published before it began is not taken away before that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::filter::Filter;
use ecs_discovery::inventory::selection::ClusterSelection;

/// How long a list that may lack something is withheld while refreshes fail, where `--max-staleness` does not say it: as
/// long as the alerts wait that tell of such failures. Targets that are new elsewhere must not wait for ever.
pub(crate) const LISTS_WAIT: Duration = Duration::from_secs(15 * 60);

/// The same for a cluster that AWS denies: that is an answer, and probably stays so. For some seconds after a policy was changed AWS
/// may still deny what it allows.
pub(crate) const LISTS_WAIT_FOR_DENIED: Duration = Duration::from_secs(3 * 60);

/// How far everything was read when a snapshot was put together.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What is looked at.
    pub(super) places: Vec<Place>,
    /// Clusters of the snapshot that were not read yet, and whether lists wait for them.
    pub(super) unread: BTreeMap<ClusterArn, bool>,
    /// Clusters that were read; empty once all were.
    pub(super) read: BTreeSet<ClusterArn>,
    /// Whether each source and cluster was read once, or was let go.
    pub(super) is_done: bool,
    /// The same but for what refreshes have failed to read for so long that lists do not wait for it.
    pub(super) is_settled: bool,
    /// Whether there is any target in what is looked at.
    pub(super) found: bool,
    /// Whether what is left of another selection may go though nothing was found.
    pub(super) allow_empty: bool,
    /// Whether the process began without knowing all that was published before.
    pub(super) lists_wait: bool,
}

/// One source, as far as it matters where it looks.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) account: Option<Box<str>>,
    pub(super) region: String,
    pub(super) clusters: ClusterSelection,
    /// Whether its clusters were listed once, or were let go.
    pub(super) is_listed: bool,
    /// Whether lists wait until they are.
    pub(super) lists_wait: bool,
}

/// Why a cluster is not looked at any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deselected {
    Region(String),
    Account(String),
    Cluster(String),
}

impl Place {
    fn selects(&self, cluster: &ClusterArn) -> bool {
        // A source that has listed its clusters and whose account is not known has none.
        let is_of_account = self.account.as_deref().map_or(!self.is_listed, |own| own == cluster.account());
        is_of_account && self.region == cluster.region() && self.clusters.selects(cluster)
    }
}

impl Reading {
    /// Whether targets stay that a process before this one has published, of a cluster if that is known, and that are not
    /// in the snapshot.
    pub(crate) fn keeps(&self, cluster: Option<&ClusterArn>) -> bool {
        match cluster.filter(|cluster| self.deselected(cluster).is_none()) {
            Some(cluster) => self.may_have(cluster),
            None => self.keeps_deselected(cluster.is_some()),
        }
    }

    /// Whether targets stay that are not looked for any more. A selection that finds nothing was probably not meant.
    pub(super) fn keeps_deselected(&self, is_known: bool) -> bool {
        let is_time = if is_known { self.is_settled } else { self.is_done };
        !is_time || self.keeps_for_want_of_others()
    }

    /// Whether what is not looked for any more stays because there is nothing else.
    pub(crate) fn keeps_for_want_of_others(&self) -> bool {
        self.is_settled && !self.found && !self.allow_empty
    }

    /// Whether a cluster that is looked at may have targets that are not in the snapshot.
    pub(super) fn may_have(&self, cluster: &ClusterArn) -> bool {
        let mut selecting = self.places.iter().filter(|place| place.selects(cluster));
        !self.is_done
            && !self.read.contains(cluster)
            && (self.unread.contains_key(cluster) || selecting.any(|place| !place.is_listed))
    }

    /// Whether a list may lack what a process before this one has served.
    pub(crate) fn withholds(&self, filter: &Filter) -> bool {
        let covers = |place: &Place| filter.covers(place.account.as_deref(), &place.region);
        self.lists_wait
            && !self.is_done
            && (self.places.iter().any(|place| place.lists_wait && covers(place))
                || self.unread.iter().any(|(cluster, wait)| *wait && filter.selects(cluster)))
    }

    /// Why a cluster is not looked at; `None` if it is.
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
