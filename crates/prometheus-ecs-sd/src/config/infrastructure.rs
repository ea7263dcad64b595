//! What events need in AWS: a rule, a queue for each reader, a queue for what cannot be delivered, and their policies.
//! One description makes both forms.
//!
//! The rule has a schedule besides its pattern, so that silence of the whole path is noticed.

use ecs_discovery::inventory::selection::ClusterPattern;
use serde_json::{Value, json};

use super::Config;

/// A rule has at most this number of targets, and each reader needs a separate queue.
pub(crate) const MAX_READERS: u8 = 5;

/// The longest event pattern that EventBridge accepts.
const MAX_PATTERN: usize = 2048;

/// An older event is worth nothing after a refresh.
const RETENTION: u32 = 3600;
/// Far more than reading a message takes.
const VISIBILITY: u32 = 60;
const WAIT: u32 = 20;
/// The default of EventBridge. Terraform would say none if it were left out.
const RETRIES: u32 = 185;
/// What could not be delivered is kept for people, as long as SQS keeps anything.
const DEAD_LETTER_RETENTION: u32 = 14 * 24 * 3600;
/// How often a message is received before it is set aside.
const MAX_RECEIVES: u32 = 5;

/// The form of the template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A CloudFormation template in YAML
    #[default]
    Cloudformation,
    /// Terraform configuration
    Terraform,
}

/// The template for the clusters of this configuration.
pub(crate) fn event_infrastructure(config: &Config, format: Format, readers: u8) -> String {
    let pattern = pattern(config);
    let note = note(config, pattern.get("detail").is_some());
    match format {
        Format::Cloudformation => cloudformation(&note, &pattern, readers),
        Format::Terraform => terraform(&note, &pattern, readers),
    }
}

/// The events that are delivered: of the named clusters, if every account names some.
fn pattern(config: &Config) -> Value {
    let all = json!({"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"]});
    let mut clusters = Vec::new();
    for account in &config.accounts {
        let patterns = account.clusters.patterns();
        // EventBridge cannot say that one character may be any.
        if patterns.is_empty() || patterns.iter().any(|pattern| pattern.as_str().contains('?')) {
            return all;
        }
        let cluster = |pattern: &ClusterPattern| match pattern {
            ClusterPattern::Arn(arn) => json!(arn.as_str()),
            ClusterPattern::Name(name) => json!({"wildcard": format!("arn:*:cluster/{name}")}),
            // Two wildcards in a row are refused.
            ClusterPattern::Glob(glob) => json!({"wildcard": format!("arn:*:cluster/{}", single(glob))}),
        };
        clusters.extend(
            patterns.iter().map(cluster).filter(|cluster| !clusters.contains(cluster)).collect::<Vec<_>>(),
        );
    }
    let mut narrow = all.clone();
    narrow["detail"] = json!({"clusterArn": clusters});
    if narrow.to_string().len() > MAX_PATTERN { all } else { narrow }
}

fn single(glob: &str) -> String {
    let mut single = glob.to_owned();
    while single.contains("**") {
        single = single.replace("**", "*");
    }
    single
}

fn note(config: &Config, is_narrow: bool) -> Vec<String> {
    let mut note = vec![
        "Events for prometheus-ecs-sd: a rule, its queue, and a queue for what could not be delivered."
            .to_owned(),
        "Deploy it in each region, and in each account, that is discovered; then start the program with"
            .to_owned(),
        "--event-queue and the ARN of each queue.".to_owned(),
    ];
    let roles: Vec<_> = config.accounts.iter().filter_map(|account| account.role.as_ref()).collect();
    if !roles.is_empty() {
        let accounts: Vec<_> = roles.iter().map(|role| role.account()).collect();
        let own = config.accounts.iter().any(|account| account.role.is_none());
        let own = if own { "the account of the program's credentials, " } else { "" };
        note.push(format!("Accounts: {own}{}.", accounts.join(", ")));
    }
    if !is_narrow && config.accounts.iter().any(|account| !account.clusters.patterns().is_empty()) {
        note.push("The rule delivers the events of all clusters; those of others are ignored.".to_owned());
    }
    note
}

fn comments(note: &[String]) -> String {
    note.iter().map(|line| format!("# {line}\n")).collect()
}

/// The numbers behind the names of the queues: none for the first one.
fn numbers(readers: u8) -> impl Iterator<Item = String> {
    (1..=readers).map(|number| if number == 1 { String::new() } else { number.to_string() })
}

