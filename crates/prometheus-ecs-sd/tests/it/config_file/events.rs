//! Queues of events in the configuration, and the template of the AWS resources for them.

use insta::assert_snapshot;
use serde_json::Value;

use super::{as_json, configured};

/// A queue of the own account, two of a role's account, of which the role is discovered in one region only, and one that
/// a stand-in for SQS has.
const QUEUES: &str = "\
event_queue:
  - arn:aws:sqs:eu-central-1:111111111111:events
  - https://sqs.eu-west-1.amazonaws.com/222222222222/events
  - arn:aws:sqs:eu-central-1:222222222222:events
  - http://localhost:9324/222222222222/elsewhere
reconcile_interval: 20m
sources:
  - own_account: true
    regions: [eu-central-1]
  - role: arn:aws:iam::222222222222:role/reader
    regions: [eu-west-1]
";

#[test]
fn check_config_shows_the_credentials_that_each_queue_is_read_with() {
    let shown = configured(QUEUES).runs(&["check-config"]);
    let lines: Vec<_> =
        shown.lines().filter(|line| line.contains("event_queue") || line.contains("reconcile")).collect();
    assert_snapshot!(lines.join("\n"), @r"
    event_queue                     eu-central-1/111111111111/events (own credentials), eu-west-1/events (role of 222222222222), eu-central-1/222222222222/events (own credentials), elsewhere (own credentials)
    reconcile_interval              20m
    ");
}

/// The queues that a policy allows to read.
fn queues(policy: &str) -> Vec<Value> {
    let policy = as_json(&configured(QUEUES).runs(&["generate", policy]));
    let statements = policy["Statement"].as_array().unwrap();
    let reading = statements.iter().filter(|statement| statement["Sid"] == "ReadQueues");
    reading.flat_map(|statement| statement["Resource"].as_array().unwrap().clone()).collect()
}

#[test]
fn each_policy_allows_the_queues_that_are_read_with_its_credentials() {
    let own = ["eu-central-1:111111111111", "eu-central-1:222222222222"];
    assert_eq!(queues("iam-policy"), own.map(|place| format!("arn:aws:sqs:{place}:events")));
    assert_eq!(queues("iam-role-policy"), ["arn:aws:sqs:eu-west-1:222222222222:events"]);
}

#[test]
fn mistakes_in_queues_are_reported_with_all_others() {
    let text = "\
interval: 1h
reconcile_interval: 30m
region: [eu-west-1]
event_queue:
  - arn:aws:sqs:eu-west-1:111111111111:events
  - https://sqs.eu-west-1.amazonaws.com/111111111111/events
  - https://vpce-0a1b.sqs.eu-west-1.vpce.amazonaws.com/111111111111/events
  - arn:aws:sqs:us-east-1:111111111111:events
  - arn:aws:sqs:eu-west-1:111111111111:events.fifo
  - events
";
    assert_snapshot!(configured(text).runs(&["check-config"]), @r#"
    exit 2
    error: config.yml:2: reconcile_interval: "30m" is shorter than --interval
    error: config.yml:6: event_queue[1]: eu-west-1/events is given twice
    error: config.yml:7: event_queue[2]: eu-west-1/events is given twice
    error: config.yml:8: event_queue[3]: us-east-1/events is in a region that is not discovered
    error: config.yml:9: event_queue[4]: events.fifo is a FIFO queue, which is not supported; make a standard queue
    error: config.yml:10: event_queue[5]: "events" is not the ARN or the URL of a queue; it looks like arn:aws:sqs:eu-west-1:123456789012:NAME or https://sqs.eu-west-1.amazonaws.com/123456789012/NAME
    "#);
}

fn template(text: &str, arguments: &[&str]) -> String {
    let arguments = [&["generate", "event-infrastructure"], arguments].concat();
    configured(text).runs(&arguments)
}

#[test]
fn the_cloudformation_template_has_a_queue_for_each_reader() {
    let text = "role: arn:aws:iam::222222222222:role/reader\ncluster: [shop, prod-*]\n";
    assert_snapshot!(template(text, &["--readers", "2"]), @r#"
    exit 0
    # Events for prometheus-ecs-sd: a rule, its queue, and a queue for what could not be delivered.
    # Deploy it in each region, and in each account, that is discovered; then start the program with
    # --event-queue and the ARN of each queue.
    # Accounts: the account of the program's credentials, 222222222222.
    AWSTemplateFormatVersion: "2010-09-09"
    Description: Events of Amazon ECS for prometheus-ecs-sd

    Parameters:
      Name:
        Type: String
        Default: prometheus-ecs-sd
        Description: The name of the rule and the queue, and the beginning of the other names

    Resources:
      DeadLetters:
        Type: AWS::SQS::Queue
        Properties:
          QueueName: !Sub "${Name}-dead-letters"
          MessageRetentionPeriod: 1209600
          SqsManagedSseEnabled: true

      Queue:
        Type: AWS::SQS::Queue
        Properties:
          QueueName: !Ref Name
          MessageRetentionPeriod: 3600
          VisibilityTimeout: 60
          ReceiveMessageWaitTimeSeconds: 20
          SqsManagedSseEnabled: true
          RedrivePolicy:
            deadLetterTargetArn: !GetAtt DeadLetters.Arn
            maxReceiveCount: 5

      Queue2:
        Type: AWS::SQS::Queue
        Properties:
          QueueName: !Sub "${Name}-2"
          MessageRetentionPeriod: 3600
          VisibilityTimeout: 60
          ReceiveMessageWaitTimeSeconds: 20
          SqsManagedSseEnabled: true
          RedrivePolicy:
            deadLetterTargetArn: !GetAtt DeadLetters.Arn
            maxReceiveCount: 5

      Rule:
        Type: AWS::Events::Rule
        Properties:
          Name: !Ref Name
          EventPattern: {"detail":{"clusterArn":[{"wildcard":"arn:*:cluster/shop"},{"wildcard":"arn:*:cluster/prod-*"}]},"detail-type":["ECS Task State Change"],"source":["aws.ecs"]}
          ScheduleExpression: rate(1 minute)
          State: ENABLED
          Targets:
            - Id: Queue
              Arn: !GetAtt Queue.Arn
              RetryPolicy: {MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 185}
              DeadLetterConfig: {Arn: !GetAtt DeadLetters.Arn}
            - Id: Queue2
              Arn: !GetAtt Queue2.Arn
              RetryPolicy: {MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 185}
              DeadLetterConfig: {Arn: !GetAtt DeadLetters.Arn}

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

      Queue2Policy:
        Type: AWS::SQS::QueuePolicy
        Properties:
          Queues: [!Ref Queue2]
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Principal: {Service: events.amazonaws.com}
                Action: sqs:SendMessage
                Resource: !GetAtt Queue2.Arn
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

    Outputs:
      QueueArn:
        Value: !GetAtt Queue.Arn
      QueueUrl:
        Value: !Ref Queue
      Queue2Arn:
        Value: !GetAtt Queue2.Arn
      Queue2Url:
        Value: !Ref Queue2
      DeadLettersArn:
        Value: !GetAtt DeadLetters.Arn
    "#);
}

#[test]
fn the_terraform_configuration_has_the_same() {
    let text = "role: arn:aws:iam::222222222222:role/reader\ncluster: [shop, prod-*]\n";
    assert_snapshot!(template(text, &["--readers", "2", "--format", "terraform"]), @r#"
    exit 0
    # Events for prometheus-ecs-sd: a rule, its queue, and a queue for what could not be delivered.
    # Deploy it in each region, and in each account, that is discovered; then start the program with
    # --event-queue and the ARN of each queue.
    # Accounts: the account of the program's credentials, 222222222222.
    # It needs release 3.72 of the AWS provider, or a later one.
    variable "name" {
      description = "The name of the rule and the queue, and the beginning of the other names"
      type        = string
      default     = "prometheus-ecs-sd"
    }

    resource "aws_sqs_queue" "dead_letters" {
      name                      = "${var.name}-dead-letters"
      message_retention_seconds = 1209600
      sqs_managed_sse_enabled   = true
    }

    resource "aws_sqs_queue_policy" "dead_letters" {
      queue_url = aws_sqs_queue.dead_letters.id
      policy = jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = "events.amazonaws.com" }
          Action    = "sqs:SendMessage"
          Resource  = aws_sqs_queue.dead_letters.arn
          Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.events.arn } }
        }]
      })
    }

    resource "aws_cloudwatch_event_rule" "events" {
      name                = var.name
      event_pattern       = "{\"detail\":{\"clusterArn\":[{\"wildcard\":\"arn:*:cluster/shop\"},{\"wildcard\":\"arn:*:cluster/prod-*\"}]},\"detail-type\":[\"ECS Task State Change\"],\"source\":[\"aws.ecs\"]}"
      schedule_expression = "rate(1 minute)"
    }

    resource "aws_sqs_queue" "events" {
      name                       = var.name
      message_retention_seconds  = 3600
      visibility_timeout_seconds = 60
      receive_wait_time_seconds  = 20
      sqs_managed_sse_enabled    = true
      redrive_policy = jsonencode({
        deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
        maxReceiveCount     = 5
      })
    }

    resource "aws_cloudwatch_event_target" "events" {
      rule      = aws_cloudwatch_event_rule.events.name
      target_id = "Queue"
      arn       = aws_sqs_queue.events.arn

      retry_policy {
        maximum_event_age_in_seconds = 3600
        maximum_retry_attempts       = 185
      }

      dead_letter_config {
        arn = aws_sqs_queue.dead_letters.arn
      }
    }

    resource "aws_sqs_queue_policy" "events" {
      queue_url = aws_sqs_queue.events.id
      policy = jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = "events.amazonaws.com" }
          Action    = "sqs:SendMessage"
          Resource  = aws_sqs_queue.events.arn
          Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.events.arn } }
        }]
      })
    }

    output "queue_arn" {
      value = aws_sqs_queue.events.arn
    }

    output "queue_url" {
      value = aws_sqs_queue.events.id
    }

    resource "aws_sqs_queue" "events2" {
      name                       = "${var.name}-2"
      message_retention_seconds  = 3600
      visibility_timeout_seconds = 60
      receive_wait_time_seconds  = 20
      sqs_managed_sse_enabled    = true
      redrive_policy = jsonencode({
        deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
        maxReceiveCount     = 5
      })
    }

    resource "aws_cloudwatch_event_target" "events2" {
      rule      = aws_cloudwatch_event_rule.events.name
      target_id = "Queue2"
      arn       = aws_sqs_queue.events2.arn

      retry_policy {
        maximum_event_age_in_seconds = 3600
        maximum_retry_attempts       = 185
      }

      dead_letter_config {
        arn = aws_sqs_queue.dead_letters.arn
      }
    }

    resource "aws_sqs_queue_policy" "events2" {
      queue_url = aws_sqs_queue.events2.id
      policy = jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Principal = { Service = "events.amazonaws.com" }
          Action    = "sqs:SendMessage"
          Resource  = aws_sqs_queue.events2.arn
          Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.events.arn } }
        }]
      })
    }

    output "queue2_arn" {
      value = aws_sqs_queue.events2.arn
    }

    output "queue2_url" {
      value = aws_sqs_queue.events2.id
    }

    output "dead_letters_arn" {
      value = aws_sqs_queue.dead_letters.arn
    }
    "#);
}

