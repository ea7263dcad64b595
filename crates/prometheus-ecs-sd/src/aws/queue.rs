//! One queue of SQS: its URL, the messages that it has, and their deletion.
//!
//! It does not know what a message means, and retries nothing that waits, except with renewed credentials: its reader
//! asks again. A message that is not deleted is received again after its visibility timeout.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use axum::http::Uri;
use ecs_discovery::arn::RoleArn;
use ecs_discovery::failure::{Failure, FailureKind};
use serde::{Deserialize, Serialize};

use super::call::{DELETE_MESSAGE_BATCH, GET_QUEUE_URL, RECEIVE_MESSAGE};
use super::endpoint::ServiceEndpoint;
use super::failure::{Refusal, failure};
use super::json::{Fields, Text, lacking, one, optional_batch, text};
use super::operation::{Body, Operation};
use super::session::Session;
use crate::config::QueueAddress;

/// The longest that SQS waits for a message.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// So long no other reader receives a message that was received: many times what reading it takes.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(60);

/// Longer than any code of SQS, of which a failure names one.
const MAX_CODE: usize = 80;

const MESSAGES: Fields = Fields { items: "Messages", id: "MessageId", next: "NextToken" };
const FAILED: Fields = Fields { items: "Failed", id: "Id", next: "NextToken" };

/// A queue and the credentials that it is read with. A clone is the same queue.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

struct Shared {
    address: QueueAddress,
    region: String,
    role: Option<RoleArn>,
    endpoint: ServiceEndpoint,
    url: OnceLock<String>,
    get_queue_url: Operation,
    receive_message: Operation,
    delete_message_batch: Operation,
}

/// A message that was received.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, which is the same each time it is received.
    pub id: String,
    /// What it is deleted by.
    pub receipt: Receipt,
    /// Its text: an event, or anything else. It may have secrets.
    pub body: String,
    /// When it was sent, since the Unix epoch; `None` if SQS does not say so.
    pub sent: Option<Duration>,
    /// How often it was received, this time included.
    pub receive_count: u64,
}

/// What a message is deleted by, which is another each time the message is received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt(String);

