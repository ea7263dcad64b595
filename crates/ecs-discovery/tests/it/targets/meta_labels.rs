//! `--meta-labels`: which meta labels are published, and that nothing else depends on it.

use ecs_discovery::derive::Rules;
use ecs_discovery::labels::TagSelection;
use ecs_discovery::labels::meta::{MetaLabels, MetaPattern};
use ecs_discovery::target::Target;
use insta::assert_snapshot;
use proptest::prelude::{ProptestConfig, Strategy, proptest};
use proptest::{collection, prop_assert_eq, sample};
use wildmatch::WildMatch;

use super::labels::{complete, no_labels};
use crate::fixture::{TaskFixture, World, app, container, fargate, tags};
use crate::show::{lines, only_target};
use crate::source::Source;

/// Those that are separated by spaces.
fn rules(patterns: &str) -> Rules {
    let patterns = patterns.split_whitespace().map(|text| MetaPattern::parse(text).unwrap());
    Rules {
        meta_labels: MetaLabels::new(patterns).into(),
        tags_to_labels: TagSelection::All.into(),
        ..Rules::default()
    }
}

/// The labels that are published with these patterns.
fn published(fixture: TaskFixture, patterns: &str) -> String {
    lines(&only_target(fixture, rules(patterns)), "")
}

/// The complete task, with keys that share beginnings.
fn labelled() -> TaskFixture {
    let more = [("team", "shop"), ("team-lead", "ann"), ("stage", "prod"), ("task_owner", "eve")];
    complete().task(|task| task.tags = tags(&more)).definition(|definition| {
        definition.containers[0].docker_labels.extend(tags(&more));
        definition.tags = tags(&more);
    })
}

#[test]
fn only_selected_labels_are_published() {
    assert_snapshot!(published(labelled(), "cluster service container_label_team* tag_* task_def*family"), @"
    __meta_ecs_cluster=prod
    __meta_ecs_container_label_team=shop
    __meta_ecs_container_label_team_lead=ann
    __meta_ecs_service=web
    __meta_ecs_tag_cluster_stage=prod
    __meta_ecs_tag_ec2_Name=node
    __meta_ecs_tag_stage=prod
    __meta_ecs_tag_task_owner=eve
    __meta_ecs_tag_task_stage=prod
    __meta_ecs_tag_task_task_owner=eve
    __meta_ecs_tag_task_team=shop
    __meta_ecs_tag_task_team_lead=ann
    __meta_ecs_tag_team=shop
    __meta_ecs_tag_team_lead=ann
    __meta_ecs_task_definition_family=web
    __metrics_path__=/metrics
    ecs_cluster=prod
    ecs_container_id=c0ff
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.0.2:8080
    instance_id=i-1
    job=web
    metrics_path=/metrics
    ");
}

#[test]
fn none_leaves_visible_and_control_labels() {
    assert_snapshot!(published(complete(), ""), @"
    __metrics_path__=/metrics
    ecs_cluster=prod
    ecs_container_id=c0ff
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.0.2:8080
    instance_id=i-1
    job=web
    metrics_path=/metrics
    ");
    let probe = || app().env("PROMETHEUS_SCHEME", "https").endpoint("/probe?module=http");
    assert_snapshot!(published(fargate().with(probe()), ""), @"
    __metrics_path__=/probe
    __param_module=http
    __scheme__=https
    ecs_cluster=prod
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.0.1:80
    job=web
    metrics_path=/probe
    ");
}

#[test]
fn nolabels_is_the_same_with_every_selection() {
    for patterns in ["", "cluster", "*"] {
        assert_eq!(published(no_labels(complete()), patterns), published(no_labels(complete()), "*"));
    }
}

#[test]
fn only_published_labels_take_the_space_of_a_task() {
    let fixture = || {
        let app = container("app").env("PROMETHEUS", "true").endpoint("/a,/b,/c");
        fargate().with((0..60).fold(app, |app, n| app.label(&format!("label-{n}"), &"x".repeat(4096))))
    };
    let targets = |patterns: &str| {
        let mut source = Source::with_rules(rules(patterns));
        source.refresh(&World::of([fixture()]));
        (source.snapshot.target_count(), source.snapshot.findings().count())
    };
    assert_eq!([targets("*"), targets("container_label_*")], [(2, 1), (2, 1)]);
    assert_eq!([targets("container_label_label_1*"), targets("cluster"), targets("")], [(3, 0); 3]);
}

#[test]
fn a_label_that_is_not_published_is_not_too_long() {
    let long = "x".repeat(5000);
    let warnings = |patterns: &str| {
        let mut source = Source::with_rules(rules(patterns));
        source.refresh(&World::of([fargate().with(app().label("motd", &long).label(&long, "motd"))]));
        source.snapshot.findings().count()
    };
    assert_eq!(["*", "container_label_?*"].map(warnings), [1, 1]);
    assert_eq!(["", "cluster", "container_label_y*"].map(warnings), [0, 0, 0]);
}

#[test]
fn tags_of_definitions_are_needed_for_selected_labels() {
    let needed = |patterns: &str| rules(patterns).need_definition_tags();
    assert_eq!(["*", "tag_team", "tag_task_*"].map(needed), [true; 3]);
    assert_eq!(["", "cluster", "task_*", "container_label_*"].map(needed), [false; 4]);
}

#[test]
fn a_target_is_published_differently_with_other_labels() {
    let target = |patterns: &str| only_target(labelled(), rules(patterns));
    let same = |one: &str, other: &str| target(one).is_published_like(&target(other));
    assert!(same("*", "* cluster") && same("tag_team tag_team_lead", "tag_team*"));
    assert!(!same("*", "cluster") && !same("cluster", "") && !same("tag_team", "tag_team*"));
}

/// Pieces of names, and wildcards.
const PIECES: &[&str] =
    &["*", "?", "_", "tag", "task", "cluster", "container", "label", "team", "ec2", "arn", "stage", "t", "e"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_label_is_published_if_a_pattern_matches_its_name(
        patterns in collection::vec(
            collection::vec(sample::select(PIECES), 1..6).prop_map(|pieces| pieces.concat()), 0..4,
        ),
    ) {
        let patterns: Vec<_> =
            patterns.into_iter().filter(|text| MetaPattern::parse(text).is_ok()).collect();
        let is_selected = |name: &str| match name.strip_prefix("__meta_ecs_") {
            Some(name) => patterns.iter().any(|pattern| WildMatch::new(pattern).matches(name)),
            None => true,
        };
        let all = only_target(labelled(), rules("*"));
        let expected: Vec<_> = pairs(&all).into_iter().filter(|(name, _)| is_selected(name)).collect();
        prop_assert_eq!(pairs(&only_target(labelled(), rules(&patterns.join(" ")))), expected);
    }

    #[test]
    fn a_pattern_that_matches_a_label_is_never_refused(
        pattern in collection::vec(sample::select(PIECES), 1..6).prop_map(|pieces| pieces.concat()),
    ) {
        let glob = WildMatch::new(&pattern);
        let all = pairs(&only_target(labelled(), rules("*")));
        let mut names = all.iter().filter_map(|(name, _)| name.strip_prefix("__meta_ecs_"));
        if names.any(|name| glob.matches(name)) {
            prop_assert_eq!(MetaPattern::parse(&pattern).err(), None);
        }
    }
}

fn pairs(target: &Target) -> Vec<(String, String)> {
    target.labels().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
