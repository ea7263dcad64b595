//! How containers opt in and out, and what else they may say.

use super::{Stage, family, portless, quiet, scraped};
use crate::world::definition::TaskDefinition;
use crate::world::task::ContainerOverride;

pub(super) fn play(stage: &mut Stage<'_>) {
    by_environment(stage);
    by_label(stage);
    by_override(stage);
    with_more_to_say(stage);
}

fn by_environment(stage: &mut Stage<'_>) {
    // A target on 8080 at /metrics, every minute.
    stage.fargate(family("env-true", scraped("app")));
    // A target: any text but the four negative ones opts in.
    stage.fargate(family("env-any-text", quiet("app").env("PROMETHEUS", "enabled")));
    // Four containers opted out, one that never opted in, and one that did not because its variable is empty.
    let out = TaskDefinition::new("env-opted-out")
        .container(quiet("false").env("PROMETHEUS", "false"))
        .container(quiet("zero").env("PROMETHEUS", "0"))
        .container(quiet("no").env("PROMETHEUS", "No"))
        .container(quiet("off").env("PROMETHEUS", "OFF"))
        .container(quiet("silent"))
        .container(quiet("empty").env("PROMETHEUS", ""));
    stage.fargate(out);
    // Not opted in: the value of a secret cannot be read.
    let secret = "arn:aws:ssm:eu-central-1:111111111111:parameter/prometheus";
    stage.fargate(family("secret", quiet("app").secret("PROMETHEUS", secret)));
}

fn by_label(stage: &mut Stage<'_>) {
    // A target on 9100: labels stand in for variables.
    let labelled = quiet("app").label("PROMETHEUS", "true").label("PROMETHEUS_PORT", "9100");
    stage.fargate(family("label-only", labelled));
    // A target on 9200: the variable wins over the label, name by name; the endpoint still comes from its label.
    let both = scraped("app")
        .label("PROMETHEUS_PORT", "9100")
        .label("PROMETHEUS_ENDPOINT", "15s:/labelled")
        .label("com.example/team", "shop")
        .env("PROMETHEUS_PORT", "9200");
    stage.fargate(family("label-and-env", both));
}

fn by_override(stage: &mut Stage<'_>) {
    // A target on 9300 at /overridden: the task's own variables win over the definition's.
    let changed = ContainerOverride::new("app")
        .env("PROMETHEUS_PORT", "9300")
        .env("PROMETHEUS_ENDPOINT", "30s:/overridden")
        .env("ONE_TIME_PASSWORD", "not-for-your-eyes");
    stage.run(family("override-changes", scraped("app").env("PROMETHEUS_PORT", "9200")), |run| {
        run.overriding(changed)
    });
    // A target: the override opts in what the definition does not.
    let opted_in = ContainerOverride::new("app").env("PROMETHEUS", "true");
    stage.run(family("override-opts-in", quiet("app")), |run| run.overriding(opted_in));
    // Opted out by the override.
    let opted_out = ContainerOverride::new("app").env("PROMETHEUS", "false");
    stage.run(family("override-opts-out", scraped("app")), |run| run.overriding(opted_out));
}

fn with_more_to_say(stage: &mut Stage<'_>) {
    // `instance` is `nolabels`, and there are no ECS labels.
    stage.fargate(family("nolabels", scraped("blackbox").env("PROMETHEUS_NOLABELS", "true")));
    // The label `tags` has this value, verbatim.
    stage.fargate(family("tags", scraped("app").env("PROMETHEUS_TAGS", ",team=shop,stage=prod,")));
    // Scheme https on 443.
    let https = portless("app").env("PROMETHEUS_SCHEME", "https").env("PROMETHEUS_PORT", "443");
    stage.fargate(family("https", https));
}
