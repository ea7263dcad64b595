use super::super::trust::Trusting;
use super::super::{ATTEMPTS, Aws};
use super::*;
use crate::aws::tests::simulated::{assumed, over, own, world};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ecs_simulator::{Aws as SimulatedAws, Call, OWN_ACCESS_KEY, OWN_ACCOUNT, OWN_SECRET_KEY, Response};
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:events";
const USUAL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/events";
const GIVEN: &str = "https://sqs.eu-west-1.amazonaws.com/given/events";
const WAIT: Duration = Duration::from_secs(20);

fn address() -> QueueAddress {
    QueueAddress::parse(ARN).expect("an address")
}

fn ok(body: Value) -> Response {
    Response::json(200, body.to_string())
}

fn refusal(status: u16, code: &str) -> Response {
    Response::json(
        status,
        json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "Why not."}).to_string(),
    )
}

type Calls = Arc<Mutex<Vec<Call>>>;

/// An SQS that gives [`GIVEN`], unless `answer` answers, and the calls that it answers.
fn sqs(answer: impl Fn(&Call) -> Option<Response> + Send + Sync + 'static) -> (SimulatedAws, Calls) {
    let (simulated, calls) = (SimulatedAws::new(world()), Calls::default());
    let seen = calls.clone();
    simulated.on_call(move |call| {
        if call.service == "sts" {
            return None;
        }
        seen.lock().expect("no panic").push(call.clone());
        answer(call).or_else(|| {
            Some(if is(call, "GetQueueUrl") { ok(json!({"QueueUrl": GIVEN})) } else { ok(json!({})) })
        })
    });
    (simulated, calls)
}

fn is(call: &Call, operation: &str) -> bool {
    call.operation == operation
}

/// The calls since the last time, by operation, and what they said.
fn take(calls: &Calls) -> Vec<(String, Value)> {
    let calls = std::mem::take(&mut *calls.lock().expect("no panic"));
    calls.into_iter().map(|call| (call.operation, call.input)).collect()
}

fn operations(calls: &Calls) -> Vec<String> {
    take(calls).into_iter().map(|(operation, _)| operation).collect()
}

fn queue(simulated: &SimulatedAws) -> Queue {
    over(simulated).queue(&address()).expect("a region")
}

fn receipts(count: usize) -> Vec<Receipt> {
    (0..count).map(|number| Receipt(format!("receipt {number}"))).collect()
}

/// What is made of a body that ReceiveMessage answers with.
fn received(body: &str) -> Result<Vec<Message>, Failure> {
    messages(body.as_bytes())
}

#[tokio::test]
async fn a_queue_is_asked_for_its_url_once_and_for_messages_each_time() {
    let (simulated, calls) = sqs(|_| None);
    let queue = queue(&simulated);
    assert_eq!((queue.label(), queue.region(), queue.role()), ("eu-west-1/events".into(), "eu-west-1", None));
    for wait in [WAIT, 2 * WAIT, Duration::ZERO] {
        assert_eq!(queue.receive(wait).await, Ok(Vec::new()));
    }
    let receive = |wait: u64| {
        let request = json!({
            "QueueUrl": GIVEN, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait, "VisibilityTimeout": 60,
            "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
        });
        ("ReceiveMessage".to_owned(), request)
    };
    let url = json!({"QueueName": "events", "QueueOwnerAWSAccountId": "123456789012"});
    assert_eq!(take(&calls), [("GetQueueUrl".to_owned(), url), receive(20), receive(20), receive(0)]);
}

