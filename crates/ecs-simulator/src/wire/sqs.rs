//! SQS over awsJson1.0: the three calls that read a queue. Only the queue's own account may read it.
//!
//! The calls do not wait: [`crate::long_poll`] decides when a receive is answered.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::refusal::Refusal;
use super::{clock, text};
use crate::call::Call;
use crate::http::Response;
use crate::world::World;
use crate::world::queue::{Deleted, Queue, Received};

/// How many messages a receive gives, and how many entries a delete takes.
const MAX_BATCH: u64 = 10;
/// How long a receive may wait, in seconds.
const MAX_WAIT: u64 = 20;
/// How long a message may be hidden, in seconds: twelve hours.
const MAX_VISIBILITY: u64 = 43_200;
/// How long a message is hidden if the receive does not say, in seconds: the visibility timeout of the queue, as our
/// documentation sets it.
const VISIBILITY: u64 = 60;

/// Errors of SQS's own model; all others are common to AWS's services.
const OWN_ERRORS: [&str; 9] = [
    "BatchEntryIdsNotDistinct",
    "EmptyBatchRequest",
    "KmsAccessDenied",
    "KmsThrottled",
    "OverLimit",
    "QueueDoesNotExist",
    "ReceiptHandleIsInvalid",
    "RequestThrottled",
    "TooManyEntriesInBatchRequest",
];

/// How many entries a request has.
pub(super) fn asked(input: &Value) -> usize {
    input["Entries"].as_array().map_or(0, Vec::len)
}

/// The answer's body.
pub(super) fn answer(call: &Call, world: &mut World) -> Result<String, Refusal> {
    let answer = match call.operation.as_str() {
        "GetQueueUrl" => get_queue_url(call, world)?,
        "ReceiveMessage" => receive(call, world)?,
        "DeleteMessageBatch" => delete(call, world)?,
        _ => return Err(Refusal::new(400, "UnknownOperationException", "")),
    };
    Ok(answer.to_string())
}

/// An error of SQS. Its type has a prefix, and a header has the code that the older Query protocol uses.
pub(super) fn error(status: u16, code: &str, message: &str) -> Response {
    let prefix = if OWN_ERRORS.contains(&code) { "com.amazonaws.sqs" } else { "com.amazon.coral.service" };
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    let query_code = match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        "BatchEntryIdsNotDistinct" => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "EmptyBatchRequest" => "AWS.SimpleQueueService.EmptyBatchRequest",
        "TooManyEntriesInBatchRequest" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "KmsAccessDenied" => "KMS.AccessDeniedException",
        "KmsThrottled" => "KMS.ThrottlingException",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        code => code.trim_end_matches("Exception"),
    };
    let body = json!({"__type": format!("{prefix}#{code}"), "message": message});
    let mut response = json(status, body.to_string());
    response.headers.insert("x-amzn-query-error".to_owned(), format!("{query_code};{fault}"));
    response
}

/// A body in SQS's version of the protocol.
pub(super) fn json(status: u16, body: String) -> Response {
    let mut response = Response::json(status, body);
    response.headers.insert("content-type".to_owned(), "application/x-amz-json-1.0".to_owned());
    response
}

/// How long a call waits for a message: the `WaitTimeSeconds` of a receive.
pub(crate) fn wait_time(call: &Call) -> Duration {
    let is_receive = call.service == "sqs" && call.operation == "ReceiveMessage";
    let seconds = call.input["WaitTimeSeconds"].as_u64().filter(|seconds| is_receive && *seconds <= MAX_WAIT);
    Duration::from_secs(seconds.unwrap_or(0))
}

/// Whether a receive can be answered now, or when a received message is visible again.
pub(crate) enum Readiness {
    /// There is a message, or the call is refused.
    Now,
    /// There is no message; without a time, only a new one ends the waiting.
    Not(Option<Instant>),
}

/// Whether a receive can be answered now.
pub(crate) fn readiness(call: &Call, world: &World, now: Instant) -> Readiness {
    let own = account_and_name(call).ok().filter(|(account, _)| *account == call.account);
    let region = world.accounts.get(&call.account).and_then(|account| account.regions.get(&call.region));
    let queue = own.zip(region).and_then(|((_, name), region)| region.queues.get(name));
    match queue.filter(|queue| !queue.has_ready(now)) {
        Some(empty) => Readiness::Not(empty.next_visible()),
        None => Readiness::Now,
    }
}

fn get_queue_url(call: &Call, world: &mut World) -> Result<Value, Refusal> {
    let name = text(&call.input, "QueueName").ok_or_else(|| missing_parameter("QueueName"))?;
    let account = text(&call.input, "QueueOwnerAWSAccountId").unwrap_or(&call.account);
    Ok(json!({"QueueUrl": queue(call, world, account, name)?.url}))
}

