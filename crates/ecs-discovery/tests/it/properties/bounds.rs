//! A task definition of 64 KiB, however it is filled, leads to a bounded number of targets, bytes and findings.

use std::collections::BTreeMap;

use ecs_discovery::derive::Rules;
use ecs_discovery::explain::report::{Report, Subject};
use ecs_discovery::finding::Verdict;
use ecs_discovery::labels::TagSelection;
use ecs_discovery::render::explanation::{Colours, Text, json};
use ecs_discovery::render::{file_sd, http_sd};
use ecs_discovery::target::Target;
use ecs_discovery::variable::Variable;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use proptest::{collection, prop_assert, sample};

use crate::fixture::{ContainerFixture, TaskFixture, World, app, container, ec2, fargate, tags};
use crate::source::Source;

/// AWS's limit for the JSON of a definition.
const DEFINITION: usize = 64 * 1024;
/// The bytes that a container, a variable and a label use besides their texts.
const OVERHEAD: usize = 20;

/// The maximum number of bytes that one task may publish.
const TASK: usize = 1024 * 1024;
/// Brackets and line ends of a document.
const FRAME: usize = 5;

/// Texts of one definition, each shortened to what is left of it.
struct Room(usize);

impl Room {
    fn cut<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        self.0 = self.0.checked_sub(OVERHEAD)?;
        let text = &text[..text.floor_char_boundary(self.0)];
        self.0 -= text.len();
        Some(text)
    }
}

/// One container: its name's length, variables and docker labels.
type Plan = (usize, Vec<(Variable, String)>, Vec<(String, String)>);

const PIECES: &[&str] = &[
    "x", "é", "\"", "\u{1}", "\\", "\u{202e}", "/", "/m,", "a,", "1s:", "15s:,", "9", "?", "a=b&", "%41",
    "true", ":", " ",
];

/// Repeats a piece up to this length.
fn long_text() -> impl Strategy<Value = String> {
    let length = prop_oneof![3 => 0..40usize, 2 => 3_000..9_000usize, 1 => 9_000..70_000usize];
    (sample::select(PIECES), length).prop_map(|(piece, length)| piece.repeat(length / piece.len()))
}

/// Of endpoints; a number is put in.
const FORMS: &[&str] =
    &["/{}", "{}s:/m", "{}/m", "/m?a{}=b", "{}s:", "15s:{}", "/m?a-{}=b", "/{}?a=\u{1}\u{1}\u{1}", "{}s:/{}"];

/// Many endpoints, all different.
fn endpoints() -> impl Strategy<Value = String> {
    (sample::select(FORMS), 1..20_000usize).prop_map(|(form, count)| {
        let each = (0..count).map(|number| form.replace("{}", &number.to_string()));
        each.collect::<Vec<_>>().join(",")
    })
}

fn setting() -> impl Strategy<Value = (Variable, String)> {
    prop_oneof![
        3 => endpoints().prop_map(|text| (Variable::Endpoint, text)),
        2 => (sample::select(&Variable::ALL[..]), long_text()),
        1 => sample::select(&["true", ""][..]).prop_map(|text| (Variable::NoLabels, text.to_owned())),
    ]
}

/// Some long labels, or many short ones.
fn docker_labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let label = (long_text(), long_text());
    let many = (0..3_000usize, sample::select(PIECES)).prop_map(|(count, piece)| {
        (0..count).map(|number| (format!("{number}"), piece.repeat(number % 30))).collect()
    });
    prop_oneof![collection::vec(label, 0..4), many]
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let name = prop_oneof![4 => 1..10usize, 1 => 200..20_000usize];
    let plan = (name, collection::vec(setting(), 0..4), docker_labels());
    // A large number is reached by repeating the same one.
    (collection::vec(plan, 1..4), prop_oneof![2 => 1..3usize, 1 => 3..400usize]).prop_map(|(plans, times)| {
        let count = plans.len() * times;
        plans.into_iter().cycle().take(count).collect()
    })
}

fn task(plans: &[Plan], on_host: bool) -> TaskFixture {
    let mut room = Room(DEFINITION);
    let mut fixture = if on_host { ec2("host") } else { fargate() };
    for (number, (name, settings, labels)) in plans.iter().enumerate() {
        let name = format!("{number:0name$}");
        let Some(name) = room.cut(&name).filter(|cut| cut.len() == name.len()) else { break };
        let mut one = container(name).env("PROMETHEUS", "true");
        for (variable, value) in settings {
            let Some(value) = room.cut(value) else { break };
            one = one.env(variable.name(), value);
        }
        one = with_labels(one, labels, &mut room);
        fixture = fixture.with(one);
    }
    fixture
}

