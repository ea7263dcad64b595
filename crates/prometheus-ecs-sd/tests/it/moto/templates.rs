//! Both forms of `generate event-infrastructure`: their text, and the opinion of CloudFormation's linter.

use insta::assert_snapshot;

use super::stack::{printed, template};
use crate::tools::cfn_lint;

const VARIANTS: [&[&str]; 3] = [
    &[],
    &["--readers", "5"],
    &["--cluster", "shop", "prod-*", "arn:aws:ecs:eu-west-1:123456789012:cluster/x"],
];

#[test]
fn the_linter_of_cloudformation_finds_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut linter = cfn_lint();
    linter.args(["--regions", "eu-west-1", "--"]);
    for (number, arguments) in VARIANTS.iter().enumerate() {
        let file = directory.path().join(format!("{number}.yaml"));
        std::fs::write(&file, template("cloudformation", arguments)).unwrap();
        linter.arg(file);
    }
    assert_eq!(printed(&mut linter), "");
}

/// moto makes no policies of queues from a template.
#[test]
fn only_the_rule_may_send_to_the_queues() {
    let template = template("cloudformation", &[]);
    let is_policy = |part: &&str| part.contains("Type: AWS::SQS::QueuePolicy");
    let policies: Vec<_> = template.split("\n\n").filter(is_policy).collect();
    assert_snapshot!(policies.join("\n"), @r#"
    QueuePolicy:
      Type: AWS::SQS::QueuePolicy
      Properties:
        Queues: [!Ref Queue]
        PolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {Service: events.amazonaws.com}
              Action: sqs:SendMessage
              Resource: !GetAtt Queue.Arn
              Condition: {ArnEquals: {"aws:SourceArn": !GetAtt Rule.Arn}}
    DeadLettersPolicy:
      Type: AWS::SQS::QueuePolicy
      Properties:
        Queues: [!Ref DeadLetters]
        PolicyDocument:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {Service: events.amazonaws.com}
              Action: sqs:SendMessage
              Resource: !GetAtt DeadLetters.Arn
              Condition: {ArnEquals: {"aws:SourceArn": !GetAtt Rule.Arn}}
    "#);
}

/// Neither moto nor the provider of Terraform that the tests have knows this setting.
#[test]
fn all_queues_are_encrypted() {
    for (format, queue, encrypted) in [
        ("cloudformation", "Type: AWS::SQS::Queue\n", "SqsManagedSseEnabled: true\n"),
        ("terraform", "resource \"aws_sqs_queue\" ", "sqs_managed_sse_enabled "),
    ] {
        let template = template(format, &["--readers", "3"]);
        let count = |text| template.matches(text).count();
        assert_eq!((count(queue), count(encrypted)), (4, 4), "{format}");
    }
}
