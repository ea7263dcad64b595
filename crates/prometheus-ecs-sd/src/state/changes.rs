//! The changes from one publication to the next, as records of the state file.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ecs_discovery::inventory::saved::{Saved, SavedScope, SavedService, SavedTask};
use ecs_discovery::model::Names;

use super::Facts;
use super::record::{Cluster, Definition, Host, Kind, Lists, Record, Service, Task};
use crate::clock::Reading;

/// Writes the records that turn `before` into `after`. For unchanged facts that both share, only pointers are compared.
/// Returns whether a value of `before` is no longer needed, which earlier records have.
pub(super) fn changes(
    before: &Facts,
    after: &Facts,
    clock: Reading,
    write: impl FnMut(Record<'_>) -> io::Result<()>,
) -> io::Result<bool> {
    let (before, after, nothing) = (by_name(before), by_name(after), Saved::default());
    let mut out =
        Out { write, source: None, cluster: None, lists: Lists::default(), has_surplus: false, clock };
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        out.gone(Kind::Source, name)?;
    }
    for (name, saved) in after {
        out.source = Some(name);
        match before.get(name) {
            Some(earlier) if Arc::ptr_eq(earlier, saved) => {}
            Some(earlier) => out.source(earlier, saved)?,
            None => {
                out.begin()?;
                out.source(&nothing, saved)?;
            }
        }
    }
    Ok(out.has_surplus)
}

fn by_name(facts: &Facts) -> BTreeMap<&str, &Arc<Saved>> {
    facts.iter().map(|(name, saved)| (&**name, saved)).collect()
}

/// Writes records, each source or cluster with its header before its first record.
struct Out<'a, W> {
    write: W,
    /// The current source, if its header is not written yet.
    source: Option<&'a str>,
    /// The current cluster, if its header is not written yet.
    cluster: Option<&'a str>,
    /// The lists of names that were written.
    lists: Lists,
    has_surplus: bool,
    clock: Reading,
}

impl<'a, W: FnMut(Record<'_>) -> io::Result<()>> Out<'a, W> {
    fn begin(&mut self) -> io::Result<()> {
        if let Some(name) = self.source.take() {
            (self.write)(Record::Source(name.into()))?;
        }
        if let Some(arn) = self.cluster.take() {
            (self.write)(Record::In(arn.into()))?;
        }
        Ok(())
    }

    fn put(&mut self, record: Record<'_>) -> io::Result<()> {
        self.begin()?;
        (self.write)(record)
    }

    fn gone(&mut self, kind: Kind, id: &str) -> io::Result<()> {
        self.put(Record::Gone(kind, id.into()))
    }

    fn note_surplus(&mut self, before: Option<&Names>, after: &Names) {
        self.has_surplus |= before.is_some_and(|before| !after.include(before));
    }

    fn source(&mut self, before: &'a Saved, after: &'a Saved) -> io::Result<()> {
        for change in differences(&before.definitions, &after.definitions, |one| &one.arn, PartialEq::eq) {
            match change {
                Change::Gone(one) => self.gone(Kind::Definition, one.arn.as_str())?,
                Change::Now(earlier, one) => {
                    self.note_surplus(earlier.map(|earlier| &earlier.names), &one.names);
                    let definition = Definition::of(one, &mut self.lists);
                    self.put(Record::Definition(definition))?;
                }
            }
        }
        let (instances, now) = (&before.container_instances, &after.container_instances);
        for change in differences(instances, now, |one| &one.arn, PartialEq::eq) {
            match change {
                Change::Gone(one) => self.gone(Kind::ContainerInstance, one.arn.as_str())?,
                Change::Now(_, one) => {
                    let instance = one.instance.as_ref().map(|id| id.as_str().into());
                    self.put(Record::ContainerInstance { arn: one.arn.as_str().into(), instance })?;
                }
            }
        }
        for change in differences(&before.hosts, &after.hosts, |one| &one.id, PartialEq::eq) {
            match change {
                Change::Gone(one) => self.gone(Kind::Host, one.id.as_str())?,
                Change::Now(_, one) => self.put(Record::Host(Host::of(one)))?,
            }
        }
        for change in differences(&before.scopes, &after.scopes, |one| &one.cluster.arn, PartialEq::eq) {
            match change {
                Change::Gone(one) => self.gone(Kind::Cluster, one.cluster.arn.as_str())?,
                Change::Now(earlier, one) => self.cluster(earlier, one)?,
            }
        }
        Ok(())
    }

    fn cluster(&mut self, before: Option<&SavedScope>, after: &'a SavedScope) -> io::Result<()> {
        let of_itself = |scope: &SavedScope| {
            (scope.cluster.clone(), scope.described, scope.stale_since, scope.failing_since)
        };
        if before.map(of_itself) == Some(of_itself(after)) {
            self.cluster = Some(after.cluster.arn.as_str());
        } else {
            self.put(Record::Cluster(Cluster::of(after, self.clock)))?;
        }
        let earlier: &[SavedService] = before.map_or(&[], |before| &before.services);
        for change in differences(earlier, &after.services, |one| &one.name, PartialEq::eq) {
            match change {
                Change::Gone(one) => self.gone(Kind::Service, one.name.as_str())?,
                Change::Now(_, one) => self.put(Record::Service(Service::of(one)))?,
            }
        }
        let earlier: &[SavedTask] = before.map_or(&[], |before| &before.tasks);
        for change in differences(earlier, &after.tasks, |one| &one.task.arn, PartialEq::eq) {
            match change {
                Change::Gone(one) => self.gone(Kind::Task, one.task.arn.as_str())?,
                Change::Now(earlier, one) => {
                    self.note_surplus(earlier.map(|earlier| &earlier.task.names), &one.task.names);
                    let task = Task::of(one, self.clock, &mut self.lists);
                    self.put(Record::Task(Box::new(task)))?;
                }
            }
        }
        self.cluster = None;
        Ok(())
    }
}

enum Change<'a, T> {
    Gone(&'a T),
    /// The old value, unless the fact is new, and the new one.
    Now(Option<&'a T>, &'a T),
}

/// The differences of two lists, each sorted by key and without repeated keys.
fn differences<'a, T, K: Ord + 'a>(
    before: &'a [T],
    after: &'a [T],
    key: impl Fn(&T) -> &K,
    is_same: impl Fn(&T, &T) -> bool,
) -> impl Iterator<Item = Change<'a, T>> {
    debug_assert!([before, after].iter().all(|list| list.is_sorted_by(|one, next| key(one) < key(next))));
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) if is_same(one, other) => {
                    before.next();
                    after.next();
                    continue;
                }
                (Some(one), Some(other)) => key(one).cmp(key(other)),
            };
            let earlier = before.next_if(|_| order.is_le());
            return match after.next_if(|_| order.is_ge()) {
                Some(now) => Some(Change::Now(earlier, now)),
                None => earlier.map(Change::Gone),
            };
        }
    })
}