fn with_labels(one: ContainerFixture, labels: &[(String, String)], room: &mut Room) -> ContainerFixture {
    let mut kept = BTreeMap::new();
    for (key, value) in labels {
        let Some(key) = room.cut(key).filter(|key| !key.is_empty()) else { break };
        let Some(value) = room.cut(value) else { break };
        kept.insert(key.to_owned(), value.to_owned());
    }
    let mut one = one;
    one.definition.docker_labels = kept.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    one
}

fn documents(targets: &[&Target]) -> [Vec<u8>; 2] {
    let mut documents = [Vec::new(), Vec::new()];
    file_sd::write(&mut documents[0], targets.iter().copied()).unwrap();
    http_sd::write(&mut documents[1], targets.iter().copied()).unwrap();
    documents
}

fn is_bounded(fixture: TaskFixture) -> Result<(), TestCaseError> {
    let containers = fixture.definition.as_ref().unwrap().containers.len();
    let rules = || Rules { tags_to_labels: TagSelection::All.into(), ..Rules::default() };
    let neighbour = fargate().of("next:1").id("neighbour").interface("10.0.0.9").with(app());
    let (mut alone, mut both) = (Source::with_rules(rules()), Source::with_rules(rules()));
    alone.refresh(&World::of([neighbour.clone()]));
    both.refresh(&World::of([neighbour, fixture]));

    // The published bytes, in a target file and in the list, or with one file for all intervals in two such lists.
    let all = both.snapshot.targets();
    let (neighbours, own): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|target| target.task().last_part() == "neighbour");
    prop_assert!(documents(&neighbours) == documents(&alone.snapshot.targets()));
    let [file, list] = documents(&own);
    prop_assert!(file.len() <= list.len() && 2 * list.len() <= TASK + 2 * FRAME, "{} bytes", list.len());
    let mut by_container = BTreeMap::new();
    own.iter().for_each(|target| *by_container.entry(target.container()).or_insert(0) += 1);
    prop_assert!(by_container.values().all(|targets| *targets <= 64), "{:?}", by_container);
    for target in &own {
        let labels = target.labels();
        prop_assert!(labels.iter().all(|(name, value)| name.len() <= 4096 + 30 && value.len() <= 4096));
    }

    // Its findings.
    let mut by_container = BTreeMap::new();
    for finding in both.snapshot.findings() {
        let text = match &finding.verdict {
            Verdict::NotScraped(problem) => &problem.detail,
            Verdict::Warning(text) => text,
        };
        // 256 characters are quoted, none of which takes more than ten bytes.
        prop_assert!(text.len() < 2 * 2560 + 300, "{}", text);
        *by_container.entry(&finding.container).or_insert(0) += 1;
    }
    prop_assert!(by_container.len() <= containers);
    prop_assert!(by_container.values().all(|findings| *findings <= 8), "{:?}", by_container);

    // Its explanation.
    let explanations = both.explanations().into_iter();
    let own = explanations.filter(|one| one.task.arn.last_part() != "neighbour").collect::<Vec<_>>();
    let report = Report::new(Subject::Definition("file".to_owned()), 1, own);
    let [json, text] = [json::write(&report), Text(&report, Colours::Off).to_string()];
    prop_assert!(json.len() < 16 * TASK && text.len() < 16 * TASK, "{} and {} bytes", json.len(), text.len());
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_definition_of_64_kib_publishes_a_mebibyte_at_most(
        plans in plans(), on_host in any::<bool>(), task_tags in collection::vec(long_text(), 0..3),
    ) {
        let task_tags: Vec<_> = task_tags.iter().enumerate().map(|(n, text)| (["a", "b", "c"][n], text.as_str())).collect();
        is_bounded(task(&plans, on_host).task(|task| task.tags = tags(&task_tags)))?;
    }
}

#[test]
fn as_many_containers_as_fit_publish_a_mebibyte_at_most() {
    let paths: Vec<_> = (0..64).map(|number| format!("/{number}")).collect();
    let plan =
        (3, vec![(Variable::NoLabels, "true".to_owned()), (Variable::Endpoint, paths.join(","))], Vec::new());
    is_bounded(task(&vec![plan; 1000], false)).unwrap();
}
