//! How requests are metered.

use std::time::Duration;

use ecs_simulator::{Aws, LIMITS, OWN_ACCESS_KEY, Request, Response, World};
use serde_json::json;
use tokio::time::advance;

use crate::{REGION, json_request, query_request};

fn ecs(operation: &str) -> Request {
    json_request(&format!("AmazonEC2ContainerServiceV20141113.{operation}"), &json!({}))
}

/// Two accounts with limits.
fn metered() -> (Aws, String) {
    let mut world = World::new(1);
    let role = "arn:aws:iam::222222222222:role/r";
    world.allow_role(role, None);
    world.own(REGION);
    let aws = Aws::new(world);
    let assumed =
        aws.answer(&query_request("sts", &format!("Action=AssumeRole&RoleSessionName=s&RoleArn={role}")));
    let key = crate::element(&assumed.text(), "AccessKeyId").unwrap().to_owned();
    aws.enforce_limits();
    (aws, key)
}

/// How many of so many requests at once are not throttled.
fn admitted(aws: &Aws, request: &Request, count: usize) -> usize {
    let throttled = |response: &Response| {
        ["ThrottlingException", "RequestLimitExceeded"].iter().any(|code| response.text().contains(code))
    };
    (0..count).filter(|_| !throttled(&aws.answer(request))).count()
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_drained_and_fills_steadily_up_to_its_size() {
    let (aws, _) = metered();
    let request = ecs("DescribeTaskDefinition");
    assert_eq!(admitted(&aws, &request, 60), 50);
    for (milliseconds, expected) in [(0, 0), (49, 0), (1, 1), (75, 1), (75, 2), (1_000, 20), (3_600_000, 50)]
    {
        advance(Duration::from_millis(milliseconds)).await;
        assert_eq!(admitted(&aws, &request, 60), expected, "after {milliseconds} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn operations_of_a_class_share_a_bucket_and_classes_regions_and_accounts_do_not() {
    let (aws, key) = metered();
    assert_eq!(admitted(&aws, &ecs("ListTasks"), 60), 60);
    assert_eq!(admitted(&aws, &ecs("DescribeTasks"), 60), 40);
    assert_eq!(admitted(&aws, &ecs("DescribeContainerInstances"), 60), 0);
    assert_eq!(admitted(&aws, &ecs("ListTasks").signed(OWN_ACCESS_KEY, "us-east-1", "ecs"), 1), 1);
    assert_eq!(admitted(&aws, &ecs("ListTasks").signed(&key, REGION, "ecs"), 1), 1);
    let ec2 = query_request("ec2", "Action=DescribeInstances");
    let ssm = json_request("AmazonSSM.DescribeInstanceInformation", &json!({}));
    let sts = query_request("sts", "Action=GetCallerIdentity");
    let each = [(&ecs("ListClusters"), 50), (&ec2, 100), (&ssm, 5), (&sts, 200)];
    for (request, expected) in each {
        assert_eq!(admitted(&aws, request, 200), expected, "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_is_refused_in_the_services_words_and_written_down() {
    let (aws, _) = metered();
    aws.take_ledger();
    admitted(&aws, &ecs("ListClusters"), 51);
    admitted(&aws, &query_request("ec2", "Action=DescribeInstances"), 102);
    assert_eq!(
        aws.take_ledger().to_string(),
        "ec2 DescribeInstances 102, 2 refused\necs ListClusters 51, 1 refused\n"
    );
    let last = |request: &Request| {
        (aws.answer(request).status, crate::element(&aws.answer(request).text(), "Code").map(str::to_owned))
    };
    assert_eq!(last(&ecs("ListClusters")), (400, None));
    assert_eq!(
        last(&query_request("ec2", "Action=DescribeInstances")),
        (503, Some("RequestLimitExceeded".to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_sees_calls_that_are_too_many_and_its_answers_are_metered_too() {
    let (aws, _) = metered();
    aws.on_call(|call| Some(Response::denied(call)));
    assert_eq!(admitted(&aws, &ecs("ListClusters"), 60), 60);
    aws.heal();
    assert_eq!(admitted(&aws, &ecs("ListClusters"), 60), 0);
}

#[test]
fn every_metered_operation_is_one_that_there_is() {
    let aws = Aws::new(World::new(1));
    for limit in &LIMITS {
        for operation in limit.operations {
            let request = match limit.service {
                "ecs" => ecs(operation),
                "ssm" => json_request(&format!("AmazonSSM.{operation}"), &json!({})),
                service => query_request(service, &format!("Action={operation}")),
            };
            let answer = aws.answer(&request).text();
            assert!(
                !["UnknownOperation", "InvalidAction"].iter().any(|code| answer.contains(code)),
                "{answer}"
            );
        }
    }
}
