//! A run of the program through faults, in a world of two accounts with two clusters each, and what its files hold
//! meanwhile, cluster by cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecs_simulator::{HostKind, Placement, Region, World};
use tokio::time::{Instant, timeout_at};

use super::super::{REGION, Running, Stage, opted_in};
use crate::files::INTERVALS;

pub(super) const PARTNER: &str = "222222222222";
pub(super) const ROLE: &str = "arn:aws:iam::222222222222:role/reader";

/// Time for a refresh, whenever the last one was, and for the pauses between its attempts.
pub(super) const NEXT_REFRESH: Duration = Duration::from_secs(75);

/// Lines of the files by account and cluster, each with its interval.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Targets(BTreeMap<(String, String), BTreeSet<String>>);

impl Targets {
    /// Those of one account.
    pub(super) fn of(&self, account: &str) -> BTreeSet<&String> {
        let parts = self.0.iter().filter(|((of, _), _)| of == account);
        parts.flat_map(|(_, lines)| lines).collect()
    }

    fn all(&self) -> BTreeSet<&String> {
        self.0.values().flatten().collect()
    }

    /// They are those and no others.
    pub(super) fn are(&self, expected: &Self, what: &str) {
        are(&self.all(), &expected.all(), what);
    }

    /// Those of one account are, as far as that goes.
    pub(super) fn are_in(&self, account: &str, expected: &Self, what: &str) {
        are(&self.of(account), &expected.of(account), what);
    }

    /// Nothing was lost on the way from `before` to `after` that is in both, and nothing is there that is in neither.
    pub(super) fn lie_between(&self, before: &Self, after: &Self, what: &str) {
        let [before, now, after] = [before, self, after].map(Self::all);
        assert_none(
            before.intersection(&after).filter(|line| !now.contains(*line)),
            &format!("{what}: lost"),
        );
        let strange = now.iter().filter(|line| !before.contains(*line) && !after.contains(*line));
        assert_none(strange, &format!("{what}: made up"));
    }
}

fn are(now: &BTreeSet<&String>, expected: &BTreeSet<&String>, what: &str) {
    assert_none(expected.difference(now), &format!("{what}: lost"));
    assert_none(now.difference(expected), &format!("{what}: made up"));
}

/// In a line each, since a target has many labels.
fn assert_none<'a>(lines: impl Iterator<Item = &'a &'a String>, what: &str) {
    let lines: Vec<_> = lines.map(|line| line.chars().take(60).collect::<String>()).collect();
    assert!(lines.is_empty(), "{what} {lines:#?}");
}

/// A Fargate task in the own account's cluster `a` and the partner's `b`, and tasks of every kind in the partner's `a`.
pub(super) fn world() -> World {
    let mut world = World::new(7);
    world.allow_role(ROLE, None);
    launch(world.own(REGION), "a", "old");
    populate(world.region(PARTNER, REGION), "a", "old");
    launch(world.region(PARTNER, REGION), "b", "old");
    world
}

/// Runs a Fargate task of a definition of its own.
pub(super) fn launch(region: &mut Region, cluster: &str, name: &str) -> String {
    let definition = region.register(opted_in(&format!("{cluster}-{name}")));
    region.run(cluster, &definition, Placement::Fargate)
}

/// Runs a task on Fargate, one behind a bridge, one in its host's network, whose interval is another, and one of ECS
/// Anywhere: each of a definition and on a host of its own.
pub(super) fn populate(region: &mut Region, cluster: &str, name: &str) -> Vec<String> {
    let kinds = [
        ("fargate", "awsvpc", None),
        ("bridge", "bridge", Some(HostKind::Ec2)),
        ("host", "host", Some(HostKind::Ec2)),
        ("anywhere", "bridge", Some(HostKind::External)),
    ];
    let tasks = kinds.map(|(kind, mode, host)| {
        let mut definition = opted_in(&format!("{kind}-{cluster}-{name}")).network_mode(mode);
        if kind == "host" {
            let endpoint = ("PROMETHEUS_ENDPOINT".to_owned(), "15s:/metrics".to_owned());
            definition.container_definitions[0].environment.push(endpoint);
        }
        let definition = region.register(definition);
        let placement =
            host.map_or(Placement::Fargate, |kind| Placement::On(region.launch_host(cluster, kind)));
        region.run(cluster, &definition, placement)
    });
    tasks.into()
}

