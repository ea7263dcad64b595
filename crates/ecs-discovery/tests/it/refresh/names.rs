//! Facts that were read with fewer environment variables than the rules need, or with more.

use std::collections::BTreeSet;
use std::sync::Arc;

use ecs_discovery::arn::TaskArn;
use ecs_discovery::conventions::list::{Conventions, Dialect, Entry};
use ecs_discovery::conventions::rule::{Condition, Pattern, Ports, Rule, Source as Place, Subject};
use ecs_discovery::derive::Rules;
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{Names, Settings, Task, TaskDefinition};
use ecs_discovery::task_view::Definition;

use crate::fixture::{TaskFixture, World, app, cluster_arn, failure, fargate};
use crate::show::file;
use crate::source::Source;

fn names(more: &[&str]) -> Names {
    Names::new(Names::default().iter().chain(more.iter().copied()))
}

/// Rules that need these variables, too.
fn naming(more: &[&str]) -> Rules {
    let condition = |name: &&str| Condition {
        subject: Subject::Source(Place::Environment((*name).into())),
        pattern: Pattern::new("no value").expect("a pattern"),
    };
    let rule = Rule { conditions: more.iter().map(condition).collect(), ..Rule::new("shop", Ports::First) };
    let environment = Entry::Variables(Dialect::Environment);
    let entries = [environment].into_iter().chain((!more.is_empty()).then(|| Entry::rule(rule)));
    Rules { conventions: Conventions::new(entries), ..Rules::default() }
}

fn environment() -> Settings {
    let pairs =
        [("PROMETHEUS", "true"), ("SHOP_PORT", "8080"), ("SHOP_PATH", "/shop"), ("PASSWORD", "hunter2")];
    Settings::from_pairs(pairs, &Names::all())
}

/// A task of a definition, each with its number, and with overrides if it `has_overrides`.
fn task(cluster: &str, number: usize, has_overrides: bool) -> TaskFixture {
    let fixture = fargate().in_cluster(cluster).id(&format!("{number:04}")).of(&format!("d{number:04}:1"));
    let fixture = fixture.interface(&format!("10.0.{}.{}", number / 250, number % 250 + 1)).with(app());
    let fixture = fixture.definition(|definition| {
        definition.containers[0].environment = environment();
        definition.names = Names::all();
    });
    fixture.task(|task| {
        task.names = Names::all();
        task.overrides.extend(has_overrides.then(|| ("app".into(), environment())));
    })
}

fn fleet(tasks: usize, has_overrides: bool) -> World {
    World::of((0..tasks).map(|number| task("prod", number, has_overrides)))
}

/// The answer of a world, of which only these names are kept.
fn read(world: &World, names: &Names, question: &Question) -> Result<Answer, Failure> {
    let mut answer = world.answer(question)?;
    match &mut answer {
        Answer::TaskDefinition(definition) => {
            definition.containers.iter_mut().for_each(|container| container.environment.keep(names));
            definition.names = names.clone();
        }
        Answer::TaskDetails { tasks, .. } => {
            for task in tasks
                .iter_mut()
                .map(|described| &mut described.task)
                .filter(|task| !task.overrides.is_empty())
            {
                task.overrides.iter_mut().for_each(|(_, settings)| settings.keep(names));
                task.names = names.clone();
            }
        }
        _ => {}
    }
    Ok(answer)
}

impl Source {
    /// A refresh by its own rules.
    fn refresh_named(&mut self, world: &World) -> Vec<Question> {
        let names = self.rules.names().clone();
        self.refresh_with(|question| read(world, &names, question))
    }

    /// Another configuration, in this process or the next one.
    fn reconfigure(&mut self, rules: Rules, restarts: bool) {
        self.rules = rules;
        if restarts {
            return self.restart();
        }
        for (cluster, scope) in &mut self.snapshot.scopes {
            scope.derived = self.inventory.derive(cluster, &self.rules);
        }
    }

    fn known_tasks(&self) -> Vec<Arc<Task>> {
        let clusters = self.inventory.clusters();
        clusters.flat_map(|cluster| self.inventory.tasks(cluster)).map(|view| view.task.clone()).collect()
    }

    fn known_definitions(&self) -> Vec<Arc<TaskDefinition>> {
        let views = self.inventory.clusters().flat_map(|cluster| self.inventory.tasks(cluster));
        let known = views.filter_map(|view| match view.definition {
            Definition::Known(definition) => Some(definition.clone()),
            Definition::Unavailable(_) => None,
        });
        known.collect()
    }
}

