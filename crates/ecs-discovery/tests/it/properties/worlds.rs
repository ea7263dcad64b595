//! Whatever tasks run where, in whatever order answers come, and whatever fails on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecs_discovery::arn::TaskArn;
use ecs_discovery::derive::derive;
use ecs_discovery::explain::Explanation;
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::finding::{Finding, Problem, Verdict};
use ecs_discovery::inventory::question::{Answer, Question};
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::{collection, option, prop_assert, prop_assert_eq};

use crate::fixture::{TaskFixture, World, app, container, ec2, external, failure, fargate};
use crate::show::file;
use crate::source::Source;

/// What may differ of a task from one moment to the next.
#[derive(Clone, Debug)]
struct TaskNow {
    cluster: u8,
    id: u8,
    status: u8,
    team: u8,
}

/// What runs at one moment. A task's id says what it is, for good.
#[derive(Clone, Debug)]
struct Moment {
    tasks: Vec<TaskNow>,
    /// So many more tasks in one cluster that they fill batches.
    more: Option<u8>,
    page: usize,
}

fn moment() -> impl Strategy<Value = Moment> {
    let task = (0..3u8, 0..24u8, 0..8u8, 0..3u8);
    let task = task.prop_map(|(cluster, id, status, team)| TaskNow { cluster, id, status, team });
    let tasks = collection::vec(task, 0..12);
    (tasks, option::weighted(0.25, 101..130u8), 1..120usize).prop_map(|(tasks, more, page)| Moment {
        tasks,
        more,
        page,
    })
}

/// Keeps tasks from going back to an earlier status: the status of an AWS task only advances.
fn go_on<'a>(moments: impl IntoIterator<Item = &'a mut Moment>) {
    let mut reached = BTreeMap::new();
    for task in moments.into_iter().flat_map(|moment| &mut moment.tasks) {
        let rank = |status| match status {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        let reached = reached.entry((task.cluster, task.id)).or_insert(task.status);
        if rank(task.status) < rank(*reached) {
            task.status = *reached;
        }
        *reached = task.status;
    }
}

fn task(TaskNow { cluster, id, status, team }: &TaskNow) -> TaskFixture {
    let host = id % 4;
    let (ec2_ip, external_ip) = (format!("10.{cluster}.1.{host}"), format!("192.168.{cluster}.{host}"));
    let (ec2_host, external_host) = (format!("i-{cluster}{host}"), format!("mi-{cluster}{host}"));
    let bound = app().maps("8080").binds("0.0.0.0 32768 -> 8080");
    let fixture = match id % 8 {
        0 | 1 => fargate()
            .interface(&format!("10.{cluster}.0.{id}"))
            .with(app().endpoint("/metrics,15s:9000/b?x=1")),
        2 => ec2("host").on(&ec2_host, &ec2_ip).with(app().maps("9100")),
        3 => ec2("bridge").on(&ec2_host, &ec2_ip).with(bound),
        4 => external("bridge").on(&external_host, &external_ip).with(bound),
        5 => fargate().with(app()).with(container("other").env("PROMETHEUS", "true")),
        6 => fargate().with(app().env("PROMETHEUS_PORT", "wrong")),
        _ => ec2("host").on(&format!("i-{cluster}-unknown"), &ec2_ip).without_host().with(app()),
    };
    let status = match status {
        0 => "PENDING",
        1 => "STOPPED",
        _ => "RUNNING",
    };
    let team = team.to_string();
    let of = format!("family-{}:{}", id % 8, id / 8 + 1);
    let fixture = fixture.in_cluster(&format!("cluster-{cluster}")).id(&format!("{id:03}")).of(&of);
    fixture.task(|task| {
        task.tags = crate::fixture::tags(&[("team", &team)]);
        task.last_status = status.into();
        task.desired_status = if status == "STOPPED" { status } else { "RUNNING" }.into();
    })
}

fn world(moment: &Moment) -> World {
    let more = (0..moment.more.unwrap_or_default()).map(|number| {
        let fixture = fargate().in_cluster("cluster-0").id(&format!("more-{number:03}"));
        fixture.of("more:1").interface(&format!("10.9.0.{number}")).with(app())
    });
    World { page: moment.page, ..World::of(moment.tasks.iter().map(task).chain(more)) }
}

/// A small generator of numbers, so that one seed decides everything.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

/// What goes wrong in one refresh.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Calls fail, or are answered with something else.
    Failures,
    /// And what is asked for by id is called missing.
    Missing,
    /// And listings are empty.
    EmptyListings,
}

fn troubled(
    world: &World,
    question: &Question,
    trouble: Trouble,
    dice: &mut Dice,
) -> Result<Answer, Failure> {
    let kinds = [
        FailureKind::NotFound,
        FailureKind::Denied,
        FailureKind::NoCredentials,
        FailureKind::Throttled,
        FailureKind::Unavailable,
    ];
    match (dice.below(4), trouble, question) {
        (0, ..) => Err(failure(kinds[dice.below(kinds.len())])),
        (1, Trouble::Failures, Question::Clusters { .. }) => Ok(Answer::Hosts(Vec::new())),
        (1, Trouble::Failures, _) => Ok(Answer::Clusters { clusters: Vec::new(), next: None }),
        (1, Trouble::Missing, Question::TaskDetails { tasks, .. }) => {
            let missing = tasks.clone();
            Ok(Answer::TaskDetails { tasks: Vec::new(), missing })
        }
        (1, Trouble::Missing, Question::ContainerInstances { .. }) => {
            Ok(Answer::ContainerInstances(Vec::new()))
        }
        (1, Trouble::EmptyListings, Question::Clusters { .. }) => {
            Ok(Answer::Clusters { clusters: Vec::new(), next: None })
        }
        (1, Trouble::EmptyListings, Question::Tasks { .. }) => {
            Ok(Answer::Tasks { tasks: Vec::new(), next: None })
        }
        _ => world.answer(question),
    }
}

