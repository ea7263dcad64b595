//! Configurations of the OpenTelemetry Collector: any text becomes a configuration of this program, or errors with their lines.

#![cfg_attr(feature = "libfuzzer", no_main)]

use prometheus_ecs_sd::config::import::fuzzing;

fuzz::target!(ecs_observer);

fn ecs_observer(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match fuzzing::ecs_observer(text) {
        Ok(rules) => {
            assert!((1..=100).contains(&rules.len()), "{text:?}");
            let is_known = |name: &&str| {
                ["ecs_observer-service", "ecs_observer-definition", "ecs_observer-label"].contains(name)
            };
            assert!(rules.iter().all(|name| is_known(&&**name)), "{rules:?}");
        }
        Err(errors) => {
            assert!(
                !errors.is_empty() && errors.iter().all(|error| error.starts_with("file:")),
                "{errors:?}"
            );
        }
    }
}