fn definitions(asked: &[Question]) -> usize {
    asked.iter().filter(|question| matches!(question, Question::TaskDefinition { .. })).count()
}

fn described(asked: &[Question]) -> Vec<TaskArn> {
    let tasks = asked.iter().filter_map(|question| match question {
        Question::TaskDetails { tasks, .. } => Some(tasks.clone()),
        _ => None,
    });
    tasks.flatten().collect()
}

fn started(world: &World, rules: Rules) -> Source {
    let mut source = Source::with_rules(rules);
    source.refresh_named(world);
    source
}

#[test]
fn names_include_what_they_keep() {
    let kept = names(&["PROMETHEUS_LABEL_*", "PORT"]);
    for (other, is_included) in [
        (&["PORT"][..], true),
        (&["PROMETHEUS_LABEL_team", "PROMETHEUS_LABEL_a*"], true),
        (&["PROMETHEUS_LABEL_*", "PROMETHEUS"], true),
        (&["PROMETHEUS_LABEL_"], false),
        (&["PROMETHEUS_*"], false),
        (&["POR"], false),
        (&["PORT*"], false),
        (&[], true),
    ] {
        let other = Names::new(other);
        assert_eq!(kept.include(&other), is_included, "{other:?}");
        let both = kept.both(&other);
        assert!(kept.include(&both) && other.include(&both), "{both:?}");
        assert_eq!(both == other, is_included);
        assert!(Names::all().include(&other) && !other.include(&Names::all()));
    }
    let both = kept.both(&Names::new(["PROMETHEUS_*", "PORTS"]));
    assert!(both.contain("PROMETHEUS_LABEL_x") && both.contain("PROMETHEUS_PORT") && !both.contain("PORT"));
    assert!(!both.contain("PROMETHEUS") && !both.contain("PROMETHEUS_x"), "{both:?}");
}

#[test]
fn definitions_that_were_read_with_fewer_names_are_read_again_once_in_slices() {
    let world = fleet(250, false);
    for restarts in [false, true] {
        let mut source = started(&world, naming(&["SHOP_PORT"]));
        source.reconfigure(naming(&["SHOP_PORT", "SHOP_PATH"]), restarts);
        // Until then they say so.
        assert!(source.known_definitions().iter().all(|known| known.names == names(&["SHOP_PORT"])));
        let before = file(&source);
        let asked: Vec<_> = (0..5).map(|_| definitions(&source.refresh_named(&world))).collect();
        assert_eq!(asked, [100, 100, 50, 0, 0], "restarts: {restarts}");
        assert!(
            source.complete && file(&source) == before && !source.inventory.has_definitions_to_read_again()
        );
        for known in source.known_definitions() {
            let environment = &known.containers[0].environment;
            assert_eq!(known.names, names(&["SHOP_PORT", "SHOP_PATH"]));
            assert_eq!(
                (environment.value("SHOP_PATH"), environment.value("PASSWORD")),
                (Some("/shop"), None)
            );
        }
    }
}

#[test]
fn a_refresh_that_none_follows_reads_everything_again() {
    let world = fleet(250, true);
    let mut source = started(&world, Rules::default());
    (source.rules, source.is_last) = (naming(&["SHOP_PORT"]), true);
    source.restart();
    let asked = source.refresh_named(&world);
    assert_eq!((definitions(&asked), described(&asked).len()), (250, 250));
    assert!(source.known_tasks().iter().all(|task| task.overrides[0].1.value("SHOP_PORT") == Some("8080")));
}

#[test]
fn only_tasks_with_dropped_overrides_are_described_again() {
    let mut world = fleet(150, true);
    (150..300).for_each(|number| world.add(task("prod", number, false)));
    for restarts in [false, true] {
        let mut source = started(&world, Rules::default());
        source.reconfigure(naming(&["SHOP_*"]), restarts);
        let asked: BTreeSet<_> = described(&source.refresh_named(&world)).into_iter().collect();
        let expected: BTreeSet<_> = world.tasks[&cluster_arn("prod")].keys().take(150).cloned().collect();
        assert_eq!(asked, expected, "restarts: {restarts}");
        let tasks = source.known_tasks();
        let kept =
            |task: &Task| task.overrides.iter().map(|(_, settings)| settings.iter().count()).sum::<usize>();
        assert_eq!(tasks.iter().map(|task| kept(task)).sum::<usize>(), 150 * 3);
        assert!(source.complete && source.snapshot.findings().next().is_none());
    }
}

