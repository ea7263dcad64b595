//! Whatever events tell of a world, and whenever they come: late, twice, shuffled, in part, or never.
//!
//! A source that hears them is compared with one that only polls, and with the world.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecs_discovery::arn::TaskArn;
use ecs_discovery::event::TaskEvent;
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::events::Wish;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{NetworkInterface, Status};
use proptest::prelude::{ProptestConfig, any, proptest};

use crate::events::as_told;
use crate::fixture::{TaskFixture, World, app, ec2, failure, fargate, tags};
use crate::show::file;
use crate::source::{Source, wishes};

/// How long a stopped task is remembered.
const REMEMBERED: Duration = Duration::from_secs(7200);

/// Operations that may fail, of any cluster.
const OPERATIONS: [&str; 7] = [
    "ListClusters",
    "DescribeClusters",
    "ListTasks",
    "DescribeTasks",
    "DescribeTaskDefinition",
    "DescribeContainerInstances",
    "DescribeInstances",
];

/// Knuth's MMIX generator: one seed decides everything.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }

    /// Once in so many times.
    fn is_one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A task, and a scrape endpoint of it.
type Place = (TaskArn, String);

fn places(source: &Source) -> BTreeSet<Place> {
    let place = |target: &&ecs_discovery::target::Target| {
        (target.task().clone(), format!("{} {}", target.container(), target.endpoint))
    };
    source.snapshot.targets().iter().map(place).collect()
}

/// A world with versions, the events about it that are on their way, and a source that hears them beside one that polls.
struct Story {
    dice: Dice,
    tasks: BTreeMap<TaskArn, (TaskFixture, u64)>,
    /// Whether AWS says versions in its answers.
    has_versions: bool,
    on_their_way: Vec<TaskEvent>,
    wished: Vec<Wish>,
    source: Source,
    polling: Source,
    /// Every place there ever was.
    ever: BTreeSet<Place>,
    /// When an event told the source that a task stopped.
    ended: BTreeMap<TaskArn, Duration>,
    next: u16,
}

impl Story {
    fn new(seed: u64, has_versions: bool) -> Self {
        let mut story = Self {
            dice: Dice(seed),
            tasks: BTreeMap::new(),
            has_versions,
            on_their_way: Vec::new(),
            wished: Vec::new(),
            source: Source::default(),
            polling: Source::default(),
            ever: BTreeSet::new(),
            ended: BTreeMap::new(),
            next: 0,
        };
        (0..4).for_each(|_| story.start());
        story
    }

    fn world(&self) -> World {
        // All on one page: a task may be on none if others stop in between.
        World::of(self.tasks.values().map(|(fixture, _)| fixture.clone()))
    }

    fn answer(&self, world: &World, question: &Question) -> Result<Answer, Failure> {
        let mut answer = world.answer(question)?;
        if let Answer::TaskDetails { tasks, .. } = &mut answer
            && self.has_versions
        {
            tasks.iter_mut().for_each(|one| one.version = Some(self.tasks[&one.task.arn].1));
        }
        Ok(answer)
    }

    /// The places in the world as it is.
    fn true_places(&self) -> BTreeSet<Place> {
        let (world, mut source) = (self.world(), Source::default());
        source.refresh(&world);
        places(&source)
    }

    fn start(&mut self) {
        self.next += 1;
        let (number, kind) = (self.next, self.dice.below(4));
        let (one, other) = (number / 250, number % 250);
        let host = self.dice.below(3);
        let (host, ip) = (format!("i-{host}"), format!("10.1.0.{host}"));
        let port = format!("0.0.0.0 {} -> 8080", 20_000 + number);
        let fixture = match kind {
            0 => fargate().interface(&format!("10.2.{one}.{other}")).with(app()),
            1 => ec2("host").on(&host, &ip).with(app().maps("9100")),
            2 => ec2("awsvpc").on(&host, &ip).interface(&format!("10.3.{one}.{other}")).with(app()),
            _ => ec2("bridge").on(&host, &ip).with(app().maps("8080").binds(&port)),
        };
        let cluster = self.dice.below(2);
        let team = format!("team-{}", self.dice.below(2));
        let revision = self.dice.below(3);
        let fixture = fixture.in_cluster(&format!("cluster-{cluster}")).id(&format!("{number:04}"));
        let fixture = fixture.of(&format!("family-{kind}:{}", revision + 1)).task(|task| {
            task.tags = tags(&[("team", &team)]);
            task.capacity_provider = Some("provider".into());
            task.health_status = Some("UNKNOWN".into());
            task.last_status = Status::Pending;
            task.containers[0].last_status = Status::Pending;
        });
        self.change(fixture);
    }