#[tokio::test]
async fn deletions_are_sent_ten_at_a_time_with_distinct_ids() {
    let (simulated, calls) = sqs(|_| None);
    assert_eq!(queue(&simulated).delete(receipts(23)).await, Ok(()));
    let batches: Vec<_> =
        take(&calls).into_iter().filter(|(operation, _)| operation == "DeleteMessageBatch").collect();
    let entries = batches.iter().map(|(_, request)| {
        assert_eq!(request["QueueUrl"], GIVEN);
        request["Entries"].as_array().expect("entries")
    });
    let entries: Vec<_> = entries.collect();
    assert_eq!(entries.iter().map(|entries| entries.len()).collect::<Vec<_>>(), [10, 10, 3]);
    let deleted = entries.iter().flat_map(|entries| *entries).map(|entry| entry["ReceiptHandle"].as_str());
    assert!(deleted.eq(receipts(23).iter().map(|Receipt(receipt)| Some(&**receipt))));
    for entries in entries {
        let ids: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry["Id"].as_str()).collect();
        assert_eq!(ids.len(), entries.len());
    }
}

#[tokio::test]
async fn messages_that_are_not_deleted_are_a_failure_and_the_others_are_deleted() {
    let (simulated, calls) = sqs(|call| {
        is(call, "DeleteMessageBatch").then(|| {
            ok(json!({"Successful": [{"Id": "1"}], "Failed": [
                {"Id": "0", "Code": "ReceiptHandleIsInvalid", "SenderFault": true, "Message": "hunter2"},
                {"Id": "2", "Code": 5}, null,
            ]}))
        })
    });
    let failure = queue(&simulated).delete(receipts(11)).await.expect_err("four are left");
    let expected = "DeleteMessageBatch: ReceiptHandleIsInvalid: 4 of 11 messages were not deleted";
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Unavailable, expected));
    assert_eq!(operations(&calls), ["GetQueueUrl", "DeleteMessageBatch", "DeleteMessageBatch"]);
}

