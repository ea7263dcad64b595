//! An SQS standard queue: messages that are received, hidden for a while, received again, and deleted.
//!
//! Time is tokio's, so that a test with a paused clock decides when a message is visible again. A queue has a dead-letter
//! queue beside it, which gets each message that was received [`MAX_RECEIVES`] times and not deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::ids::{fold, mix, uuid};
use super::partition;
use super::region::Region;

/// How often a message is received before it goes to the dead-letter queue.
const MAX_RECEIVES: u32 = 5;
/// How long a message stays in a queue: the retention that the documentation asks for.
const RETENTION: Duration = Duration::from_secs(3600);
/// How long one stays in a dead-letter queue: 14 days.
const DEAD_LETTER_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

/// An SQS queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// `arn:…:sqs:REGION:ACCOUNT:NAME`.
    pub arn: String,
    /// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`.
    pub url: String,
    /// The name of the queue for messages that nobody deletes; a dead-letter queue has none.
    pub dead_letter_queue: Option<String>,
    /// With a seed, messages are received in a random order; without one, in the order in which they were sent.
    pub shuffle: Option<u64>,
    /// How many of the next entries of delete requests fail with an internal error.
    pub fail_deletes: u64,
    /// Messages that can be received, by number, in the order of sending.
    ready: BTreeMap<u64, Message>,
    /// Messages that were received, and when each is visible again.
    in_flight: BTreeMap<u64, (Instant, Message)>,
    sent: u64,
    received: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Message {
    id: String,
    body: String,
    sent: Instant,
    receives: u32,
}

/// A message as a receiver gets it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) handle: String,
    pub(crate) body: String,
    pub(crate) sent: Instant,
    /// With this one.
    pub(crate) receives: u32,
}

/// The result of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// Also when the message is gone or the handle is not its last one: AWS does not say so.
    Yes,
    /// The handle is not from this queue.
    InvalidHandle,
    /// See [`Queue::fail_deletes`].
    Failed,
}

impl Queue {
    fn new(region: &str, account: &str, name: &str) -> Self {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Self {
            arn: format!("arn:{}:sqs:{region}:{account}:{name}", partition(region)),
            url: format!("https://sqs.{region}.{suffix}/{account}/{name}"),
            dead_letter_queue: None,
            shuffle: None,
            fail_deletes: 0,
            ready: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
            received: 0,
        }
    }

    /// Sends a message with any body.
    pub fn send(&mut self, body: impl Into<String>) {
        let number = self.sent;
        self.sent += 1;
        let now = Instant::now();
        self.expire(now);
        let seed = mix(fold(&self.arn) ^ number);
        let id = uuid(&format!("{seed:016x}{:016x}", mix(seed)));
        self.ready.insert(number, Message { id, body: body.into(), sent: now, receives: 0 });
    }

    /// How many messages are in the queue, received ones that nobody deleted included.
    pub fn depth(&self) -> usize {
        self.ready.len() + self.in_flight.len()
    }

    /// How many of them are received and hidden.
    pub fn in_flight(&self) -> usize {
        let now = Instant::now();
        self.in_flight.values().filter(|(until, _)| *until > now).count()
    }

    /// The bodies of all messages in the queue, in the order in which they were sent.
    pub fn bodies(&self) -> Vec<&str> {
        let in_flight = self.in_flight.iter().map(|(number, (_, message))| (number, message));
        let all: BTreeMap<_, _> = self.ready.iter().chain(in_flight).collect();
        all.into_values().map(|message| message.body.as_str()).collect()
    }

    /// Deletes all messages.
    pub fn purge(&mut self) {
        self.ready.clear();
        self.in_flight.clear();
    }

    /// Whether a message can be received now.
    pub(crate) fn has_ready(&self, now: Instant) -> bool {
        !self.ready.is_empty() || self.in_flight.values().any(|(until, _)| *until <= now)
    }

    /// When the next received message is visible again.
    pub(crate) fn next_visible(&self) -> Option<Instant> {
        self.in_flight.values().map(|(until, _)| *until).min()
    }