#[test]
fn tasks_of_many_clusters_are_described_again_in_slices() {
    let tasks = (0..50).flat_map(|cluster| (0..2).map(move |number| (cluster, 2 * cluster + number)));
    let world = World::of(tasks.map(|(cluster, number)| task(&format!("c{cluster:02}"), number, true)));
    let mut source = started(&world, Rules::default());
    source.reconfigure(naming(&["SHOP_PORT"]), false);
    let asked: Vec<_> = (0..4).map(|_| described(&source.refresh_named(&world)).len()).collect();
    assert_eq!(asked, [40, 40, 20, 0]);
}

#[test]
fn values_that_are_not_needed_any_more_are_dropped_without_a_request() {
    let world = fleet(5, true);
    for restarts in [false, true] {
        let mut source = started(&world, naming(&["SHOP_PORT", "SHOP_PATH"]));
        let saved = |source: &Source| format!("{:?}", source.inventory.saved(source.scopes()));
        assert!(saved(&source).contains("/shop") && !saved(&source).contains("hunter2"));
        source.reconfigure(naming(&["SHOP_PORT"]), restarts);
        assert!(!saved(&source).contains("/shop") && saved(&source).contains("SHOP_PORT"));
        let asked = source.refresh_named(&world);
        assert_eq!((definitions(&asked), described(&asked).len()), (0, 0));
        // They are read if they are needed again.
        source.reconfigure(naming(&["SHOP_PORT", "SHOP_PATH"]), restarts);
        let asked = source.refresh_named(&world);
        assert_eq!((definitions(&asked), described(&asked).len()), (5, 5));
        assert!(saved(&source).contains("/shop"));
    }
}

/// Its request was sent before the rules changed.
#[test]
fn an_answer_with_other_names_costs_no_value_and_is_no_partial_answer() {
    let world = fleet(3, true);
    let mut source = started(&world, naming(&["SHOP_PORT"]));
    // With fewer names: what is known stays.
    source.now += Source::RECHECK;
    source.refresh_with(|question| read(&world, &Names::default(), question));
    let question = Question::TaskDefinition { definition: source.known_tasks()[0].definition.clone() };
    let asked = source.refresh_named(&world);
    assert!(source.complete && source.snapshot.findings().next().is_none());
    assert_eq!((definitions(&asked), described(&asked).len()), (0, 0));
    assert!(source.known_tasks().iter().all(|task| task.overrides[0].1.value("SHOP_PORT") == Some("8080")));
    // With more: it is not kept.
    source.now += Source::RECHECK;
    source.refresh_with(|question| read(&world, &names(&["SHOP_*"]), question));
    let Ok(Answer::TaskDefinition(late)) = read(&world, &names(&["SHOP_*"]), &question) else { panic!() };
    source
        .inventory
        .apply(ecs_discovery::inventory::doors::Fact::Definition(late.arn.clone(), late), source.now);
    assert!(!format!("{:?}", source.inventory.saved(source.scopes())).contains("/shop"));
    // By rules that need less, what an answer lacks is not missed.
    source.reconfigure(Rules::default(), false);
    source.now += Source::RECHECK;
    source.refresh_named(&world);
    assert!(source.complete && source.snapshot.findings().next().is_none());
}

#[test]
fn what_cannot_be_read_again_stays_and_is_tried_again() {
    let world = fleet(3, false);
    for kind in [FailureKind::Throttled, FailureKind::Denied] {
        let mut source = started(&world, Rules::default());
        source.reconfigure(naming(&["SHOP_PORT"]), false);
        let before = file(&source);
        for _ in 0..2 {
            let asked = source.refresh_with(|question| match question {
                Question::TaskDefinition { .. } => Err(failure(kind)),
                question => world.answer(question),
            });
            assert_eq!((definitions(&asked), source.complete), (3, kind == FailureKind::Denied));
            assert_eq!(file(&source), before);
        }
        assert_eq!(definitions(&source.refresh_named(&world)), 3);
        assert!(source.complete && !source.inventory.has_definitions_to_read_again());
    }
}