const TROUBLES: [Trouble; 3] = [Trouble::Failures, Trouble::Missing, Trouble::EmptyListings];

fn troubled_refresh(source: &mut Source, world: &World, dice: &mut Dice) {
    let trouble = TROUBLES[dice.below(TROUBLES.len())];
    source.refresh_with(|question| troubled(world, question, trouble, dice));
}

fn fresh(world: &World, now: Duration) -> Source {
    let mut source = Source { now, ..Source::default() };
    source.refresh(world);
    source
}

/// Which containers an explanation says are not scraped, and why.
fn problems(explanation: &Explanation) -> Vec<(TaskArn, Box<str>, Problem)> {
    let task = || explanation.task.arn.clone();
    let whole = explanation.containers.as_ref().err().map(|problem| (task(), "".into(), problem.clone()));
    let containers = explanation.containers().iter();
    let each = containers.filter_map(|one| Some((task(), one.name.clone(), one.problem()?.clone())));
    whole.into_iter().chain(each).collect()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_order_of_answers_changes_no_byte(
        mut moments in collection::vec(moment(), 1..3), seed in any::<u64>(),
    ) {
        go_on(&mut moments);
        let (mut dice, mut in_order, mut shuffled) = (Dice(seed), Source::default(), Source::default());
        for moment in &moments {
            let world = world(moment);
            let asked = in_order.refresh(&world).len();
            let answer = |question: &Question| world.answer(question);
            prop_assert_eq!(shuffled.refresh_in_order(answer, |open| dice.below(open)).len(), asked);
            prop_assert_eq!(file(&in_order), file(&shuffled));
            prop_assert_eq!(&in_order.snapshot, &shuffled.snapshot);
        }
    }

    #[test]
    fn an_explanation_is_what_is_derived(mut moments in collection::vec(moment(), 1..3)) {
        go_on(&mut moments);
        let mut source = Source::default();
        for moment in &moments {
            source.refresh(&world(moment));
            let explanations = source.explanations();
            let mut targets: Vec<_> = explanations.iter().flat_map(Explanation::targets).collect();
            targets.sort_by(|one, other| one.in_order(other));
            prop_assert_eq!(targets, source.snapshot.targets());
            let problems = explanations.iter().flat_map(problems).collect::<BTreeSet<_>>();
            let not_scraped = |finding: &Finding| match &finding.verdict {
                Verdict::NotScraped(problem) => Some((finding.task.clone(), finding.container.clone(), problem.clone())),
                Verdict::Warning(_) => None,
            };
            prop_assert_eq!(problems, source.snapshot.findings().filter_map(not_scraped).collect());
        }
    }

    #[test]
    fn trouble_alone_changes_no_byte(moment in moment(), seed in any::<u64>()) {
        let (world, mut dice) = (world(&moment), Dice(seed));
        let mut source = fresh(&world, Duration::ZERO);
        let before = file(&source);
        for _ in 0..4 {
            source.now += Source::RECHECK;
            troubled_refresh(&mut source, &world, &mut dice);
            prop_assert_eq!(&file(&source), &before);
            if dice.below(2) == 0 {
                source.restart();
                prop_assert_eq!(&file(&source), &before);
            }
        }
    }

    #[test]
    fn a_clean_refresh_makes_up_for_all_trouble(
        mut moments in collection::vec(moment(), 1..4), mut last in moment(), seed in any::<u64>(),
    ) {
        go_on(moments.iter_mut().chain([&mut last]));
        let (mut dice, mut source) = (Dice(seed), Source::default());
        for moment in &moments {
            source.now += Source::RECHECK;
            troubled_refresh(&mut source, &world(moment), &mut dice);
            if dice.below(2) == 0 {
                source.restart();
            }
        }
        let last = world(&last);
        source.now += Source::RECHECK;
        let fresh = fresh(&last, source.now);
        source.refresh(&last);
        prop_assert!(source.complete);
        prop_assert_eq!(file(&source), file(&fresh));
        prop_assert_eq!(&source.snapshot, &fresh.snapshot);
    }

    #[test]
    fn derived_task_by_task_is_derived_at_once(
        mut moments in collection::vec(moment(), 1..5), seed in any::<u64>(),
    ) {
        go_on(&mut moments);
        let (mut dice, mut source) = (Dice(seed), Source::default());
        for moment in &moments {
            source.now += Source::RECHECK;
            troubled_refresh(&mut source, &world(moment), &mut dice);
            for cluster in source.inventory.clusters().cloned().collect::<Vec<_>>() {
                let kept = source.inventory.derive(&cluster, &source.rules);
                prop_assert_eq!(&*kept, &derive(source.inventory.tasks(&cluster), &source.rules));
            }
        }
    }
}