fn receive(call: &Call, world: &mut World) -> Result<Value, Refusal> {
    let count = number(call, "MaxNumberOfMessages", 1, 1..=MAX_BATCH)?;
    let visibility = number(call, "VisibilityTimeout", VISIBILITY, 0..=MAX_VISIBILITY)?;
    number(call, "WaitTimeSeconds", 0, 0..=MAX_WAIT)?;
    let now = clock::moment(world);
    let (account, name) = account_and_name(call)?;
    let queue = queue(call, world, account, name)?;
    let (received, dead) = queue.receive(count as usize, Duration::from_secs(visibility));
    if let Some(name) = queue.dead_letter_queue.clone().filter(|_| !dead.is_empty()) {
        let dead_letter_queue = world.region(account, &call.region).queues.get_mut(&name);
        if let Some(queue) = dead_letter_queue {
            dead.into_iter().for_each(|body| queue.send(body));
        }
    }
    // AWS leaves the list out if it is empty.
    if received.is_empty() {
        return Ok(json!({}));
    }
    let messages: Vec<_> = received.into_iter().map(|received| message(call, now, received)).collect();
    Ok(json!({"Messages": messages}))
}

fn message(call: &Call, now: Duration, received: Received) -> Value {
    let Received { id, handle, body, sent, receives } = received;
    let asked = call.input["MessageSystemAttributeNames"].as_array();
    let is_asked =
        |name: &str| asked.is_some_and(|names| names.iter().any(|asked| asked == name || asked == "All"));
    let sent = now.saturating_sub(sent.elapsed()).as_millis();
    let attributes = [("ApproximateReceiveCount", receives.to_string()), ("SentTimestamp", sent.to_string())];
    let attributes = attributes.into_iter().filter(|(name, _)| is_asked(name));
    let attributes: Map<_, _> = attributes.map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut message = json!({"MessageId": id, "ReceiptHandle": handle, "Body": body});
    if !attributes.is_empty() {
        message["Attributes"] = attributes.into();
    }
    message
}

fn delete(call: &Call, world: &mut World) -> Result<Value, Refusal> {
    let entries = call.input["Entries"].as_array().map_or(&[][..], Vec::as_slice);
    let field = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = entries.iter().map(|entry| field(entry, "Id")).collect();
    let (account, name) = account_and_name(call)?;
    let queue = queue(call, world, account, name)?;
    let refuse = |code, message| Err(Refusal::new(400, code, message));
    if entries.is_empty() {
        return refuse("EmptyBatchRequest", "There should be at least one entry in the request.");
    }
    if entries.len() as u64 > MAX_BATCH {
        return refuse("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10.");
    }
    if ids.len() < entries.len() {
        return refuse("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.");
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        let id = field(entry, "Id");
        let mut fail =
            |code, is_sender: bool| failed.push(json!({"Id": id, "Code": code, "SenderFault": is_sender}));
        match queue.delete(&field(entry, "ReceiptHandle")) {
            Deleted::Yes => successful.push(json!({"Id": id})),
            Deleted::InvalidHandle => fail("ReceiptHandleIsInvalid", true),
            Deleted::Failed => fail("InternalError", false),
        }
    }
    let lists = [("Successful", successful), ("Failed", failed)].into_iter();
    let lists = lists.filter(|(_, list)| !list.is_empty());
    Ok(Value::Object(lists.map(|(name, list)| (name.to_owned(), list.into())).collect()))
}

/// A number of the input, or its default.
fn number(call: &Call, name: &str, default: u64, allowed: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let value = call.input.get(name).map_or(Some(default), Value::as_u64);
    value.filter(|value| allowed.contains(value)).ok_or_else(|| {
        let message = format!("Value for parameter {name} is invalid.");
        Refusal::new(400, "InvalidParameterValueException", &message)
    })
}

/// The account and the name of the queue: the last parts of the path of its URL, whatever the host.
fn account_and_name(call: &Call) -> Result<(&str, &str), Refusal> {
    let url = text(&call.input, "QueueUrl").ok_or_else(|| missing_parameter("QueueUrl"))?;
    let mut parts = url.rsplit('/');
    let (name, account) = parts.next().zip(parts.next()).ok_or_else(does_not_exist)?;
    Ok((account, name))
}

/// The queue in the call's region, if the call's account may read it.
fn queue<'a>(call: &Call, world: &'a mut World, account: &str, name: &str) -> Result<&'a mut Queue, Refusal> {
    let region = world.accounts.get_mut(account).and_then(|account| account.regions.get_mut(&call.region));
    let queue = region.and_then(|region| region.queues.get_mut(name)).ok_or_else(does_not_exist)?;
    if account == call.account {
        return Ok(queue);
    }
    let operation = call.operation.to_lowercase();
    let message = format!(
        "User: arn:aws:iam::{}:user/prometheus is not authorized to perform: sqs:{operation} on resource: {} because \
         no resource-based policy allows the sqs:{operation} action",
        call.account, queue.arn
    );
    Err(Refusal::new(403, "AccessDeniedException", &message))
}

fn does_not_exist() -> Refusal {
    Refusal::new(400, "QueueDoesNotExist", "The specified queue does not exist.")
}

fn missing_parameter(name: &str) -> Refusal {
    let message = format!("The request must contain the parameter {name}.");
    Refusal::new(400, "MissingParameterException", &message)
}
