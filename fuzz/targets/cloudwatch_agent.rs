//! Configurations of the CloudWatch agent: any text becomes a configuration of this program, or errors with their lines.

#![cfg_attr(feature = "libfuzzer", no_main)]

use prometheus_ecs_sd::config::import::fuzzing;

fuzz::target!(cloudwatch_agent);

fn cloudwatch_agent(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match fuzzing::cloudwatch_agent(text) {
        Ok(rules) => {
            assert!((1..=100).contains(&rules.len()), "{text:?}");
            let is_known = |name: &&str| {
                ["cloudwatch_agent-service", "cloudwatch_agent-definition", "cloudwatch_agent-label"]
                    .contains(name)
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
