//! Task definitions in files, and what is explained of them.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::derive::{Rules, TagSelection};
use ecs_discovery::explain::report::{Report, Subject};
use ecs_discovery::render::explanation::{Colours, Text, json};
use prometheus_ecs_sd::aws::task_definition;

fuzz::target!(definition);

fn definition(input: &[u8]) {
    let draft = match task_definition(input) {
        Ok(draft) => draft,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let rules = Rules { tags_to_labels: TagSelection::All.into(), ..Rules::default() };
    let Ok(explanation) = draft.explain(&rules) else { return };
    if explanation.containers.is_ok() {
        let names = explanation.containers().iter().map(|container| &container.name);
        assert!(names.eq(draft.definition.containers.iter().map(|container| &container.name)));
    }
    let targets = explanation.targets().count();
    let report = Report::new(Subject::Definition("file".to_owned()), 1, [explanation]);
    assert_eq!(report.targets(), targets);
    let text = Text(&report, Colours::Off).to_string();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    let json: serde_json::Value = serde_json::from_str(&json::write(&report)).expect("JSON");
    assert_eq!(json["targets"], targets);
}
