//! Task definitions in files, and what is explained of them.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::derive::Rules;
use ecs_discovery::explain::report::{Report, Subject};
use ecs_discovery::labels::TagSelection;
use ecs_discovery::model::Names;
use ecs_discovery::render::explanation::{Colours, Text, json};
use fuzz::published;
use prometheus_ecs_sd::aws::task_definition;

fuzz::target!(definition);

/// Bytes of an explanation, besides quoted texts: all that one task may publish, and as much again in words.
const EXPLANATION: usize = 16 * 1024 * 1024;

fn definition(input: &[u8]) {
    let draft = match task_definition(input, None, &Names::all()) {
        Ok(draft) => draft,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let rules = Rules { tags_to_labels: TagSelection::All.into(), ..Rules::default() };
    let Ok(explanation) = draft.explain(&rules) else { return };
    if explanation.containers.is_ok() {
        let names = explanation.containers().iter().map(|container| &container.name);
        assert!(names.eq(draft.definition.containers.iter().map(|container| &container.name)));
    }
    published::check_bounds(&explanation.targets().collect::<Vec<_>>(), &[], 0);
    assert!(explanation.containers().iter().all(|container| container.targets().count() <= 64));
    let targets = explanation.targets().count();
    let report = Report::new(Subject::Definition("file".to_owned()), 1, [explanation]);
    assert_eq!(report.targets(), targets);
    let text = Text(&report, Colours::Off).to_string();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    let json = json::write(&report);
    assert!(json.len().max(text.len()) < EXPLANATION + 20 * input.len());
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["targets"], targets);
}
