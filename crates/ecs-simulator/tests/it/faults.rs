//! The fault kit: which calls are hit, what is left of their answers, and that healing ends it.

use std::time::Duration;

use ecs_simulator::{Aws, Calls, Damage, Delivery, Fault, HostKind, OWN_ACCOUNT, Request, Response, World};
use serde_json::json;

use crate::{REGION, element, fargate, json_request, query_request, read};

fn list_tasks(cluster: &str) -> Request {
    json_request("AmazonEC2ContainerServiceV20141113.ListTasks", &json!({"cluster": cluster}))
}

/// A world with a host, and the answer that names it.
fn hosts() -> (Aws, Request) {
    let mut world = World::new(1);
    world.own(REGION).launch_host("c", HostKind::Ec2);
    (Aws::new(world), query_request("ec2", "Action=DescribeInstances"))
}

#[test]
fn a_fault_hits_the_calls_it_is_for_until_it_is_healed() {
    let (aws, _) = fargate(1);
    let status = |request: &Request| aws.answer(request).status;
    let [c, d] = ["c", "d"].map(list_tasks);
    aws.change(|world| world.own(REGION).cluster("d").status.clone());
    for (calls, hits) in [
        (Calls::all(), [true, true]),
        (Calls::of("ListTasks"), [true, true]),
        (Calls::of("ListClusters"), [false, false]),
        (Calls::of("ListTasks").in_cluster("c"), [true, false]),
        (Calls::all().in_account(OWN_ACCOUNT).in_region(REGION).in_cluster("d"), [false, true]),
        (Calls::all().in_account("222222222222"), [false, false]),
        (Calls::all().in_region("us-east-1"), [false, false]),
        (Calls::all().after(1), [false, true]),
    ] {
        aws.inject(Fault::Unavailable, calls.clone());
        assert_eq!([&c, &d].map(|request| status(request) == 503), hits, "{calls:?}");
        aws.heal();
        assert_eq!([&c, &d].map(status), [200, 200]);
    }
}

#[test]
fn a_batch_is_hit_whole_for_one_of_its_ids() {
    let (aws, _) = fargate(2);
    let ecs = |operation: &str, input| {
        aws.answer(&json_request(&format!("AmazonEC2ContainerServiceV20141113.{operation}"), &input)).status
    };
    let arn = |name: &str| format!("arn:aws:ecs:{REGION}:{OWN_ACCOUNT}:cluster/{name}");
    aws.inject(Fault::Denied, Calls::all().in_cluster("c"));
    for (clusters, status) in [(json!(["d", "c"]), 400), (json!([arn("c")]), 400), (json!(["d", "cc"]), 200)]
    {
        assert_eq!(ecs("DescribeClusters", json!({"clusters": clusters})), status);
    }
    aws.heal();
    let tasks = aws.change(|world| world.own(REGION).clusters["c"].tasks.keys().cloned().collect::<Vec<_>>());
    let last_part = tasks[1].rsplit('/').next().unwrap();
    aws.inject(Fault::Denied, Calls::of("DescribeTasks").asking_for(last_part));
    for (tasks, status) in [(json!(tasks), 400), (json!([last_part]), 400), (json!([tasks[0]]), 200)] {
        assert_eq!(ecs("DescribeTasks", json!({"cluster": "c", "tasks": tasks})), status);
    }
}

#[test]
fn a_share_of_the_calls_is_about_that_and_the_same_each_time() {
    let hit = |share, seed| {
        let (aws, _) = fargate(1);
        aws.inject(Fault::Throttled, Calls::of("ListTasks").share(share, seed));
        (0..400).map(|_| aws.answer(&list_tasks("c")).status == 400).collect::<Vec<_>>()
    };
    let count = |hits: &[bool]| hits.iter().filter(|hit| **hit).count();
    assert_eq!(hit(0.5, 1), hit(0.5, 1));
    assert_ne!(hit(0.5, 1), hit(0.5, 2));
    assert!((160..=240).contains(&count(&hit(0.5, 1))) && (20..=60).contains(&count(&hit(0.1, 1))));
    assert_eq!((count(&hit(0.0, 1)), count(&hit(1.0, 1))), (0, 400));
}

#[test]
fn broken_answers_keep_what_their_fault_leaves_of_them() {
    let (aws, request) = hosts();
    let whole = aws.answer(&request).text();
    let spoilt = |fault| {
        aws.heal();
        aws.inject(fault, Calls::all());
        aws.answer(&request)
    };
    let cut = spoilt(Fault::CutShort);
    assert_eq!((cut.status, cut.text()), (200, whole[..whole.len() / 2].to_owned()));
    let page = spoilt(Fault::NotJsonOrXml);
    assert_eq!((page.status, &*page.headers["content-type"]), (200, "text/html"));
    assert_eq!(spoilt(Fault::ResetMidBody).delivery, Delivery::Reset);
    assert_eq!(spoilt(Fault::NeverEnds).delivery, Delivery::Stalled);
    assert_eq!(spoilt(Fault::ConnectionRefused).delivery, Delivery::Refused);
    for (fault, code) in [
        (Fault::Throttled, "RequestLimitExceeded"),
        (Fault::Denied, "UnauthorizedOperation"),
        (Fault::Expired, "RequestExpired"),
        (Fault::ServerError, "InternalError"),
        (Fault::Unavailable, "Unavailable"),
    ] {
        assert_eq!(element(&spoilt(fault).text(), "Code"), Some(code));
    }
}

