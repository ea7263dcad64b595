//! State files, and what the next process makes of them.
//!
//! An input that begins like JSON is records, a line each, to which a title and a checksum are added; one that begins
//! like a state file is one; of any other, the facts of some publications are made.

#![cfg_attr(feature = "libfuzzer", no_main)]

use std::collections::BTreeMap;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::derive::Rules;
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::Inventory;
use ecs_discovery::inventory::plan::{Recheck, Refresh};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::{Scope, ScopeStatus};
use fuzz::facts::Facts;
use fuzz::published;
use prometheus_ecs_sd::state::{Facts as Sources, fuzzing};

fuzz::target!(state);

const AS_OF: Duration = Duration::from_secs(1_800_000_000);
const NOW: Duration = Duration::from_secs(1_800_000_060);
const RECHECK: Recheck =
    Recheck { interval: Duration::from_secs(600), definition_tags: true, services: true, is_last: false };

type Scopes = BTreeMap<ClusterArn, Scope>;

fn state(input: &[u8]) {
    match input.first() {
        Some(b'{') => file(&with_checksum(input)),
        Some(b'p') => file(input),
        _ => {
            let mut facts = Facts::new(input);
            let publications = facts.list(3, |facts| {
                let sources = facts.list(2, Facts::saved).into_iter().enumerate();
                sources.map(|(number, saved)| (number.to_string().into(), saved.into())).collect()
            });
            are_read(&publications, facts.below(u16::MAX).into());
        }
    }
}

/// A file of these records.
fn with_checksum(records: &[u8]) -> Vec<u8> {
    let (empty, _) = fuzzing::write(&[Vec::new()]);
    let title = empty.split_inclusive(|byte| *byte == b'\n').next().expect("a file has a title");
    let text = [title, records].concat();
    let end = format!("end {:08x}\n", crc32fast::hash(&text));
    [&text, end.as_bytes()].concat()
}

fn file(bytes: &[u8]) {
    if let Some(sources) = read(bytes) {
        are_read(&[Vec::new(), sources.clone(), Vec::new(), sources], 0);
    }
}

fn read(bytes: &[u8]) -> Option<Sources> {
    let sources = fuzzing::parse(bytes).ok()?;
    Some(sources.into_iter().map(|(name, saved)| (name.into(), saved.into())).collect())
}

/// Of a file that ends anywhere, the last whole publication is read.
fn are_read(publications: &[Sources], anywhere: usize) {
    let (bytes, ends) = fuzzing::write(publications);
    let anywhere = anywhere % (bytes.len() + 1);
    for end in ends.iter().copied().chain([anywhere]) {
        let whole = ends.iter().rposition(|whole| *whole <= end);
        assert_eq!(read(&bytes[..end]).as_ref(), whole.map(|whole| &publications[whole]));
    }
    for (_, saved) in publications.iter().flatten() {
        restores(Saved::clone(saved));
    }
}

fn rules() -> Rules {
    Rules { service_tags: true, ..Rules::default() }
}

/// What was restored and saved again is the same in the next process.
fn restores(saved: Saved) {
    let (all, rules) = (ClusterSelection::All, rules());
    let (inventory, scopes) = saved.restore(&all, &rules, AS_OF, NOW);
    for scope in scopes.values() {
        assert_eq!(scope.status, ScopeStatus::Restored);
        published::check(scope.derived.targets.iter());
    }
    let saved = inventory.saved(&scopes);
    assert_eq!(saved.scopes.len(), scopes.len());
    let (inventory, again) = saved.clone().restore(&all, &rules, NOW, NOW);
    assert_eq!(again, scopes);
    assert_eq!(inventory.saved(&again), saved);
    holds(inventory, &saved, &scopes);
}

/// A refresh in which AWS lists what there is and answers nothing else takes no target away and adds none.
fn holds(mut inventory: Inventory, saved: &Saved, scopes: &Scopes) {
    let mut refresh = Refresh::begin(&mut inventory, ClusterSelection::All, NOW, RECHECK);
    let mut questions = refresh.questions(&mut inventory);
    while let Some(question) = questions.pop() {
        match listing(&question, saved) {
            Some(answer) => refresh.answered(&mut inventory, question, answer),
            None => {
                let message = "ServerException".to_owned();
                refresh.failed(&mut inventory, question, Failure { kind: FailureKind::Unavailable, message });
            }
        }
        questions.append(&mut refresh.questions(&mut inventory));
    }
    let conclusion = refresh.finish(&mut inventory, &rules(), scopes);
    let targets = |scopes: &Scopes| {
        let targets = scopes.iter().map(|(arn, scope)| (arn.clone(), scope.derived.targets.clone()));
        targets.collect::<Vec<_>>()
    };
    assert_eq!(targets(&conclusion.scopes), targets(scopes));
}

fn listing(question: &Question, saved: &Saved) -> Option<Answer> {
    let scopes = || saved.scopes.iter();
    match question {
        Question::Clusters { .. } => {
            let clusters = scopes().map(|scope| scope.cluster.arn.clone()).collect();
            Some(Answer::Clusters { clusters, next: None })
        }
        Question::Tasks { cluster, .. } => {
            let tasks = scopes().filter(|scope| scope.cluster.arn == *cluster).flat_map(|scope| &scope.tasks);
            Some(Answer::Tasks { tasks: tasks.map(|saved| saved.task.arn.clone()).collect(), next: None })
        }
        _ => None,
    }
}