    /// Receives up to `count` messages. Returns them, and the bodies of messages that were received too often.
    pub(crate) fn receive(&mut self, count: usize, visibility: Duration) -> (Vec<Received>, Vec<String>) {
        let now = Instant::now();
        self.expire(now);
        let visible = self.in_flight.extract_if(.., |_, (until, _)| *until <= now);
        self.ready.extend(visible.map(|(number, (_, message))| (number, message)));
        let (mut received, mut dead) = (Vec::new(), Vec::new());
        while received.len() < count
            && let Some((number, mut message)) = self.take()
        {
            if message.receives >= MAX_RECEIVES && self.dead_letter_queue.is_some() {
                dead.push(message.body);
                continue;
            }
            message.receives += 1;
            received.push(Received {
                id: message.id.clone(),
                handle: format!("AQEB{number:016x}{:08x}", message.receives),
                body: message.body.clone(),
                sent: message.sent,
                receives: message.receives,
            });
            self.in_flight.insert(number, (now + visibility, message));
        }
        (received, dead)
    }

    /// Takes out the message that is received next.
    fn take(&mut self) -> Option<(u64, Message)> {
        let Some(seed) = self.shuffle else { return self.ready.pop_first() };
        self.received += 1;
        let count = self.ready.len().max(1) as u64;
        let position = mix(seed ^ mix(self.received)) % count;
        let number = *self.ready.keys().nth(position as usize)?;
        self.ready.remove_entry(&number)
    }

    /// Deletes a message by the handle of its last receipt. With an older handle the message stays, as AWS allows.
    pub(crate) fn delete(&mut self, handle: &str) -> Deleted {
        let digits = handle.strip_prefix("AQEB").filter(|digits| digits.is_ascii() && digits.len() == 24);
        let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let numbers = digits.and_then(|digits| Some((hex(&digits[..16])?, hex(&digits[16..])?)));
        let Some((number, receives)) = numbers.filter(|(number, _)| *number < self.sent) else {
            return Deleted::InvalidHandle;
        };
        if self.fail_deletes > 0 {
            self.fail_deletes -= 1;
            return Deleted::Failed;
        }
        let is_last = |message: &Message| u64::from(message.receives) == receives;
        if self.ready.get(&number).is_some_and(is_last) {
            self.ready.remove(&number);
        }
        if self.in_flight.get(&number).is_some_and(|(_, message)| is_last(message)) {
            self.in_flight.remove(&number);
        }
        Deleted::Yes
    }

    fn expire(&mut self, now: Instant) {
        let retention = if self.dead_letter_queue.is_some() { RETENTION } else { DEAD_LETTER_RETENTION };
        let is_old = |message: &Message| now.saturating_duration_since(message.sent) >= retention;
        while self.ready.first_key_value().is_some_and(|(_, message)| is_old(message)) {
            self.ready.pop_first();
        }
        while self.in_flight.first_key_value().is_some_and(|(_, (_, message))| is_old(message)) {
            self.in_flight.pop_first();
        }
    }
}

impl Region {
    /// Creates a queue, and its dead-letter queue `NAME-dead-letters`, and returns the queue's ARN.
    pub fn create_queue(&mut self, name: &str) -> String {
        let dead_letters = format!("{name}-dead-letters");
        let queue = |name: &str| Queue::new(&self.name, &self.account_id, name);
        let dead_letter_queue = queue(&dead_letters);
        let queue = Queue { dead_letter_queue: Some(dead_letters.clone()), ..queue(name) };
        let arn = queue.arn.clone();
        self.queues.insert(dead_letters, dead_letter_queue);
        self.queues.insert(name.to_owned(), queue);
        arn
    }

    /// The queue with this name or ARN.
    ///
    /// # Panics
    /// When there is none.
    pub fn queue(&mut self, name_or_arn: &str) -> &mut Queue {
        let name = queue_name(name_or_arn);
        self.queues.get_mut(name).unwrap_or_else(|| panic!("no queue {name_or_arn}: create it first"))
    }

    /// Deletes a queue with its messages; its dead-letter queue stays.
    pub fn delete_queue(&mut self, name_or_arn: &str) {
        self.queues.remove(queue_name(name_or_arn));
    }
}

fn queue_name(name_or_arn: &str) -> &str {
    name_or_arn.rsplit(':').next().unwrap_or(name_or_arn)
}
