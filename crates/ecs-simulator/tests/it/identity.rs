//! Whose request it is: access keys, roles, and requests that no one signed.

use ecs_simulator::{Aws, Clock, OWN_ACCESS_KEY, Placement, Request, World};
use serde_json::json;

use crate::{REGION, element, json_request, query_request, read, register};

const ROLE: &str = "arn:aws:iam::222222222222:role/prometheus";

fn assume(aws: &Aws, more: &str) -> ecs_simulator::Response {
    aws.answer(&query_request("sts", &format!("Action=AssumeRole&RoleSessionName=s&RoleArn={ROLE}{more}")))
}

#[test]
fn an_assumed_role_sees_its_own_account() {
    let mut world = World::new(1);
    world.clock = Clock::Fixed(1_772_323_199); // 2026-02-28T23:59:59Z
    world.allow_role(ROLE, Some("shared secret"));
    let region = world.region("222222222222", REGION);
    let definition = register(region);
    let arn = region.run("c", &definition, Placement::Fargate);
    let aws = Aws::new(world);
    let xml = assume(&aws, "&ExternalId=shared+secret").text();
    assert_eq!(element(&xml, "Expiration"), Some("2026-03-01T00:59:59Z"));
    let key = element(&xml, "AccessKeyId").unwrap();
    let target = "AmazonEC2ContainerServiceV20141113.ListTasks";
    let request = json_request(target, &json!({"cluster": "c"})).signed(key, REGION, "ecs");
    assert_eq!(read(&aws.answer(&request)).1["taskArns"], json!([arn]));
    let request = query_request("sts", "Action=GetCallerIdentity").signed(key, REGION, "sts");
    assert_eq!(element(&aws.answer(&request).text(), "Account"), Some("222222222222"));
    let accounts: Vec<_> = aws.take_calls().into_iter().map(|call| call.account).collect();
    assert_eq!(accounts, ["111111111111", "222222222222", "222222222222"]);
}

#[test]
fn a_role_that_is_not_there_or_wants_another_id_is_denied() {
    let mut world = World::new(1);
    let nobody = assume(&Aws::new(world.clone()), "");
    world.allow_role(ROLE, Some("right"));
    let wrong = assume(&Aws::new(world), "&ExternalId=wrong");
    for response in [nobody, wrong] {
        let xml = response.text();
        assert_eq!((response.status, element(&xml, "Code")), (403, Some("AccessDenied")));
        assert!(xml.starts_with("<ErrorResponse") && xml.contains("<Error><Type>Sender</Type>"), "{xml}");
    }
}

#[test]
fn unsigned_requests_and_unknown_keys_are_refused_in_each_services_words() {
    let aws = Aws::new(World::new(1));
    let requests = || {
        [
            json_request("AmazonEC2ContainerServiceV20141113.ListClusters", &json!({})),
            json_request("AmazonSSM.DescribeInstanceInformation", &json!({})),
            query_request("ec2", "Action=DescribeInstances"),
            query_request("sts", "Action=GetCallerIdentity"),
        ]
    };
    let code = |request: &Request| {
        let response = aws.answer(request);
        let body = response.text();
        let code = element(&body, "Code").map(str::to_owned);
        code.unwrap_or_else(|| read(&response).1["__type"].as_str().unwrap().to_owned())
    };
    let unsigned = requests().map(|mut request| {
        request.headers.remove("authorization");
        code(&request)
    });
    let missing = ["MissingAuthenticationTokenException", "MissingAuthenticationToken"];
    assert_eq!(unsigned, [missing[0], missing[0], missing[1], missing[1]]);
    let unknown = requests().map(|request| code(&request.signed("AKIANOBODY", REGION, "any")));
    let invalid = "UnrecognizedClientException";
    assert_eq!(unknown, [invalid, invalid, "AuthFailure", "InvalidClientTokenId"]);
    assert_eq!(
        requests().map(|request| aws.answer(&request.signed(OWN_ACCESS_KEY, REGION, "any")).status),
        [200; 4]
    );
}

#[test]
fn a_session_that_has_ended_is_refused_as_expired_until_the_role_is_assumed_again() {
    let mut world = World::new(1);
    world.allow_role(ROLE, None);
    let aws = Aws::new(world);
    let key = || element(&assume(&aws, "").text(), "AccessKeyId").unwrap().to_owned();
    let listed = |key: &str| {
        let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
        let answer = read(&aws.answer(&json_request(target, &json!({})).signed(key, REGION, "ecs"))).1;
        answer["__type"].as_str().map(str::to_owned)
    };
    let first = key();
    assert_eq!(listed(&first), None);
    aws.change(World::end_sessions);
    let second = key();
    assert_eq!((listed(&first).as_deref(), listed(&second)), (Some("ExpiredTokenException"), None));
    aws.change(World::end_sessions);
    let expired = [&first, &second].map(|key| listed(key).is_some());
    assert_eq!((expired, listed(&key())), ([true, true], None));
    assert_eq!(aws.take_calls().last().unwrap().account, "222222222222");
}

#[test]
fn a_request_that_was_signed_at_another_time_is_refused_with_the_time_it_is() {
    let aws = Aws::new(World::new(1));
    let signed = |date: &str| {
        let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
        aws.answer(&json_request(target, &json!({})).header("X-Amz-Date", date))
    };
    for date in ["20200101T000000Z", "29990101T000000Z", "yesterday"] {
        let refused = signed(date);
        assert_eq!(read(&refused).1["__type"], "InvalidSignatureException", "{date}");
        assert!(refused.headers["date"].ends_with(" GMT"), "{:?}", refused.headers);
    }
    aws.change(|world| world.clock = Clock::Fixed(1_800_000_000));
    assert!(!signed("20200101T000000Z").headers.contains_key("date"));
    assert_eq!(signed("20200101T000000Z").status, 200);
}
