//! Rules that need other environment variables than the facts were read with.

use std::fs;

use ecs_discovery::conventions::list::{Conventions, Dialect, Entry};
use ecs_discovery::conventions::rule::{Condition, Pattern, Ports, Rule, Source, Subject};
use ecs_discovery::derive::Rules;
use ecs_simulator::{ContainerOverride, Placement, Run, World};
use prometheus_ecs_sd::config::Config;

use super::{REGION, Running, Stage, opted_in};

/// Rules that need these variables beside those of `discoverecs.py`.
fn naming(more: &[&str]) -> Rules {
    let condition = |name: &&str| Condition {
        subject: Subject::Source(Source::Environment((*name).into())),
        pattern: Pattern::new("no value").expect("a pattern"),
    };
    let rule = Rule { conditions: more.iter().map(condition).collect(), ..Rule::new("shop", Ports::First) };
    let environment = Entry::Variables(Dialect::Environment);
    let entries = [environment].into_iter().chain((!more.is_empty()).then(|| Entry::rule(rule)));
    Rules { conventions: Conventions::new(entries), ..Rules::default() }
}

/// Three definitions with a task each, of which one has overrides.
fn stage(rules: Rules) -> Stage {
    let mut world = World::new(1);
    let region = world.own(REGION);
    for name in ["one", "two", "three"] {
        let mut definition = opted_in(name);
        let app = definition.container_definitions[0].clone();
        definition.container_definitions[0] =
            app.env("SHOP_PATH", "/of-definition").env("PASSWORD", "hunter2").secret("SHOP_KEY", "hunter2");
        let definition = region.register(definition);
        let mut run = Run::new("prod", &definition, Placement::Fargate);
        if name == "two" {
            let over =
                ContainerOverride::new("app").env("SHOP_PATH", "/of-override").env("PASSWORD", "hunter2");
            run = run.overriding(over);
        }
        region.run_with(run);
    }
    let mut stage = Stage::new(world);
    stage.config.rules = rules;
    stage
}

/// How often the state file has the values that only some rules need: of definitions, and of overrides.
fn saved(stage: &Stage) -> (usize, usize) {
    let state = fs::read_to_string(stage.state_file()).unwrap();
    assert!(!state.contains("hunter2") && !state.contains("PASSWORD"), "{state}");
    (state.matches("/of-definition").count(), state.matches("/of-override").count())
}

/// The calls since this was last asked, but for listings.
fn described(stage: &Stage) -> Vec<String> {
    let asked = stage.asked();
    asked.lines().filter(|call| call.contains("Describe")).map(str::to_owned).collect()
}

async fn reload(stage: &Stage, running: &mut Running, rules: Rules) {
    running.replace(&Config { rules, ..stage.config.clone() }).await.unwrap();
    assert!(running.round().await.complete);
}

#[tokio::test(start_paused = true)]
async fn a_reload_reads_what_was_dropped_once_and_drops_what_is_not_needed() {
    let stage = stage(naming(&[]));
    let mut running = stage.run().await;
    running.round().await;
    let before = stage.file("1m");
    assert_eq!(saved(&stage), (0, 0));
    stage.asked();
    reload(&stage, &mut running, naming(&["SHOP_*"])).await;
    assert_eq!(described(&stage), ["ecs DescribeTaskDefinition 3", "ecs DescribeTasks 1"]);
    assert_eq!((saved(&stage), stage.file("1m")), ((3, 1), before.clone()));
    // Names that the facts were read with cost nothing.
    for names in [&["SHOP_PATH"][..], &["SHOP_PATH"], &[]] {
        reload(&stage, &mut running, naming(names)).await;
        assert_eq!(described(&stage), [""; 0]);
        assert_eq!(saved(&stage), if names.is_empty() { (0, 0) } else { (3, 1) });
    }
    assert_eq!(stage.file("1m"), before);
}

#[tokio::test(start_paused = true)]
async fn a_restart_reads_what_was_dropped_once_and_drops_what_is_not_needed() {
    let mut stage = stage(naming(&[]));
    stage.once().await;
    let before = stage.file("1m");
    stage.asked();
    stage.config.rules = naming(&["SHOP_PATH"]);
    for is_first in [true, false] {
        stage.once().await;
        let asked = stage.asked();
        assert_eq!(asked.contains("ecs DescribeTaskDefinition 3"), is_first, "{asked}");
        assert_eq!(asked.contains("ecs DescribeTasks 1"), is_first, "{asked}");
        assert_eq!((saved(&stage), stage.file("1m")), ((3, 1), before.clone()));
    }
    stage.config.rules = naming(&[]);
    stage.once().await;
    assert_eq!((saved(&stage), stage.file("1m")), ((0, 0), before));
    assert!(!stage.asked().contains("Describe"));
}
