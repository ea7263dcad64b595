//! The Terraform form of `generate event-infrastructure`: Terraform itself formats, plans and applies it.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::stack::{Stack, printed, template};
use crate::tools::{python_with_moto, repository};

/// One field a line.
fn lines(object: &Value) -> String {
    let line = |(name, value): (&String, &Value)| format!("{name} {value}");
    object.as_object().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn terraform_deploys_what_cloudformation_does_and_plans_nothing_a_second_time() {
    let arguments = ["--cluster", "shop", "--readers", "2"];
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("events.tf"), template("terraform", &arguments)).unwrap();
    let (mut by_terraform, mut by_stack) = (Stack::start(), Stack::start());
    let terraform = |endpoint: &str, wish: &str| {
        let mut python = python_with_moto();
        python.arg(repository("crates/prometheus-ecs-sd/tests/it/moto/terraform.py"));
        printed(python.arg(directory.path()).args([endpoint, wish]))
    };
    let applied = terraform(&by_terraform.endpoint, "apply");
    let applied: Value = serde_json::from_str(&applied).unwrap();
    assert_eq!((&applied["format"], &applied["changed"]), (&json!(""), &json!([])), "{applied:#}");

    let created = by_stack.call("create_stack", json!({"template": template("cloudformation", &arguments)}));
    // Names are of another form, and moto gives a stack the URLs of the real AWS.
    let values = |outputs: &Value| {
        let of = |(name, value): (&String, &Value)| {
            let value = value.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            (name.replace('_', "").to_lowercase(), value)
        };
        outputs.as_object().unwrap().iter().map(of).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(values(&applied["outputs"]), values(&created["outputs"]));
    let [mut expected, mut found] =
        [&mut by_stack, &mut by_terraform].map(|it| it.call("deployed", json!({})));
    let policies = [&mut expected, &mut found].map(|deployed| {
        let queues = deployed["queues"].as_object_mut().unwrap();
        let mut policies = serde_json::Map::new();
        for (name, attributes) in queues {
            let attributes = attributes.as_object_mut().unwrap();
            // The old provider does not know the one, and always sets the other to the default of its time.
            attributes.remove("SqsManagedSseEnabled");
            attributes.remove("MaximumMessageSize");
            let policy = attributes.remove("Policy");
            policies.extend(policy.map(|policy| (name.clone(), policy)));
        }
        Value::from(policies)
    });
    assert_eq!(found, expected);
    assert_snapshot!(lines(&found["queues"]), @r#"
    prometheus-ecs-sd {"DelaySeconds":"0","MessageRetentionPeriod":"3600","QueueArn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd","ReceiveMessageWaitTimeSeconds":"20","RedrivePolicy":{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-dead-letters","maxReceiveCount":5},"VisibilityTimeout":"60"}
    prometheus-ecs-sd-2 {"DelaySeconds":"0","MessageRetentionPeriod":"3600","QueueArn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-2","ReceiveMessageWaitTimeSeconds":"20","RedrivePolicy":{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-dead-letters","maxReceiveCount":5},"VisibilityTimeout":"60"}
    prometheus-ecs-sd-dead-letters {"DelaySeconds":"0","MessageRetentionPeriod":"1209600","QueueArn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-dead-letters","ReceiveMessageWaitTimeSeconds":"0","VisibilityTimeout":"30"}
    "#);
    assert_snapshot!(lines(&found["rules"][0]), @r#"
    Arn "arn:aws:events:eu-west-1:123456789012:rule/prometheus-ecs-sd"
    EventBusName "default"
    EventPattern {"detail":{"clusterArn":[{"wildcard":"arn:*:cluster/shop"}]},"detail-type":["ECS Task State Change"],"source":["aws.ecs"]}
    Name "prometheus-ecs-sd"
    ScheduleExpression "rate(1 minute)"
    State "ENABLED"
    Targets [{"Arn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd","DeadLetterConfig":{"Arn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-dead-letters"},"Id":"Queue","RetryPolicy":{"MaximumEventAgeInSeconds":3600,"MaximumRetryAttempts":185}},{"Arn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-2","DeadLetterConfig":{"Arn":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-dead-letters"},"Id":"Queue2","RetryPolicy":{"MaximumEventAgeInSeconds":3600,"MaximumRetryAttempts":185}}]
    "#);
    assert_snapshot!(lines(&policies[1]), @r#"
    prometheus-ecs-sd {"Statement":[{"Action":"sqs:SendMessage","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:events:eu-west-1:123456789012:rule/prometheus-ecs-sd"}},"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Resource":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd"}],"Version":"2012-10-17"}
    prometheus-ecs-sd-2 {"Statement":[{"Action":"sqs:SendMessage","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:events:eu-west-1:123456789012:rule/prometheus-ecs-sd"}},"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Resource":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-2"}],"Version":"2012-10-17"}
    prometheus-ecs-sd-dead-letters {"Statement":[{"Action":"sqs:SendMessage","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:events:eu-west-1:123456789012:rule/prometheus-ecs-sd"}},"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Resource":"arn:aws:sqs:eu-west-1:123456789012:prometheus-ecs-sd-dead-letters"}],"Version":"2012-10-17"}
    "#);

    terraform(&by_terraform.endpoint, "destroy");
    assert_eq!(by_terraform.call("deployed", json!({})), json!({"rules": [], "queues": {}}));
}