    /// Puts a task into the world in its next version, of which ECS tells.
    fn change(&mut self, fixture: TaskFixture) {
        let arn = fixture.task.arn.clone();
        let version = self.tasks.get(&arn).map_or(0, |(_, version)| *version) + 1;
        let mut task = as_told(&fixture.task);
        // An event may lack parts.
        if self.dice.is_one_in(4) {
            task.containers[0].network_bindings.clear();
        }
        if self.dice.is_one_in(8) && task.network_interface.is_some() {
            task.network_interface = self.dice.is_one_in(2).then(NetworkInterface::default);
        }
        if self.dice.is_one_in(8) {
            task.containers.clear();
        }
        let (cluster, updated) = (fixture.cluster.arn.clone(), self.source.now);
        self.on_their_way.push(TaskEvent { cluster, task, version, updated });
        self.tasks.insert(arn, (fixture, version));
        self.ever.extend(self.true_places());
    }

    fn advance(&mut self) {
        let nth = self.dice.below(self.tasks.len().max(1));
        let Some((fixture, _)) = self.tasks.values().nth(nth) else { return };
        let mut fixture = fixture.clone();
        let task = &mut fixture.task;
        if task.last_status == Status::Stopped {
            // An hour later, nothing describes it.
            self.tasks.remove(&task.arn.clone());
            return;
        }
        let choice = self.dice.below(8);
        let port = 30_000 + self.dice.below(30_000) as u16;
        match (task.last_status == Status::Running, choice) {
            (_, 0) => (task.desired_status, task.last_status) = (Status::Stopped, Status::Stopped),
            (_, 1) => task.desired_status = Status::Stopped,
            (true, 2) => task.started_by = Some("someone".into()),
            // A container started again: its port is another one.
            (true, _) => {
                for binding in &mut task.containers[0].network_bindings {
                    binding.host_ports = ecs_discovery::model::PortRange::one(port);
                }
            }
            (false, _) => {
                task.last_status = Status::Running;
                task.containers[0].last_status = Status::Running;
            }
        }
        if task.desired_status == Status::Stopped && choice == 1 {
            task.last_status = Status::Stopped;
        }
        self.change(fixture);
    }

    fn deliver(&mut self) {
        if self.on_their_way.is_empty() {
            return;
        }
        let nth = self.dice.below(self.on_their_way.len());
        // It may come again, or never.
        let is_again = self.dice.is_one_in(5);
        let event =
            if is_again { self.on_their_way[nth].clone() } else { self.on_their_way.swap_remove(nth) };
        if self.dice.is_one_in(8) {
            return;
        }
        let over = [&event.task.desired_status, &event.task.last_status].contains(&&Status::Stopped);
        if over && self.source.inventory.clusters().any(|known| *known == event.cluster) {
            self.ended.insert(event.task.arn.clone(), self.source.now);
        }
        let (_, wish) = self.source.event(event);
        self.wished.extend(wish);
    }

