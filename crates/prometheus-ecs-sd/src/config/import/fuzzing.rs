//! Both importers without a file, for the fuzz targets only.

use std::path::Path;

use super::super::errors::ConfigErrors;
use super::super::yaml;
use super::{Tool, import};

/// A configuration of the CloudWatch agent.
pub fn cloudwatch_agent(text: &str) -> Result<Vec<String>, Vec<String>> {
    rules(Tool::CloudwatchAgent, text)
}

/// A configuration of the OpenTelemetry Collector.
pub fn ecs_observer(text: &str) -> Result<Vec<String>, Vec<String>> {
    rules(Tool::EcsObserver, text)
}

/// The names of the rules of the configuration that is made, as they are read from it; or the errors.
fn rules(tool: Tool, text: &str) -> Result<Vec<String>, Vec<String>> {
    let made = import(tool, text, ConfigErrors::of(Path::new("file"))).map_err(|errors| errors.lines())?;
    let mut errors = ConfigErrors::of(Path::new("config.yml"));
    let mut names = Vec::new();
    let root = yaml::parse(&made.config, &mut errors).and_then(|root| root.mapping(&mut errors));
    let conventions = root.and_then(|mut root| root.take("conventions"));
    for rule in conventions.map(|list| list.sequence(&mut errors)).unwrap_or_default() {
        let name = rule.mapping(&mut errors).and_then(|mut rule| rule.take("name"));
        names.extend(name.and_then(|name| name.text(&mut errors).map(str::to_owned)));
    }
    assert_eq!(errors.lines(), [""; 0], "{}", made.config);
    Ok(names)
}