#[test]
fn a_listing_without_end_gives_its_first_page_again_and_again() {
    let (aws, arns) = fargate(1);
    let page = |token: Option<&str>| {
        let input = json!({"cluster": "c", "nextToken": token});
        read(&aws.answer(&json_request("AmazonEC2ContainerServiceV20141113.ListTasks", &input))).1
    };
    let tokens = |fault| {
        aws.heal();
        aws.inject(fault, Calls::of("ListTasks"));
        let mut tokens = vec![];
        for _ in 0..3 {
            let page = page(tokens.last().map(String::as_str));
            assert_eq!(page["taskArns"], json!(arns));
            tokens.push(page["nextToken"].as_str().unwrap().to_owned());
        }
        tokens
    };
    assert_eq!(tokens(Fault::SameTokenForEver), ["for-ever"; 3]);
    assert_eq!(tokens(Fault::NewTokenForEver), ["for-ever-0", "for-ever-1", "for-ever-2"]);
    aws.inject(Fault::ServerError, Calls::of("ListTasks").for_further_pages());
    assert_eq!(page(None)["taskArns"], json!(arns));
    assert_eq!(page(Some("for-ever-2"))["__type"], "ServerException");
    let (aws, request) = hosts();
    aws.inject(Fault::SameTokenForEver, Calls::of("DescribeInstances"));
    assert_eq!(element(&aws.answer(&request).text(), "nextToken"), Some("for-ever"));
}

#[test]
fn fields_are_found_and_damaged_in_json_and_in_xml() {
    let (aws, arns) = fargate(2);
    let target = "AmazonEC2ContainerServiceV20141113.DescribeTasks";
    let answer = || aws.answer(&json_request(target, &json!({"cluster": "c", "tasks": arns})));
    let field = "tasks.containers.networkInterfaces.privateIpv4Address";
    assert!(answer().fields().contains(field) && answer().fields().contains("failures"));
    let addresses = |damage, within: &str| {
        let mut response = answer();
        response.damage(field, damage, within);
        let body = read(&response).1;
        [0, 1].map(|task| {
            let interface = &body["tasks"][task]["containers"][0]["networkInterfaces"][0];
            interface["privateIpv4Address"].as_str().map(str::to_owned)
        })
    };
    let whole = addresses(Damage::Unheard, "no task that there is");
    assert_eq!(addresses(Damage::Absent, &arns[0]), [None, whole[1].clone()]);
    assert_eq!(addresses(Damage::Empty, ""), [Some(String::new()), Some(String::new())]);
    assert_eq!(addresses(Damage::Unheard, &arns[1]), [whole[0].clone(), Some("UNHEARD_OF".to_owned())]);

    let (aws, request) = hosts();
    let xml = aws.answer(&request);
    let field = "reservationSet.instancesSet.privateIpAddress";
    assert!(xml.fields().contains(field), "{:?}", xml.fields());
    let mut damaged = xml.clone();
    damaged.damage(field, Damage::Unheard, "");
    assert_eq!(
        element(&damaged.text(), "privateDnsName"),
        element(&xml.text(), "privateDnsName"),
        "{}",
        damaged.text()
    );
    assert!(damaged.text().contains("<privateIpAddress>UNHEARD_OF</privateIpAddress>"));
    damaged.damage("reservationSet", Damage::Absent, "");
    assert!(damaged.text().starts_with("<?xml") && !damaged.text().contains("reservationSet"));
}

#[test]
fn items_become_failures() {
    let (aws, arns) = fargate(2);
    let target = "AmazonEC2ContainerServiceV20141113.DescribeTasks";
    let mut response = aws.answer(&json_request(target, &json!({"cluster": "c", "tasks": arns})));
    response.fail("MISSING", |arn| arn == arns[0]);
    let body = read(&response).1;
    assert_eq!(body["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(body["failures"], json!([{"arn": arns[0], "reason": "MISSING"}]));
    let mut refusal = Response::json(400, r#"{"tasks":[]}"#);
    refusal.fail("MISSING", |_| true);
    assert_eq!(refusal.text(), r#"{"tasks":[]}"#);
}

#[test]
fn faults_come_over_a_socket_too() {
    let (aws, _) = fargate(1);
    let url = aws.clone().serve_on_loopback().unwrap();
    let address = url.strip_prefix("http://").unwrap();
    let get = || {
        let request = list_tasks("c");
        let mut head =
            format!("POST / HTTP/1.0\r\nhost: {address}\r\ncontent-length: {}\r\n", request.body.len());
        for (name, value) in &request.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        std::io::Write::write_all(&mut stream, &[format!("{head}\r\n").as_bytes(), &request.body].concat())
            .unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).map(|_| answer)
    };
    let body = |answer: String| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    let whole = body(get().unwrap());
    aws.inject(Fault::CutShort, Calls::all());
    assert_eq!(body(get().unwrap()), whole[..whole.len() / 2]);
    aws.heal();
    aws.inject(Fault::ConnectionRefused, Calls::all());
    assert!(!get().is_ok_and(|answer| answer.contains("taskArns")));
}
