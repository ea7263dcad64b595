//! The state file: what a publication adds to it, and that what is read is what was saved.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::TaskArn;
use ecs_discovery::inventory::saved::{Saved, SavedScope, SavedTask};
use ecs_discovery::model::{Cluster, Host, Names, Task, TaskDefinition};
use prometheus_ecs_sd::clock::Reading;
use prometheus_ecs_sd::state::{Revision, StateFile};
use tempfile::TempDir;

use crate::simulated::every_case;

/// Later than everything that was observed.
const NOW: Duration = Duration::from_secs(4_000_000_000);

type Sources = BTreeMap<String, Saved>;

/// Facts of every kind, in several sources.
async fn all() -> Sources {
    let stage = every_case();
    stage.once().await;
    StateFile::new(&stage.state_file()).read().unwrap().sources
}

/// A state file with publications of one process.
struct File {
    file: StateFile,
    revision: Revision,
    directory: TempDir,
}

impl File {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { file: StateFile::new(&path(&directory)), revision: Revision::begin(), directory }
    }

    /// Saves facts, looks whether they are read, and returns the file's inode and length.
    fn save(&mut self, sources: &Sources) -> (u64, u64) {
        self.revision = self.revision.next();
        let facts = sources.iter().map(|(name, saved)| (name.as_str().into(), Arc::new(saved.clone())));
        assert!(self.file.write(&facts.collect(), self.revision, Reading::at(NOW), true));
        let path = path(&self.directory);
        let state = StateFile::new(&path).read().unwrap();
        assert!(state.sources == *sources);
        assert_eq!((state.revision, state.is_newest), (Some(self.revision), true));
        let metadata = path.metadata().unwrap();
        (metadata.ino(), metadata.len())
    }
}

fn path(directory: &TempDir) -> std::path::PathBuf {
    Path::new(directory.path()).join("state")
}

fn every_other<T: Clone>(all: &[T], first: usize) -> Vec<T> {
    all.iter().skip(first).step_by(2).cloned().collect()
}

/// Half of the facts of every kind, and, if there is no second of that kind, one or none of them.
fn half(all: &Sources, first: usize) -> Sources {
    let half = |(name, saved): (&String, &Saved)| {
        let scope = |scope: SavedScope| SavedScope { tasks: every_other(&scope.tasks, first), ..scope };
        let saved = Saved {
            scopes: every_other(&saved.scopes, first).into_iter().map(scope).collect(),
            definitions: every_other(&saved.definitions, first),
            container_instances: every_other(&saved.container_instances, first),
            hosts: every_other(&saved.hosts, first),
        };
        (name.clone(), saved)
    };
    all.iter().skip(first).map(half).collect()
}

/// The same things, and each is another than it was.
fn changed(all: &Sources) -> Sources {
    let mut all = all.clone();
    for saved in all.values_mut() {
        for definition in &mut saved.definitions {
            let tags = vec![("tag".into(), "other".into())];
            *definition = Arc::new(TaskDefinition { tags, ..TaskDefinition::clone(definition) });
        }
        for host in &mut saved.hosts {
            *host = Arc::new(Host { subnet_id: Some("other".into()), ..Host::clone(host) });
        }
        for instance in &mut saved.container_instances {
            instance.instance = None;
        }
        for scope in &mut saved.scopes {
            scope.cluster = Arc::new(Cluster { tags: vec![], ..Cluster::clone(&scope.cluster) });
            (scope.described, scope.stale_since) = (!scope.described, Some(Duration::from_secs(1)));
            for saved in &mut scope.tasks {
                saved.task = Arc::new(Task { group: None, ..Task::clone(&saved.task) });
            }
        }
    }
    all
}