/// The program on a world, after a first refresh that heard everything.
pub(super) struct Trial {
    pub(super) stage: Stage,
    running: Running,
    /// Whether everything was heard, as of the last publication.
    pub(super) complete: bool,
}

impl Trial {
    pub(super) async fn begin(world: World) -> Self {
        let trial = Self::on(Stage::new(world).role(ROLE, None)).await;
        trial.targets().are(&trial.fresh().await.1, "the first refresh");
        trial
    }

    /// The same, where every task is described again at each refresh.
    pub(super) async fn rechecking(world: World) -> Self {
        let mut stage = Stage::new(world).role(ROLE, None);
        stage.config.recheck_interval = stage.config.interval;
        Self::on(stage).await
    }

    pub(super) async fn on(stage: Stage) -> Self {
        let mut running = stage.run().await;
        let complete = running.round().await.complete;
        Self { stage, running, complete }
    }

    pub(super) fn change<R>(&self, account: &str, change: impl FnOnce(&mut Region) -> R) -> R {
        self.stage.simulator.change(|world| change(world.region(account, REGION)))
    }

    /// What the files hold.
    pub(super) fn targets(&self) -> Targets {
        targets(&self.stage)
    }

    /// The lines of all files.
    pub(super) fn lines(&self) -> BTreeSet<String> {
        self.targets().all().into_iter().cloned().collect()
    }

    /// Lets the next publication come.
    pub(super) async fn next(&mut self) {
        self.complete = self.running.next().await.complete;
    }

    /// The files of a fresh run over the same world, and the targets in them.
    pub(super) async fn fresh(&self) -> (Stage, Targets) {
        let fresh = self.stage.fresh().await;
        let targets = targets(&fresh);
        (fresh, targets)
    }

    /// Lets refreshes go on for a while, and looks at the files after each publication.
    pub(super) async fn watch(&mut self, time: Duration, mut look: impl FnMut(&Targets)) {
        let end = Instant::now() + time;
        while let Ok(published) = timeout_at(end, self.running.next()).await {
            self.complete = published.complete;
            look(&self.targets());
        }
    }

    /// Ends all faults; within that time everything is heard, and the files are those of a fresh run, byte for byte.
    pub(super) async fn heal(&mut self, within: Duration, what: &str) {
        let fresh = self.stage.fresh().await;
        self.becomes(&fresh, within, what).await;
    }

    /// The same, with the fresh run at hand.
    pub(super) async fn becomes(&mut self, fresh: &Stage, within: Duration, what: &str) {
        self.stage.simulator.heal();
        let end = Instant::now() + within;
        let is_same = |stage: &Stage| INTERVALS.iter().all(|each| stage.file(each) == fresh.file(each));
        self.complete = false;
        // What is published while one account waits for its turn is complete as of its last refresh.
        while !(self.complete && is_same(&self.stage)) {
            let Ok(published) = timeout_at(end, self.running.next()).await else { break };
            self.complete = published.complete;
        }
        assert!(self.complete, "{what}: not complete again in time");
        self.targets().are(&targets(fresh), what);
        for interval in INTERVALS {
            assert!(self.stage.file(interval) == fresh.file(interval), "{what}: not the same bytes");
        }
    }
}

/// The lines of a stage's files by the cluster that they name.
pub(super) fn targets(stage: &Stage) -> Targets {
    let mut targets = Targets::default();
    for interval in INTERVALS {
        let file = stage.file(interval);
        for line in file.lines().map(|line| line.trim_end_matches(',')).filter(|line| line.starts_with('{')) {
            let group: serde_json::Value = serde_json::from_str(line).unwrap();
            let of = |label: &str| group["labels"][label].as_str().unwrap().to_owned();
            let part = (of("__meta_ecs_account_id"), of("__meta_ecs_cluster"));
            targets.0.entry(part).or_default().insert(format!("{interval} {line}"));
        }
    }
    targets
}