/// Without its body, which may have secrets.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, sent, receive_count, .. } = self;
        let mut shown = f.debug_struct("Message");
        shown.field("id", id).field("sent", sent).field("receive_count", receive_count);
        shown.finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(session: &Session, address: &QueueAddress) -> Self {
        let service = &RECEIVE_MESSAGE.service;
        let elsewhere = address.url.as_deref().and_then(origin).map(|origin| session.at(&origin));
        let session = elsewhere.as_ref().unwrap_or(session);
        let client = session.client(service);
        let shared = Shared {
            address: address.clone(),
            region: session.region.clone(),
            role: session.role.clone(),
            endpoint: session.endpoint(service),
            url: address.url.clone().map(OnceLock::from).unwrap_or_default(),
            get_queue_url: client.operation(&GET_QUEUE_URL),
            receive_message: client.operation(&RECEIVE_MESSAGE),
            delete_message_batch: client.operation(&DELETE_MESSAGE_BATCH),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Where it is.
    pub fn address(&self) -> &QueueAddress {
        &self.shared.address
    }

    /// What logs and metrics call it: `REGION/NAME`.
    pub fn label(&self) -> String {
        format!("{}/{}", self.shared.region, self.shared.address.name)
    }

    /// The region in which it is read.
    pub fn region(&self) -> &str {
        &self.shared.region
    }

    /// The role whose credentials it is read with, if any.
    pub fn role(&self) -> Option<&RoleArn> {
        self.shared.role.as_ref()
    }

    /// Receives up to ten messages, after `wait` at the latest; that is counted in whole seconds, at most 20. One request,
    /// or two if AWS refuses the credentials, and before the first one that for the URL.
    pub async fn receive(&self, wait: Duration) -> Result<Vec<Message>, Failure> {
        let Shared { receive_message, .. } = &*self.shared;
        let url = self.url().await?;
        let request = ReceiveMessage {
            queue_url: &url,
            max_number_of_messages: RECEIVE_MESSAGE.limit,
            wait_time_seconds: wait.min(MAX_WAIT).as_secs(),
            visibility_timeout: VISIBILITY_TIMEOUT.as_secs(),
            message_system_attribute_names: ["SentTimestamp", "ApproximateReceiveCount"],
        };
        let mut answer = receive_message.send(body(&request)).await;
        // The refused credentials are dropped, so that the next request has others. If the clock was wrong, it is
        // corrected.
        if answer.as_ref().is_err_and(is_of_credentials) {
            answer = receive_message.send(body(&request)).await;
        }
        let answer = answer.map_err(|error| failure(RECEIVE_MESSAGE.operation, self.role(), &error));
        messages(answer?.bytes())
    }

    /// Deletes messages, ten with each request. A failure says how many were not deleted, unless a whole request fails: the
    /// rest is not sent then.
    pub async fn delete(&self, receipts: Vec<Receipt>) -> Result<(), Failure> {
        let url = self.url().await?;
        let mut refused = Vec::new();
        for batch in receipts.chunks(DELETE_MESSAGE_BATCH.limit) {
            let entries = batch.iter().enumerate();
            let entries = entries.map(|(id, Receipt(receipt))| Entry { id: id.to_string(), receipt });
            let request = DeleteMessageBatch { queue_url: &url, entries: entries.collect() };
            let answer = self.send(&self.shared.delete_message_batch, &request).await?;
            refused.extend(failed(answer.bytes())?);
        }
        match refused.first() {
            None => Ok(()),
            Some(code) => Err(Failure {
                kind: FailureKind::Unavailable,
                message: format!(
                    "{}: {code}: {} of {} messages were not deleted",
                    DELETE_MESSAGE_BATCH.operation,
                    refused.len(),
                    receipts.len()
                ),
            }),
        }
    }

    /// The URL, which is asked for until it is known. If SQS refuses to say it for another reason than that there is no
    /// such queue, the usual URL is used: the permission for this operation is not needed.
    async fn url(&self) -> Result<String, Failure> {
        let Shared { url, address, role, get_queue_url, .. } = &*self.shared;
        if let Some(url) = url.get() {
            return Ok(url.clone());
        }
        let request =
            GetQueueUrl { queue_name: &address.name, queue_owner_aws_account_id: address.account.as_deref() };
        let answer = get_queue_url.send(body(&request)).await;
        let (found, is_final) = match answer {
            Ok(answer) => (queue_url(answer.bytes())?, true),
            Err(error) => {
                let failure = failure(GET_QUEUE_URL.operation, role.as_ref(), &error);
                let is_refusal = error.raw_response().is_some()
                    && !matches!(failure.kind, FailureKind::NotFound | FailureKind::NoCredentials);
                // A denial lasts, and everything else may pass.
                let is_final = failure.kind == FailureKind::Denied;
                (self.usual_url().filter(|_| is_refusal).ok_or(failure)?, is_final)
            }
        };
        if is_final {
            return Ok(url.get_or_init(|| found).clone());
        }
        Ok(found)
    }

    /// The URL that AWS gives to a queue of this name and account.
    fn usual_url(&self) -> Option<String> {
        let Shared { address, endpoint, .. } = &*self.shared;
        let (endpoint, account) = (endpoint.url()?, address.account.as_ref()?);
        Some(format!("{}/{account}/{}", endpoint.trim_end_matches('/'), address.name))
    }

    async fn send(&self, operation: &Operation, request: &impl Serialize) -> Result<Body, Failure> {
        let answer = operation.send(body(request)).await;
        answer.map_err(|error| failure(operation.call.operation, self.role(), &error))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("label", &self.label())
            .field("role", &self.role())
            .finish_non_exhaustive()
    }
}

/// Whether AWS does not accept the credentials or the signature of a request.
fn is_of_credentials(error: &SdkError<Refusal, HttpResponse>) -> bool {
    let refusal = error.raw_response().and_then(|response| response.extension::<Refusal>());
    refusal.is_some_and(Refusal::is_of_credentials)
}

/// The scheme and the authority of a URL.
fn origin(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    Some(format!("{}://{}", url.scheme_str()?, url.authority()?))
}

fn body(request: &impl Serialize) -> String {
    serde_json::to_string(request).expect("text and numbers can be written")
}

fn queue_url(body: &[u8]) -> Result<String, Failure> {
    let answer: QueueUrl<'_> = one(&GET_QUEUE_URL, body)?;
    let url = text(&answer.queue_url).filter(|url| !url.is_empty());
    url.map(str::to_owned).ok_or_else(|| lacking(&GET_QUEUE_URL))
}

/// Without messages, SQS leaves their list out. A message without a receipt cannot be deleted, and is skipped.
fn messages(body: &[u8]) -> Result<Vec<Message>, Failure> {
    let received = optional_batch(&RECEIVE_MESSAGE, body, MESSAGES, |message: WireMessage<'_>| {
        let attributes = message.attributes.as_ref();
        let number = |attribute: &Option<Text<'_>>| text(attribute)?.parse::<u64>().ok();
        let sent = attributes.and_then(|attributes| number(&attributes.sent_timestamp));
        let count = attributes.and_then(|attributes| number(&attributes.approximate_receive_count));
        Some(Message {
            id: text(&message.message_id).unwrap_or_default().to_owned(),
            receipt: Receipt(text(&message.receipt_handle).filter(|it| !it.is_empty())?.to_owned()),
            body: text(&message.body).unwrap_or_default().to_owned(),
            sent: sent.map(Duration::from_millis),
            receive_count: count.unwrap_or(1),
        })
    })?;
    let mut messages = received.map(|received| received.items).unwrap_or_default();
    messages.truncate(RECEIVE_MESSAGE.limit);
    Ok(messages)
}

