//! The recent changes for the status page, bounded in number. The first publication is one event, however many targets it
//! has.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::snapshot::{Changes, ScopeChange, Snapshot};
use ecs_discovery::target::Target;
use ecs_discovery::text::{clipped, count, number};

use crate::published::Reading;
use crate::published::{Earlier, Published, SnapshotReader};
use crate::sinks::changes::Difference;

/// The number of events: as many as a person scrolls through.
const KEPT: usize = 500;

/// The recorded events of one kind in a publication, so that one large deployment does not push out all others. Further
/// ones are counted.
const OF_A_KIND: usize = 20;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The moment of its publication.
    pub at: Duration,
    /// The kind of change.
    pub kind: Kind,
    /// The target, container or cluster, as displayed text, like the detail.
    pub subject: String,
    /// More about the change.
    pub detail: String,
}

/// The kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first publication of this process.
    Begun,
    /// A target is new.
    Appeared,
    /// A target's interval or labels differ.
    Changed,
    /// A target is gone.
    Gone,
    /// A container that opted in is not scraped, which needs attention.
    NotScraped,
    /// A scope was read for the first time or again.
    ScopeRead,
    /// A scope could not be read.
    ScopeStale,
    /// A scope was restored from the state file.
    ScopeRestored,
    /// A scope is gone.
    ScopeGone,
}

/// The timeline, shared by its writer and its readers.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<VecDeque<Event>>>);

impl History {
    /// The newest events, the newest first.
    pub fn newest(&self, count: usize) -> Vec<Event> {
        self.events().iter().take(count).cloned().collect()
    }

    /// The moment of the newest event.
    pub fn newest_at(&self) -> Option<Duration> {
        self.events().front().map(|event| event.at)
    }

    /// The number of events.
    pub fn count(&self) -> usize {
        self.events().len()
    }

    /// Records the changes of each publication, until the last one.
    pub async fn follow(self, mut reader: SnapshotReader) {
        let mut before: Option<Earlier> = None;
        while reader.published.changed().await.is_ok() {
            let now = reader.published.borrow_and_update().clone();
            let (at, history) = (reader.clock.now(), self.clone());
            // Comparing two large snapshots takes a while.
            let note = tokio::task::spawn_blocking(move || {
                history.note(at, before.as_ref(), &now);
                now.as_earlier()
            });
            before = Some(note.await.expect("the task that follows is started again after a panic"));
        }
    }

    fn note(&self, at: Duration, before: Option<&Earlier>, published: &Published) {
        let (now, reading) = (&*published.snapshot, &*published.reading);
        let mut entry = Entry { at, events: Vec::new() };
        let changes = published.since(before.unwrap_or(&Earlier::default()));
        if before.is_none() {
            entry.begin(now);
        }
        entry.scopes(&changes.scopes, reading, before.is_none());
        if before.is_some() {
            entry.changes(&changes);
        }
        let mut events = self.events();
        entry.events.into_iter().rev().for_each(|event| events.push_front(event));
        events.truncate(KEPT);
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of one publication.
struct Entry {
    at: Duration,
    events: Vec<Event>,
}

impl Entry {
    fn begin(&mut self, now: &Snapshot) {
        let (targets, clusters) = (count(now.target_count(), "target"), count(now.scopes.len(), "cluster"));
        let not_scraped = count(now.not_scraped(), "container");
        let subject = format!("{targets} in {clusters}, {not_scraped} not scraped");
        self.push(Kind::Begun, &subject, "");
    }

    fn scopes(&mut self, scopes: &[(ClusterArn, ScopeChange)], reading: &Reading, is_first: bool) {
        let of = |kind: Kind| scopes.iter().filter(move |(_, change)| kind_of(change) == kind);
        for kind in [Kind::ScopeStale, Kind::ScopeGone, Kind::ScopeRead, Kind::ScopeRestored] {
            // At the start, clusters are expected to be read.
            if is_first && kind != Kind::ScopeStale {
                continue;
            }
            self.push_some(kind, of(kind).collect(), |(cluster, change)| {
                let subject = format!("{} {} {}", cluster.last_part(), cluster.account(), cluster.region());
                let is_deselected = *change == ScopeChange::Gone && reading.deselected(cluster).is_some();
                (subject, if is_deselected { "no longer selected".to_owned() } else { words_of(change) })
            });
        }
    }

    fn changes(&mut self, changes: &Changes) {
        let unexpected = changes.findings.iter().filter_map(|finding| Some((finding, finding.unexpected()?)));
        self.push_some(Kind::NotScraped, unexpected.collect(), |(finding, problem)| {
            let subject = format!("{} {} {}", finding.job(), finding.container, finding.task.last_part());
            (subject, format!("{}: {}", problem.reason, problem.detail))
        });
        let subject = |target: &Target| target.endpoint.to_string();
        let detail = |target: &Target| {
            let (job, container) = (target.job(), target.container());
            format!("{} {} {job} {container}", target.shown_interval(), target.cluster())
        };
        self.push_some(Kind::Gone, changes.gone.iter().collect(), |target| (subject(target), detail(target)));
        self.push_some(Kind::Changed, changes.changed.iter().collect(), |(earlier, target)| {
            (subject(target), format!("{} {}", detail(target), Difference(earlier, target)))
        });
        self.push_some(Kind::Appeared, changes.appeared.iter().collect(), |target| {
            (subject(target), detail(target))
        });
    }

    /// The first events, and the number of further ones.
    fn push_some<T>(&mut self, kind: Kind, all: Vec<T>, words: impl Fn(&T) -> (String, String)) {
        for one in all.iter().take(OF_A_KIND) {
            let (subject, detail) = words(one);
            self.push(kind, &subject, &detail);
        }
        if let more @ 1.. = all.len().saturating_sub(OF_A_KIND) {
            self.push(kind, &format!("and {} more", number(more)), "");
        }
    }

    fn push(&mut self, kind: Kind, subject: &str, detail: &str) {
        let (subject, detail) = (clipped(subject), clipped(detail));
        self.events.push(Event { at: self.at, kind, subject, detail });
    }
}

fn kind_of(change: &ScopeChange) -> Kind {
    match change {
        ScopeChange::Read | ScopeChange::ReadAgain => Kind::ScopeRead,
        ScopeChange::Stale(_)
        | ScopeChange::Denied { .. }
        | ScopeChange::Retired(_)
        | ScopeChange::NeverRead(_) => Kind::ScopeStale,
        ScopeChange::Restored => Kind::ScopeRestored,
        ScopeChange::Gone => Kind::ScopeGone,
    }
}

fn words_of(change: &ScopeChange) -> String {
    match change {
        ScopeChange::Read => "read".to_owned(),
        ScopeChange::ReadAgain => "read again".to_owned(),
        ScopeChange::Stale(why) => format!("stale, its targets are kept: {why}"),
        ScopeChange::Denied { why, known: true } => format!("denied, its targets are kept: {why}"),
        ScopeChange::Denied { why, known: false } => format!("denied, and never read: {why}"),
        ScopeChange::Retired(why) => format!("retired, its targets are removed: {why}"),
        ScopeChange::NeverRead(why) => format!("never read: {why}"),
        ScopeChange::Restored => "restored as before the start or the reload".to_owned(),
        ScopeChange::Gone => "gone".to_owned(),
    }
}
