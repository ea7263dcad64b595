//! A queue as its reader sees it: receives, visibility, long polling, deletes, dead letters and errors.

use std::time::Duration;

use ecs_simulator::{Aws, Calls, Fault, OWN_ACCOUNT, Outcome, Request, Response, World};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, advance};

use crate::{REGION, element, json_request, query_request, read};

const ROLE: &str = "arn:aws:iam::222222222222:role/prometheus";

/// A world with one queue.
pub(crate) fn with_queue() -> (Aws, String) {
    let mut world = World::new(1);
    let arn = world.own(REGION).create_queue("events");
    (Aws::new(world), arn)
}

pub(crate) fn request(operation: &str, mut input: Value) -> Request {
    if operation != "GetQueueUrl" && input["QueueUrl"].is_null() {
        input["QueueUrl"] = json!(format!("https://sqs.{REGION}.amazonaws.com/{OWN_ACCOUNT}/events"));
    }
    json_request(&format!("AmazonSQS.{operation}"), &input)
}

fn sqs(aws: &Aws, operation: &str, input: Value) -> Value {
    read(&aws.answer(&request(operation, input))).1
}

/// The bodies that a receive gives.
fn bodies(answer: &Value) -> Vec<&str> {
    let messages = answer["Messages"].as_array().into_iter().flatten();
    messages.map(|message| message["Body"].as_str().unwrap()).collect()
}

fn send(aws: &Aws, texts: &[&str]) {
    aws.change(|world| texts.iter().for_each(|text| world.own(REGION).queue("events").send(*text)));
}

fn depth(aws: &Aws, queue: &str) -> usize {
    aws.change(|world| world.own(REGION).queue(queue).depth())
}

fn delete(aws: &Aws, handles: &[&Value]) -> Value {
    let entries = handles.iter().enumerate();
    let entries = entries.map(|(id, handle)| json!({"Id": id.to_string(), "ReceiptHandle": handle}));
    sqs(aws, "DeleteMessageBatch", json!({"Entries": entries.collect::<Vec<_>>()}))
}