    fn failing(&mut self, is_troubled: bool) -> BTreeSet<&'static str> {
        OPERATIONS.into_iter().filter(|_| is_troubled && self.dice.is_one_in(4)).collect()
    }

    fn errand(&mut self) {
        let is_troubled = self.dice.is_one_in(2);
        let (failing, world) = (self.failing(is_troubled), self.world());
        let versions: BTreeMap<_, _> =
            self.tasks.iter().map(|(arn, (_, version))| (arn.clone(), *version)).collect();
        let wished = wishes(std::mem::take(&mut self.wished));
        let has_versions = self.has_versions;
        self.source.errand_with(wished, |question| {
            if failing.contains(question.operation()) {
                return Err(failure(FailureKind::Throttled));
            }
            let mut answer = world.answer(question)?;
            if let Answer::TaskDetails { tasks, .. } = &mut answer
                && has_versions
            {
                tasks.iter_mut().for_each(|one| one.version = Some(versions[&one.task.arn]));
            }
            Ok(answer)
        });
    }

    /// Both refresh; meanwhile, the world changes, and events come.
    fn refresh(&mut self, is_troubled: bool, is_quiet: bool) {
        self.source.now += Source::RECHECK;
        self.polling.now = self.source.now;
        let failing = self.failing(is_troubled);
        let world = self.world();
        let mut polling = std::mem::take(&mut self.polling);
        polling.refresh_with(|question| match failing.contains(question.operation()) {
            true => Err(failure(FailureKind::Throttled)),
            false => self.answer(&world, question),
        });
        self.polling = polling;
        let mut refresh = self.source.begin();
        let mut open = refresh.questions(&mut self.source.inventory);
        while !open.is_empty() {
            let question = open.swap_remove(self.dice.below(open.len()));
            // Without versions, an answer is dropped for a task that an event changed since the request.
            if !is_quiet && self.has_versions {
                match self.dice.below(6) {
                    0 => self.advance(),
                    1 => self.deliver(),
                    2 => self.errand(),
                    _ => {}
                }
            }
            // AWS answers with what is true now.
            match failing.contains(question.operation()) {
                true => refresh.failed(&mut self.source.inventory, question, failure(FailureKind::Throttled)),
                false => match self.answer(&self.world(), &question) {
                    Ok(answer) => refresh.answered(&mut self.source.inventory, question, answer),
                    Err(failure) => refresh.failed(&mut self.source.inventory, question, failure),
                },
            }
            self.source.publish();
            open.extend(refresh.questions(&mut self.source.inventory));
        }
        self.source.finish(refresh);
    }

    fn check(&mut self) {
        self.source.wait(Duration::from_secs(2));
        let (told, polled, now) = (places(&self.source), places(&self.polling), self.true_places());
        let is_missing = |place: &&Place| polled.contains(*place) && !told.contains(*place);
        assert_eq!(now.iter().find(is_missing), None, "a target is missing that runs and that polling has");
        assert_eq!(told.iter().find(|place| !self.ever.contains(*place)), None, "a target never was");
        let is_remembered = |(task, _): &&Place| {
            self.ended.get(task).is_some_and(|ended| self.source.now.saturating_sub(*ended) < REMEMBERED)
        };
        assert_eq!(told.iter().find(is_remembered), None, "a task came back");
    }

    fn go_on(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.dice.below(16) {
                0 | 1 => self.start(),
                2..5 => self.advance(),
                5..11 => self.deliver(),
                11 | 12 => self.errand(),
                13 => self.source.now += Duration::from_secs(30),
                14 if self.dice.is_one_in(4) => {
                    self.source.restart();
                    self.polling.now = self.source.now;
                    self.polling.restart();
                    self.ended.clear();
                }
                _ => {
                    let is_troubled = self.dice.is_one_in(2);
                    self.refresh(is_troubled, false);
                }
            }
            self.check();
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn events_remove_nothing_that_runs_and_a_refresh_makes_up_for_them(
        seed in any::<u64>(), has_versions in any::<bool>(), steps in 1..60usize,
    ) {
        let mut story = Story::new(seed, has_versions);
        story.go_on(steps);
        story.refresh(false, true);
        story.check();
        assert!(story.source.complete);
        assert_eq!(file(&story.source), file(&story.polling));
        let derived = |source: &Source| source.snapshot.scopes.values().map(|one| one.derived.clone()).collect::<Vec<_>>();
        assert_eq!(derived(&story.source), derived(&story.polling));
        assert_eq!(places(&story.source), story.true_places());
    }
}