fn cloudformation(note: &[String], pattern: &Value, readers: u8) -> String {
    let mut resources = String::new();
    let mut targets = String::new();
    let mut statements = String::new();
    let mut outputs = String::new();
    for number in numbers(readers) {
        let name = match &*number {
            "" => "!Ref Name".to_owned(),
            _ => format!("!Sub \"${{Name}}-{number}\""),
        };
        resources += &format!(
            "  Queue{number}:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: {name}
      MessageRetentionPeriod: {RETENTION}
      VisibilityTimeout: {VISIBILITY}
      ReceiveMessageWaitTimeSeconds: {WAIT}
      SqsManagedSseEnabled: true
      RedrivePolicy:
        deadLetterTargetArn: !GetAtt DeadLetters.Arn
        maxReceiveCount: {MAX_RECEIVES}

"
        );
        targets += &format!(
            "        - Id: Queue{number}
          Arn: !GetAtt Queue{number}.Arn
          RetryPolicy: {{MaximumEventAgeInSeconds: {RETENTION}, MaximumRetryAttempts: {RETRIES}}}
          DeadLetterConfig: {{Arn: !GetAtt DeadLetters.Arn}}
"
        );
        statements += &cloudformation_policy(&format!("Queue{number}"));
        outputs += &format!(
            "  Queue{number}Arn:
    Value: !GetAtt Queue{number}.Arn
  Queue{number}Url:
    Value: !Ref Queue{number}
"
        );
    }
    statements += &cloudformation_policy("DeadLetters");
    let comments = comments(note);
    format!(
        "{comments}AWSTemplateFormatVersion: \"2010-09-09\"
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
      QueueName: !Sub \"${{Name}}-dead-letters\"
      MessageRetentionPeriod: {DEAD_LETTER_RETENTION}
      SqsManagedSseEnabled: true

{resources}  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: !Ref Name
      EventPattern: {pattern}
      ScheduleExpression: rate(1 minute)
      State: ENABLED
      Targets:
{targets}
{statements}Outputs:
{outputs}  DeadLettersArn:
    Value: !GetAtt DeadLetters.Arn
"
    )
}

fn cloudformation_policy(queue: &str) -> String {
    format!(
        "  {queue}Policy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref {queue}]
      PolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - Effect: Allow
            Principal: {{Service: events.amazonaws.com}}
            Action: sqs:SendMessage
            Resource: !GetAtt {queue}.Arn
            Condition: {{ArnEquals: {{\"aws:SourceArn\": !GetAtt Rule.Arn}}}}

"
    )
}

fn terraform(note: &[String], pattern: &Value, readers: u8) -> String {
    let mut parts = String::new();
    for number in numbers(readers) {
        // `terraform fmt` objects to a text with nothing but a variable.
        let name = match &*number {
            "" => "var.name".to_owned(),
            _ => format!("\"${{var.name}}-{number}\""),
        };
        parts += &format!(
            "resource \"aws_sqs_queue\" \"events{number}\" {{
  name                       = {name}
  message_retention_seconds  = {RETENTION}
  visibility_timeout_seconds = {VISIBILITY}
  receive_wait_time_seconds  = {WAIT}
  sqs_managed_sse_enabled    = true
  redrive_policy = jsonencode({{
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = {MAX_RECEIVES}
  }})
}}

resource \"aws_cloudwatch_event_target\" \"events{number}\" {{
  rule      = aws_cloudwatch_event_rule.events.name
  target_id = \"Queue{number}\"
  arn       = aws_sqs_queue.events{number}.arn

  retry_policy {{
    maximum_event_age_in_seconds = {RETENTION}
    maximum_retry_attempts       = {RETRIES}
  }}

  dead_letter_config {{
    arn = aws_sqs_queue.dead_letters.arn
  }}
}}

"
        );
        parts += &terraform_policy(&format!("events{number}"));
        parts += &format!(
            "output \"queue{number}_arn\" {{
  value = aws_sqs_queue.events{number}.arn
}}

output \"queue{number}_url\" {{
  value = aws_sqs_queue.events{number}.id
}}

"
        );
    }
    let dead_letters = terraform_policy("dead_letters");
    let (comments, pattern) = (comments(note), Value::from(pattern.to_string()));
    format!(
        "{comments}# It needs release 3.72 of the AWS provider, or a later one.
variable \"name\" {{
  description = \"The name of the rule and the queue, and the beginning of the other names\"
  type        = string
  default     = \"prometheus-ecs-sd\"
}}

resource \"aws_sqs_queue\" \"dead_letters\" {{
  name                      = \"${{var.name}}-dead-letters\"
  message_retention_seconds = {DEAD_LETTER_RETENTION}
  sqs_managed_sse_enabled   = true
}}

{dead_letters}resource \"aws_cloudwatch_event_rule\" \"events\" {{
  name                = var.name
  event_pattern       = {pattern}
  schedule_expression = \"rate(1 minute)\"
}}

{parts}output \"dead_letters_arn\" {{
  value = aws_sqs_queue.dead_letters.arn
}}
"
    )
}

fn terraform_policy(queue: &str) -> String {
    format!(
        "resource \"aws_sqs_queue_policy\" \"{queue}\" {{
  queue_url = aws_sqs_queue.{queue}.id
  policy = jsonencode({{
    Version = \"2012-10-17\"
    Statement = [{{
      Effect    = \"Allow\"
      Principal = {{ Service = \"events.amazonaws.com\" }}
      Action    = \"sqs:SendMessage\"
      Resource  = aws_sqs_queue.{queue}.arn
      Condition = {{ ArnEquals = {{ \"aws:SourceArn\" = aws_cloudwatch_event_rule.events.arn }} }}
    }}]
  }})
}}

"
    )
}