#[tokio::test(start_paused = true)]
async fn a_message_is_received_hidden_received_again_and_deleted() {
    let (aws, arn) = with_queue();
    assert_eq!(arn, format!("arn:aws:sqs:{REGION}:{OWN_ACCOUNT}:events"));
    let url = sqs(&aws, "GetQueueUrl", json!({"QueueName": "events", "QueueOwnerAWSAccountId": OWN_ACCOUNT}));
    assert_eq!(url, json!({"QueueUrl": format!("https://sqs.{REGION}.amazonaws.com/{OWN_ACCOUNT}/events")}));
    send(&aws, &["hello"]);
    let attributes = json!({"MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"]});
    let first = sqs(&aws, "ReceiveMessage", attributes.clone());
    let message = &first["Messages"][0];
    assert_eq!(
        (&message["Body"], &message["Attributes"]["ApproximateReceiveCount"]),
        (&json!("hello"), &json!("1"))
    );
    assert_eq!(sqs(&aws, "ReceiveMessage", json!({})), json!({}));
    advance(Duration::from_secs(59)).await;
    assert_eq!(sqs(&aws, "ReceiveMessage", json!({})), json!({}));
    advance(Duration::from_secs(1)).await;
    let again = sqs(&aws, "ReceiveMessage", attributes);
    let again = &again["Messages"][0];
    assert_eq!(again["Attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(again["MessageId"], message["MessageId"]);
    let sent =
        |message: &Value| message["Attributes"]["SentTimestamp"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(sent(message).abs_diff(sent(again)) < 1_000, "{message} {again}");
    // The first handle is not the last one any more.
    assert_eq!(delete(&aws, &[&message["ReceiptHandle"]]), json!({"Successful": [{"Id": "0"}]}));
    assert_eq!(depth(&aws, "events"), 1);
    assert_eq!(
        delete(&aws, &[&again["ReceiptHandle"], &json!("made up")]),
        json!({
            "Successful": [{"Id": "0"}],
            "Failed": [{"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": true}],
        })
    );
    assert_eq!(depth(&aws, "events"), 0);
    assert_eq!(
        aws.take_ledger().to_string(),
        "sqs DeleteMessageBatch 2\nsqs GetQueueUrl 1\nsqs ReceiveMessage 4\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receive_gives_at_most_ten_and_shuffles_on_demand() {
    let (aws, _) = with_queue();
    let texts: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let received = |shuffle: Option<u64>| {
        aws.change(|world| {
            let queue = world.own(REGION).queue("events");
            queue.purge();
            queue.shuffle = shuffle;
            texts.iter().for_each(|text| queue.send(*text));
        });
        let mut all = Vec::new();
        for count in [10, 2] {
            let answer = sqs(&aws, "ReceiveMessage", json!({"MaxNumberOfMessages": 10}));
            assert_eq!(bodies(&answer).len(), count);
            all.extend(bodies(&answer).into_iter().map(str::to_owned));
        }
        all
    };
    assert_eq!(received(None), texts);
    let mut shuffled = received(Some(7));
    assert_ne!(shuffled, texts);
    shuffled.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(shuffled, texts);
    assert_eq!(
        sqs(&aws, "ReceiveMessage", json!({"MaxNumberOfMessages": 11}))["__type"],
        "com.amazon.coral.service#InvalidParameterValueException"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receive_waits_for_a_message_or_for_its_time() {
    let (aws, _) = with_queue();
    let long = request("ReceiveMessage", json!({"WaitTimeSeconds": 20}));
    let begun = Instant::now();
    assert_eq!(aws.answer_in_time(&long).await.text(), "{}");
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    // A message ends the waiting, and meanwhile other calls are answered.
    let begun = Instant::now();
    let sender = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(sqs(&aws, "GetQueueUrl", json!({"QueueName": "events"}))["__type"], Value::Null);
        send(&aws, &["hello"]);
    };
    let (answer, ()) = tokio::join!(aws.answer_in_time(&long), sender);
    assert_eq!((bodies(&read(&answer).1), begun.elapsed()), (vec!["hello"], Duration::from_secs(3)));
    // So does a received message that is visible again.
    advance(Duration::from_secs(50)).await;
    let begun = Instant::now();
    assert_eq!(bodies(&read(&aws.answer_in_time(&long).await).1), ["hello"]);
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stops_waiting_takes_no_message() {
    let (aws, _) = with_queue();
    let long = request("ReceiveMessage", json!({"WaitTimeSeconds": 20}));
    let cut = tokio::time::timeout(Duration::from_secs(5), aws.answer_in_time(&long)).await;
    assert!(cut.is_err());
    send(&aws, &["hello"]);
    assert_eq!(bodies(&read(&aws.answer_in_time(&long).await).1), ["hello"]);
    let outcomes: Vec<_> = aws.take_calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused("connection closed by the caller".to_owned()), Outcome::Answered]);
}

#[tokio::test]
async fn over_http_a_call_that_waits_keeps_no_other_waiting() {
    let (aws, _) = with_queue();
    let served = aws.clone();
    let url = std::thread::spawn(|| served.serve_on_loopback().unwrap()).join().unwrap();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let post = |request: Request| {
        let address = address.clone();
        async move {
            let mut head = format!("POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
            head += &format!("content-length: {}\r\n", request.body.len());
            for (name, value) in &request.headers {
                head += &format!("{name}: {value}\r\n");
            }
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(&[format!("{head}\r\n").as_bytes(), &request.body].concat()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    };
    let waiting = post(request("ReceiveMessage", json!({"WaitTimeSeconds": 20})));
    let other = async {
        for _ in 0..3 {
            assert!(post(request("GetQueueUrl", json!({"QueueName": "events"}))).await.contains("QueueUrl"));
        }
        send(&aws, &["hello"]);
    };
    let (answer, ()) = tokio::join!(waiting, other);
    assert!(
        answer.contains("\"Body\":\"hello\"") && answer.contains("application/x-amz-json-1.0"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_received_five_times_and_not_deleted_becomes_a_dead_letter() {
    let (aws, _) = with_queue();
    send(&aws, &["poison"]);
    for _ in 0..5 {
        assert_eq!(bodies(&sqs(&aws, "ReceiveMessage", json!({}))), ["poison"]);
        advance(Duration::from_secs(60)).await;
    }
    assert_eq!(sqs(&aws, "ReceiveMessage", json!({})), json!({}));
    assert_eq!((depth(&aws, "events"), depth(&aws, "events-dead-letters")), (0, 1));
    let dead = aws.change(|world| world.own(REGION).queue("events-dead-letters").bodies().join(","));
    assert_eq!(dead, "poison");
}

#[tokio::test(start_paused = true)]
async fn messages_stay_for_an_hour() {
    let (aws, _) = with_queue();
    send(&aws, &["old"]);
    advance(Duration::from_secs(3_600)).await;
    send(&aws, &["new"]);
    assert_eq!(bodies(&sqs(&aws, "ReceiveMessage", json!({"MaxNumberOfMessages": 10}))), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_fails_leaves_the_message() {
    let (aws, _) = with_queue();
    send(&aws, &["hello"]);
    aws.change(|world| world.own(REGION).queue("events").fail_deletes = 1);
    let handle = sqs(&aws, "ReceiveMessage", json!({}))["Messages"][0]["ReceiptHandle"].clone();
    let failed = json!({"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": false}]});
    assert_eq!(delete(&aws, &[&handle]), failed);
    assert_eq!(depth(&aws, "events"), 1);
    assert_eq!(delete(&aws, &[&handle]), json!({"Successful": [{"Id": "0"}]}));
    assert_eq!(depth(&aws, "events"), 0);
    let entry = json!({"Id": "same", "ReceiptHandle": handle});
    for (entries, code) in [
        (json!([]), "EmptyBatchRequest"),
        (json!([entry, entry]), "BatchEntryIdsNotDistinct"),
        (json!(vec![entry; 11]), "TooManyEntriesInBatchRequest"),
    ] {
        let refused = sqs(&aws, "DeleteMessageBatch", json!({"Entries": entries}));
        assert_eq!(refused["__type"], format!("com.amazonaws.sqs#{code}"));
    }
}

#[test]
fn errors_have_a_type_and_the_code_of_the_older_protocol() {
    let (aws, _) = with_queue();
    let error = |response: &Response| {
        let kind = read(response).1["__type"].as_str().unwrap().to_owned();
        (response.status, kind, response.headers["x-amzn-query-error"].clone())
    };
    let missing = json!({"QueueUrl": format!("https://sqs.{REGION}.amazonaws.com/{OWN_ACCOUNT}/gone")});
    let expected = (
        400,
        "com.amazonaws.sqs#QueueDoesNotExist".to_owned(),
        "AWS.SimpleQueueService.NonExistentQueue;Sender".to_owned(),
    );
    assert_eq!(error(&aws.answer(&request("ReceiveMessage", missing))), expected);
    assert_eq!(error(&aws.answer(&request("GetQueueUrl", json!({"QueueName": "gone"})))), expected);
    // A queue of another region.
    let elsewhere =
        request("ReceiveMessage", json!({})).signed(ecs_simulator::OWN_ACCESS_KEY, "us-east-1", "sqs");
    assert_eq!(error(&aws.answer(&elsewhere)), expected);
    aws.change(|world| world.own(REGION).delete_queue("events"));
    assert_eq!(error(&aws.answer(&request("ReceiveMessage", json!({})))), expected);
    let calls = aws.take_calls();
    assert_eq!(calls[0].outcome, Outcome::Refused("QueueDoesNotExist".to_owned()));
    for (fault, status, kind, code) in [
        (Fault::Throttled, 400, "com.amazonaws.sqs#RequestThrottled", "RequestThrottled;Sender"),
        (Fault::Denied, 403, "com.amazon.coral.service#AccessDeniedException", "AccessDenied;Sender"),
        (Fault::ServerError, 500, "com.amazon.coral.service#InternalFailure", "InternalFailure;Receiver"),
        (
            Fault::Unavailable,
            503,
            "com.amazon.coral.service#ServiceUnavailableException",
            "ServiceUnavailable;Receiver",
        ),
    ] {
        aws.heal();
        aws.inject(fault, Calls::of("ReceiveMessage").asking_for("events"));
        let found = error(&aws.answer(&request("ReceiveMessage", json!({}))));
        assert_eq!(found, (status, kind.to_owned(), code.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_fault_answers_neither_waits_nor_receives_and_one_whose_answer_breaks_has_received() {
    let (aws, _) = with_queue();
    let long = request("ReceiveMessage", json!({"WaitTimeSeconds": 20}));
    let begun = Instant::now();
    for fault in [Fault::Throttled, Fault::ServerError, Fault::NotJsonOrXml, Fault::ConnectionRefused] {
        aws.heal();
        aws.inject(fault, Calls::of("ReceiveMessage"));
        let empty = aws.answer_in_time(&long).await;
        send(&aws, &["hello"]);
        assert_eq!(aws.answer_in_time(&long).await, empty, "{fault:?}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(aws.change(|world| world.own(REGION).queue("events").in_flight()), 0);
    aws.heal();
    aws.inject(Fault::CutShort, Calls::of("ReceiveMessage"));
    assert!(serde_json::from_slice::<Value>(&aws.answer_in_time(&long).await.body).is_err());
    assert_eq!(aws.change(|world| world.own(REGION).queue("events").in_flight()), 1);
}

#[test]
fn only_the_queues_own_account_reads_it() {
    let mut world = World::new(1);
    world.allow_role(ROLE, None);
    world.region("222222222222", REGION).create_queue("events");
    let aws = Aws::new(world);
    let url = json!({"QueueUrl": format!("https://sqs.{REGION}.amazonaws.com/222222222222/events")});
    let receive = request("ReceiveMessage", url);
    let denied = aws.answer(&receive);
    assert_eq!(denied.status, 403);
    assert_eq!(read(&denied).1["__type"], "com.amazon.coral.service#AccessDeniedException");
    let owner = json!({"QueueName": "events", "QueueOwnerAWSAccountId": "222222222222"});
    assert_eq!(aws.answer(&request("GetQueueUrl", owner.clone())).status, 403);
    let assumed =
        aws.answer(&query_request("sts", &format!("Action=AssumeRole&RoleSessionName=s&RoleArn={ROLE}")));
    let key = element(&assumed.text(), "AccessKeyId").unwrap().to_owned();
    assert_eq!(read(&aws.answer(&receive.signed(&key, REGION, "sqs"))), (200, json!({})));
    assert_eq!(aws.answer(&request("GetQueueUrl", owner).signed(&key, REGION, "sqs")).status, 200);
    let unknown = aws.answer(&request("ReceiveMessage", json!({})).signed("AKIANOBODY", REGION, "sqs"));
    assert_eq!(
        (unknown.status, &*unknown.headers["x-amzn-query-error"]),
        (403, "InvalidClientTokenId;Sender")
    );
}