/// The codes of those that were not deleted.
fn failed(body: &[u8]) -> Result<Vec<String>, Failure> {
    let failed = optional_batch(&DELETE_MESSAGE_BATCH, body, FAILED, |entry: FailedEntry<'_>| {
        let is_of_code = |c: &char| c.is_ascii_alphanumeric() || *c == '.';
        let code = text(&entry.code).unwrap_or_default();
        let code: String = code.chars().take_while(is_of_code).take(MAX_CODE).collect();
        Some(if code.is_empty() { "no code".to_owned() } else { code })
    })?;
    let Some(failed) = failed else { return Ok(Vec::new()) };
    let unreadable = failed.unreadable.iter().map(|_| "no code".to_owned());
    Ok(failed.items.into_iter().chain(unreadable).collect())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueUrl<'a> {
    queue_name: &'a str,
    #[serde(rename = "QueueOwnerAWSAccountId", skip_serializing_if = "Option::is_none")]
    queue_owner_aws_account_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessage<'a> {
    queue_url: &'a str,
    max_number_of_messages: usize,
    wait_time_seconds: u64,
    visibility_timeout: u64,
    message_system_attribute_names: [&'static str; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteMessageBatch<'a> {
    queue_url: &'a str,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    /// Different in each entry of a request.
    id: String,
    #[serde(rename = "ReceiptHandle")]
    receipt: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct QueueUrl<'a> {
    queue_url: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct WireMessage<'a> {
    message_id: Option<Text<'a>>,
    receipt_handle: Option<Text<'a>>,
    body: Option<Text<'a>>,
    attributes: Option<Attributes<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct Attributes<'a> {
    /// Milliseconds since the Unix epoch.
    sent_timestamp: Option<Text<'a>>,
    approximate_receive_count: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct FailedEntry<'a> {
    code: Option<Text<'a>>,
}

#[cfg(test)]
mod tests;