/// All definitions, and every other task, were read with these names beside those of `discoverecs.py`.
fn read_with(all: &Sources, more: &[String]) -> Sources {
    let names = Names::default();
    let names = Names::new(names.iter().map(str::to_owned).chain(more.iter().cloned()));
    let mut all = all.clone();
    for saved in all.values_mut() {
        for definition in &mut saved.definitions {
            Arc::make_mut(definition).names = names.clone();
        }
        for saved in saved.scopes.iter_mut().flat_map(|scope| scope.tasks.iter_mut().step_by(2)) {
            Arc::make_mut(&mut saved.task).names = names.clone();
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn whatever_changes_is_appended_and_read_as_it_is() {
    let all = all().await;
    let named = [read_with(&all, &[]), read_with(&all, &["SHOP_*".to_owned(), "PORT".to_owned()])];
    let [usual, more] = named;
    let states = [Sources::new(), half(&all, 0), half(&all, 1), changed(&all), usual, more, all];
    for before in &states {
        for after in &states {
            let mut file = File::new();
            let (first, second) = (file.save(before), file.save(after));
            // Where values may have been dropped, the file may be rewritten.
            assert!(first.0 != second.0 || first.1 < second.1);
        }
    }
}

/// So many tasks of one cluster, like the largest that there is.
fn fleet(all: &Sources, tasks: usize) -> Sources {
    let scopes = || all.values().flat_map(|saved| &saved.scopes);
    let size = |saved: &&SavedTask| format!("{saved:?}").len();
    let largest = scopes().flat_map(|scope| &scope.tasks).max_by_key(size).unwrap();
    let task = |number| {
        let arn = format!("arn:aws:ecs:eu-central-1:111111111111:task/prod/{number:032x}");
        let task = Task { arn: TaskArn::parse(&arn).unwrap(), ..Task::clone(&largest.task) };
        SavedTask { task: Arc::new(task), ..*largest }
    };
    let scope = SavedScope { tasks: (0..tasks).map(task).collect(), ..scopes().next().unwrap().clone() };
    Sources::from([("own".to_owned(), Saved { scopes: vec![scope], ..Saved::default() })])
}

fn change_a_task(fleet: &mut Sources, number: usize, group: &str) {
    let saved = &mut fleet.get_mut("own").unwrap().scopes[0].tasks[number];
    saved.task = Arc::new(Task { group: Some(group.into()), ..Task::clone(&saved.task) });
}

#[tokio::test(start_paused = true)]
async fn one_changed_task_among_ten_thousand_adds_at_most_64_kilobytes() {
    let mut fleet = fleet(&all().await, 10_000);
    let mut file = File::new();
    let (inode, before) = file.save(&fleet);
    change_a_task(&mut fleet, 5_000, "service:other");
    let (same, after) = file.save(&fleet);
    assert_eq!(inode, same);
    assert!((1..=64 * 1024).contains(&(after - before)), "{before} {after}");
    // About as much as the task has of the whole.
    assert!(after - before < 2 * before / 10_000 + 500, "{before} {after}");
}

/// The names with which tasks were read.
#[tokio::test(start_paused = true)]
async fn names_are_listed_once_in_a_publication() {
    let plain = fleet(&all().await, 1_000);
    let more: Vec<_> = (0..50).map(|number| format!("SHOP_VARIABLE_{number}")).collect();
    let lengths = |mut fleet: Sources| {
        let mut file = File::new();
        let (_, before) = file.save(&fleet);
        change_a_task(&mut fleet, 500, "service:other");
        let (_, after) = file.save(&fleet);
        [before, after - before]
    };
    let [plain, named] = [lengths(plain.clone()), lengths(read_with(&plain, &more))];
    // Half of the tasks have the position of the list.
    let list = serde_json::to_string(&more).unwrap().len() as u64;
    assert!((list - 10..list + 200 + 500 * 12).contains(&(named[0] - plain[0])), "{plain:?} {named:?}");
    assert!((list - 10..list + 250).contains(&(named[1] - plain[1])), "{plain:?} {named:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_never_grows_to_more_than_twice_its_facts() {
    let mut fleet = fleet(&all().await, 50);
    let mut file = File::new();
    let (first, begun) = file.save(&fleet);
    let mut inodes = vec![first];
    for number in 0..150 {
        change_a_task(&mut fleet, number % 50, &format!("service:{number}"));
        let (inode, length) = file.save(&fleet);
        // The last publication may go beyond it.
        assert!(length < 2 * begun + 0x1_0000 + begun / 10, "{begun} {length}");
        inodes.push(inode);
    }
    inodes.dedup();
    assert!((3..20).contains(&inodes.len()), "{}", inodes.len());
}