/// The comments and the pattern of a template.
fn selection(text: &str) -> String {
    let template = template(text, &[]);
    let is_shown = |line: &&str| line.starts_with('#') || line.contains("EventPattern");
    template.lines().filter(is_shown).map(str::trim_start).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_rule_delivers_the_events_of_all_clusters_if_a_pattern_cannot_select_them() {
    assert_snapshot!(selection("cluster: [shop, 'prod-?']\n"), @r#"
    # Events for prometheus-ecs-sd: a rule, its queue, and a queue for what could not be delivered.
    # Deploy it in each region, and in each account, that is discovered; then start the program with
    # --event-queue and the ARN of each queue.
    # The rule delivers the events of all clusters; those of others are ignored.
    EventPattern: {"detail-type":["ECS Task State Change"],"source":["aws.ecs"]}
    "#);
    let one_selects_all = "\
sources:
  - own_account: true
  - role: arn:aws:iam::222222222222:role/reader
    clusters: [shop]
";
    assert_snapshot!(selection(one_selects_all), @r#"
    # Events for prometheus-ecs-sd: a rule, its queue, and a queue for what could not be delivered.
    # Deploy it in each region, and in each account, that is discovered; then start the program with
    # --event-queue and the ARN of each queue.
    # Accounts: the account of the program's credentials, 222222222222.
    # The rule delivers the events of all clusters; those of others are ignored.
    EventPattern: {"detail-type":["ECS Task State Change"],"source":["aws.ecs"]}
    "#);
    let many: Vec<_> = (0..100).map(|number| format!("cluster-{number}")).collect();
    let selected = |count: usize| selection(&format!("cluster: [{}]\n", many[..count].join(", ")));
    assert!(selected(40).contains("cluster/cluster-39") && !selected(100).contains("clusterArn"));
}

#[test]
fn wildcards_in_a_row_become_one() {
    assert_snapshot!(selection("cluster: ['a**b', 'arn:aws:ecs:eu-west-1:123456789012:cluster/x']\n"), @r#"
    # Events for prometheus-ecs-sd: a rule, its queue, and a queue for what could not be delivered.
    # Deploy it in each region, and in each account, that is discovered; then start the program with
    # --event-queue and the ARN of each queue.
    EventPattern: {"detail":{"clusterArn":[{"wildcard":"arn:*:cluster/a*b"},"arn:aws:ecs:eu-west-1:123456789012:cluster/x"]},"detail-type":["ECS Task State Change"],"source":["aws.ecs"]}
    "#);
}

#[test]
fn a_rule_has_at_most_five_readers() {
    let refused = template("{}", &["--readers", "6"]);
    assert!(refused.starts_with("exit 2") && refused.contains("6 is not in 1..=5"), "{refused}");
}
