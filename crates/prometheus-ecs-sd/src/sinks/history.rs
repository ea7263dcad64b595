//! What changed lately, for people who look now: a time line that forgets. It begins with the first publication, which is
//! one event however much it brought.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::snapshot::{Changes, ScopeChange, Snapshot};
use ecs_discovery::target::Target;
use ecs_discovery::text::clipped;

use crate::published::Reading;
use crate::published::{Earlier, Published, SnapshotReader};
use crate::sinks::changes::Difference;
use crate::sinks::numbers::{count, number};

/// As many events as one scrolls through.
const KEPT: usize = 500;

/// Events of one kind that a publication leaves, so that one large deployment does not push everything else out. The others
/// are counted.
const OF_A_KIND: usize = 20;

/// Something that became different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The moment of its publication.
    pub at: Duration,
    /// What it was.
    pub kind: Kind,
    /// What it was about; fit for people to look at, as the detail is.
    pub subject: String,
    /// What else there is to say.
    pub detail: String,
}

/// What became different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something is published, for the first time in this process.
    Begun,
    /// A target is new.
    Appeared,
    /// A target's interval or labels differ.
    Changed,
    /// A target is no more.
    Gone,
    /// A container that opted in is not scraped, and someone should act.
    NotScraped,
    /// A scope was heard, first or again.
    ScopeHeard,
    /// A scope could not be heard.
    ScopeHeld,
    /// A scope is as a process before this one saved it.
    ScopeRestored,
    /// A scope is no more.
    ScopeGone,
}

/// The time line, shared by its writer and its readers.
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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.events().len()
    }

    /// Writes down what each publication changes, until there are no more.
    pub async fn follow(self, mut reader: SnapshotReader) {
        let mut before: Option<Earlier> = None;
        while reader.published.changed().await.is_ok() {
            let now = reader.published.borrow_and_update().clone();
            let (at, history) = (reader.clock.now(), self.clone());
            // The difference of two large snapshots takes a while.
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

/// What one publication leaves.
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
        for kind in [Kind::ScopeHeld, Kind::ScopeGone, Kind::ScopeHeard, Kind::ScopeRestored] {
            // That clusters are heard is what one expects of a beginning.
            if is_first && kind != Kind::ScopeHeld {
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
            format!("{} {} {job} {container}", target.interval, target.cluster())
        };
        self.push_some(Kind::Gone, changes.gone.iter().collect(), |target| (subject(target), detail(target)));
        self.push_some(Kind::Changed, changes.changed.iter().collect(), |(earlier, target)| {
            (subject(target), format!("{} {}", detail(target), Difference(earlier, target)))
        });
        self.push_some(Kind::Appeared, changes.appeared.iter().collect(), |target| {
            (subject(target), detail(target))
        });
    }

    /// The first of them, and how many more there are.
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
        ScopeChange::Read | ScopeChange::ReadAgain => Kind::ScopeHeard,
        ScopeChange::Stale(_)
        | ScopeChange::Denied { .. }
        | ScopeChange::Retired(_)
        | ScopeChange::NeverRead(_) => Kind::ScopeHeld,
        ScopeChange::Restored => Kind::ScopeRestored,
        ScopeChange::Gone => Kind::ScopeGone,
    }
}

fn words_of(change: &ScopeChange) -> String {
    match change {
        ScopeChange::Read => "read".to_owned(),
        ScopeChange::ReadAgain => "read again".to_owned(),
        ScopeChange::Stale(why) => format!("stale, its targets are kept: {why}"),
        ScopeChange::Denied { why, known: true } => format!("denied, its targets stay as they were: {why}"),
        ScopeChange::Denied { why, known: false } => format!("denied, and never read: {why}"),
        ScopeChange::Retired(why) => format!("retired, its targets are gone: {why}"),
        ScopeChange::NeverRead(why) => format!("never read: {why}"),
        ScopeChange::Restored => "as it was before the start or the reload".to_owned(),
        ScopeChange::Gone => "gone".to_owned(),
    }
}