#[tokio::test]
async fn without_permission_for_the_url_the_usual_one_is_used() {
    let (simulated, calls) =
        sqs(|call| is(call, "GetQueueUrl").then(|| refusal(403, "AccessDeniedException")));
    let queue = queue(&simulated);
    for _ in 0..2 {
        assert_eq!(queue.receive(WAIT).await, Ok(Vec::new()));
    }
    let calls = take(&calls);
    let operations: Vec<_> = calls.iter().map(|(operation, _)| &**operation).collect();
    assert_eq!(operations, ["GetQueueUrl", "ReceiveMessage", "ReceiveMessage"]);
    assert!(calls[1..].iter().all(|(_, request)| request["QueueUrl"] == USUAL), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_may_pass_leaves_the_url_to_be_asked_for_again() {
    let (simulated, calls) = sqs(|call| is(call, "GetQueueUrl").then(|| refusal(403, "RequestThrottled")));
    let queue = queue(&simulated);
    let rounds = 2;
    for _ in 0..rounds {
        assert_eq!(queue.receive(WAIT).await, Ok(Vec::new()));
    }
    let operations = operations(&calls);
    let asked = operations.iter().filter(|operation| *operation == "GetQueueUrl").count();
    assert_eq!((asked, operations.len()), (rounds * ATTEMPTS as usize, rounds * (ATTEMPTS as usize + 1)));
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_not_found_and_is_asked_for_again() {
    let (simulated, calls) = sqs(|call| is(call, "GetQueueUrl").then(|| refusal(400, "QueueDoesNotExist")));
    let queue = queue(&simulated);
    for _ in 0..2 {
        let failure = queue.receive(WAIT).await.expect_err("no queue");
        let expected = "GetQueueUrl: QueueDoesNotExist: Why not.";
        assert_eq!((failure.kind, &*failure.message), (FailureKind::NotFound, expected));
    }
    assert_eq!(operations(&calls), ["GetQueueUrl"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_awaited_for_35_seconds_and_not_sent_again() {
    let (simulated, calls) = sqs(|_| None);
    let queue = queue(&simulated);
    queue.receive(WAIT).await.expect("an answer");
    simulated.set_latency(Duration::from_secs(34));
    queue.receive(WAIT).await.expect("an answer");
    simulated.set_latency(Duration::from_secs(36));
    operations(&calls);
    let began = tokio::time::Instant::now();
    let failure = queue.receive(WAIT).await.expect_err("too late");
    assert_eq!(failure.message, "ReceiveMessage: timeout: no whole answer within 35 s");
    assert_eq!(began.elapsed().as_secs(), 35);
    // The simulator answers nobody who is gone.
    assert_eq!(operations(&calls), [""; 0]);
    simulated.set_latency(Duration::from_secs(11));
    let failure = queue.delete(receipts(1)).await.expect_err("too late");
    assert_eq!(failure.message, "DeleteMessageBatch: timeout: no whole answer within 10 s");
}

#[tokio::test(start_paused = true)]
async fn only_requests_that_do_not_wait_are_retried() {
    let (simulated, calls) = sqs(|call| (!is(call, "GetQueueUrl")).then(|| refusal(500, "InternalError")));
    let queue = queue(&simulated);
    queue.receive(WAIT).await.expect_err("a failure");
    assert_eq!(operations(&calls), ["GetQueueUrl", "ReceiveMessage"]);
    queue.delete(receipts(20)).await.expect_err("a failure");
    assert_eq!(operations(&calls), ["DeleteMessageBatch"; ATTEMPTS as usize]);
}

#[tokio::test]
async fn a_queue_is_read_with_the_credentials_of_its_source_or_else_with_the_base_credentials() {
    let mut world = world();
    world.allow_role("arn:aws:iam::222222222222:role/discovery/reader", None);
    let simulated = SimulatedAws::new(world);
    let accounts = Arc::new(Mutex::new(Vec::new()));
    let seen = accounts.clone();
    simulated.on_call(move |call| {
        (call.service != "sts").then(|| {
            seen.lock().expect("no panic").push((call.account.clone(), call.region.clone()));
            ok(json!({"QueueUrl": GIVEN}))
        })
    });
    let mut far = address();
    far.region = Some("us-east-1".to_owned());
    let aws = over(&simulated);
    let assumed = assumed(&simulated, None).await;
    let queues = [assumed.queue(&address()), own(&simulated).await.queue(&address())];
    for queue in queues.into_iter().chain(aws.queue(&far)) {
        queue.receive(WAIT).await.expect("an answer");
        let accounts = std::mem::take(&mut *accounts.lock().expect("no panic"));
        let account = queue.role().map_or(OWN_ACCOUNT, RoleArn::account);
        assert_eq!(accounts, vec![(account.to_owned(), queue.region().to_owned()); 2]);
    }
}

#[test]
fn an_answer_may_have_no_messages_but_is_an_object() {
    for body in ["{}", r#"{"Messages": []}"#, r#"{"Messages": null}"#, r#"{"Messages": [null, {}]}"#] {
        assert_eq!(received(body), Ok(Vec::new()), "{body}");
    }
    for (body, why) in [
        ("", "it ends too early"),
        (r#"{"Messages": [{"Body": "hunter2"#, "it ends too early"),
        ("<html>hunter2", "it is not JSON"),
        ("[]", "a value is of another type than AWS documents"),
        ("[null]", "a value is of another type than AWS documents"),
        ("null", "a value is of another type than AWS documents"),
        (r#""hunter2""#, "a value is of another type than AWS documents"),
        (r#"{"Messages": {"hunter2": 1}}"#, "a value is of another type than AWS documents"),
    ] {
        let failure = received(body).expect_err(body);
        let expected = format!("ReceiveMessage: the answer cannot be used: {why}");
        assert_eq!((failure.kind, failure.message), (FailureKind::Unavailable, expected), "{body}");
    }
}

#[test]
fn a_message_without_a_receipt_is_skipped_and_does_not_affect_the_others() {
    let body = json!({"Messages": [
        {"MessageId": "1", "ReceiptHandle": "r1", "Body": "{\"a\": \"\u{fc}\"}", "MD5OfBody": "x",
         "Attributes": {"SentTimestamp": "1683037174520", "ApproximateReceiveCount": "3"}},
        {"MessageId": "2", "Body": "x"},
        {"MessageId": "3", "ReceiptHandle": "", "Body": "x"},
        {"MessageId": "4", "ReceiptHandle": 4, "Body": "x"},
        {"MessageId": "5", "ReceiptHandle": "r5", "Attributes": {"SentTimestamp": "soon"}},
    ]});
    let first = Message {
        id: "1".into(),
        receipt: Receipt("r1".into()),
        body: "{\"a\": \"ü\"}".into(),
        sent: Some(Duration::from_millis(1_683_037_174_520)),
        receive_count: 3,
    };
    let last = Message {
        id: "5".into(),
        receipt: Receipt("r5".into()),
        body: String::new(),
        sent: None,
        receive_count: 1,
    };
    assert!(!format!("{first:?}").contains('ü'));
    assert_eq!(received(&body.to_string()), Ok(vec![first, last]));
}

/// Answers one request over TCP, and says what its head was.
async fn one_request(listener: TcpListener) -> String {
    let (mut connection, _) = listener.accept().await.expect("a connection");
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    while !request.ends_with(b"}") {
        let length = connection.read(&mut chunk).await.expect("a request");
        request.extend_from_slice(&chunk[..length]);
    }
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        .await
        .expect("an answer is taken");
    String::from_utf8(request).expect("text")
}

#[tokio::test]
async fn a_url_that_is_not_of_sqs_is_used_as_it_is_wherever_sqs_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let server = tokio::spawn(one_request(listener));
    let http = SharedHttpClient::new(Trusting::system());
    let aws = Aws::isolated(http, "eu-west-1", OWN_ACCESS_KEY, OWN_SECRET_KEY);
    let url = format!("http://{host}/queue/000000000000/events");
    let address = QueueAddress::parse(&url).expect("an address");
    let queue = aws.queue(&address).expect("a region");
    assert_eq!(queue.receive(Duration::ZERO).await, Ok(Vec::new()));
    assert_eq!(queue.label(), "eu-west-1/events");
    let request = server.await.expect("a request");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
    for header in [
        format!("host: {host}"),
        "content-type: application/x-amz-json-1.0".to_owned(),
        "x-amz-target: amazonsqs.receivemessage".to_owned(),
    ] {
        assert!(head.lines().any(|line| line == header), "{header}: {head}");
    }
    assert!(head.contains("/eu-west-1/sqs/aws4_request"), "{head}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["QueueUrl"], *url);
}

#[tokio::test]
async fn a_receipt_is_sent_again_once_if_the_credentials_are_refused() {
    for (refusals, sent) in [(1, 2), (2, 2)] {
        let left = Mutex::new(refusals);
        let (simulated, calls) = sqs(move |call| {
            let mut left = left.lock().expect("no panic");
            let is_refused = is(call, "ReceiveMessage") && *left > 0;
            is_refused.then(|| {
                *left -= 1;
                refusal(403, "ExpiredTokenException")
            })
        });
        let received = queue(&simulated).receive(WAIT).await;
        assert_eq!(
            received.map_err(|failure| failure.kind),
            match refusals {
                1 => Ok(Vec::new()),
                _ => Err(FailureKind::NoCredentials),
            }
        );
        assert_eq!(operations(&calls).len(), 1 + sent);
    }
}

#[tokio::test]
async fn a_fips_or_vpc_endpoint_is_asked_whatever_the_settings_for_endpoints() {
    for url in [
        "https://sqs-fips.eu-west-1.amazonaws.com/123456789012/events",
        "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/123456789012/events",
    ] {
        let (simulated, calls) = sqs(|_| None);
        let mut aws = over(&simulated);
        aws.config = aws.config.to_builder().use_fips(true).build();
        let address = QueueAddress::parse(url).expect("an address");
        let queue = aws.queue(&address).expect("a region");
        assert_eq!(queue.shared.endpoint.url(), url.strip_suffix("/123456789012/events"));
        assert_eq!(queue.receive(WAIT).await, Ok(Vec::new()));
        assert_eq!(take(&calls)[0].1["QueueUrl"], url);
    }
}
