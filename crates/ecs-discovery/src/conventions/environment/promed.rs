//! What PromED reads differently from `discoverecs.py`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::conventions::list::PROMED_LABEL;
use crate::conventions::rule::pairs;
use crate::model::{ContainerDefinition, Settings};

/// The docker label that lists custom labels.
const CUSTOM_LABELS: &str = "promed.custom_labels";

/// The custom labels of a container: those of the docker label, then those of the variables.
pub(super) fn custom(
    definition: &ContainerDefinition,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Vec<(Arc<str>, Arc<str>)> {
    let label = definition.docker_labels.iter().find(|(name, _)| &**name == CUSTOM_LABELS);
    let listed = label.map(|(_, text)| pairs::read(&format!("docker label {CUSTOM_LABELS}"), text));
    let listed = listed.unwrap_or_default();
    warnings.extend(listed.warnings);
    let mut custom: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in settings.iter() {
        if let Some(key) = name.strip_prefix(PROMED_LABEL).filter(|key| !key.is_empty()) {
            custom.insert(key.to_lowercase(), value);
        }
    }
    custom.extend(listed.labels.into_iter().map(|(key, value)| (key.to_owned(), value)));
    custom.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
