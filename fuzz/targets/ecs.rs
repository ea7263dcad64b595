//! ECS's answers about clusters, definitions and container instances, and its listings.
//!
//! An input that begins like JSON is an answer to each question; of any other, facts are made, which must be read as they
//! were written.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::arn::{ClusterArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{Cluster, ContainerInstance, Names, Service, ServiceName, Tags, TaskDefinition};
use fuzz::facts::Facts;
use fuzz::wire;
use prometheus_ecs_sd::aws::fuzzing;

fuzz::target!(ecs);

fn ecs(input: &[u8]) {
    if matches!(input.first(), Some(b'{' | b'[' | b'"')) {
        return answer(input);
    }
    let mut facts = Facts::new(input);
    let saved = facts.saved();
    let clusters: Vec<_> = saved.scopes.iter().map(|scope| Cluster::clone(&scope.cluster)).collect();
    are_read(clusters);
    let next = facts.maybe(Facts::text).filter(|token| !token.is_empty());
    let tasks = saved.scopes.iter().flat_map(|scope| &scope.tasks).map(|saved| saved.task.arn.clone());
    is_listed(tasks.collect(), next);
    saved.definitions.iter().for_each(|definition| is_defined(definition));
    are_described(saved.container_instances);
    let services = saved.scopes.iter().flat_map(|scope| &scope.services);
    are_services(services.filter_map(|saved| saved.service.as_deref()).cloned().collect());
}

fn are_services(services: Vec<Service>) {
    let body = wire::services(&services);
    let answer = fuzzing::ecs(&question_for_services(), body.as_bytes(), &wire::names());
    assert_eq!(answer, Ok(Answer::Services { services, missing: Vec::new() }));
}

fn question_for_services() -> Question {
    let services = ["a", "b"].map(|name| ServiceName::parse(name).expect("a name"));
    Question::Services { cluster: cluster(), services: services.into() }
}

fn are_read(clusters: Vec<Cluster>) {
    let body = wire::clusters(&clusters);
    let tags = Question::ClusterTags { clusters: Vec::new() };
    assert_eq!(
        fuzzing::ecs(&tags, body.as_bytes(), &wire::names()),
        Ok(Answer::ClusterTags(clusters.clone()))
    );
    let details = Question::ClusterDetails { clusters: Vec::new() };
    let expected = Answer::ClusterDetails { active: clusters, gone: Vec::new() };
    assert_eq!(fuzzing::ecs(&details, body.as_bytes(), &wire::names()), Ok(expected));
}

fn is_listed(tasks: Vec<TaskArn>, next: Option<String>) {
    let arns: Vec<_> = tasks.iter().map(TaskArn::as_str).collect();
    let body = wire::listing("taskArns", &arns, next.as_deref());
    let question = Question::Tasks { cluster: cluster(), page: None };
    assert_eq!(fuzzing::ecs(&question, body.as_bytes(), &wire::names()), Ok(Answer::Tasks { tasks, next }));
}

fn is_defined(definition: &TaskDefinition) {
    let body = wire::definition(definition);
    let question = Question::TaskDefinition { definition: definition.arn.clone() };
    let answer = fuzzing::ecs(&question, body.as_bytes(), &wire::names());
    // Each container has a value that is dropped.
    let names = if definition.containers.is_empty() { Names::all() } else { wire::names() };
    assert_eq!(answer, Ok(Answer::TaskDefinition(TaskDefinition { names, ..definition.clone() })));
    let question = Question::DefinitionTags { definition: definition.arn.clone() };
    let answer = fuzzing::ecs(&question, body.as_bytes(), &wire::names());
    assert_eq!(answer, Ok(Answer::DefinitionTags(Some(definition.tags.clone()))));
}

fn are_described(instances: Vec<ContainerInstance>) {
    let body = wire::container_instances(&instances);
    let question = Question::ContainerInstances { cluster: cluster(), instances: Vec::new() };
    let answer = fuzzing::ecs(&question, body.as_bytes(), &wire::names());
    assert_eq!(answer, Ok(Answer::ContainerInstances(instances)));
}

fn cluster() -> ClusterArn {
    ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/0").expect("an ARN")
}

/// What is understood is sound, and is understood again.
fn answer(body: &[u8]) {
    let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1";
    let definition = TaskDefinitionArn::parse(arn).expect("an ARN");
    for question in [
        Question::Clusters { page: None },
        Question::Tasks { cluster: cluster(), page: None },
        Question::ClusterDetails { clusters: vec!["0".into(), "1".into()] },
        Question::ClusterTags { clusters: vec![cluster()] },
        Question::TaskDefinition { definition: definition.clone() },
        Question::DefinitionTags { definition },
        Question::ContainerInstances { cluster: cluster(), instances: Vec::new() },
        question_for_services(),
    ] {
        let answer = match fuzzing::ecs(&question, body, &wire::names()) {
            Ok(answer) => answer,
            Err(failure) => {
                let why = format!("{}: the answer cannot be used: ", question.operation());
                assert!(failure.message.starts_with(&why), "{failure}");
                continue;
            }
        };
        match answer.readable().0 {
            Answer::Clusters { next, .. } => assert_ne!(next.as_deref(), Some("")),
            Answer::Tasks { tasks, next } => {
                assert_ne!(next.as_deref(), Some(""));
                is_listed(tasks, next);
            }
            Answer::ClusterDetails { active, gone } => {
                active.iter().for_each(|cluster| are_sound(&cluster.tags));
                assert!(gone.iter().all(|arn| ["0", "1"].map(Some).contains(&arn.rsplit('/').next())));
                are_read(active);
            }
            Answer::ClusterTags(clusters) => are_read(clusters),
            Answer::TaskDefinition(definition) => {
                are_sound(&definition.tags);
                assert!(definition.containers.iter().all(|container| !container.name.is_empty()));
                is_defined(&definition);
            }
            Answer::DefinitionTags(tags) => tags.iter().for_each(are_sound),
            Answer::ContainerInstances(instances) => are_described(instances),
            Answer::Services { services, missing } => {
                services.iter().for_each(|service| are_sound(&service.tags));
                assert!(missing.iter().all(|name| ["a", "b"].contains(&name.as_str())));
                are_services(services);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn are_sound(tags: &Tags) {
    assert!(tags.is_sorted() && tags.iter().all(|(key, _)| !key.is_empty()));
}
