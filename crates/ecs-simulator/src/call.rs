//! The ledger: what was asked of the simulated AWS, call by call and in sums.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// One call, as the simulated AWS understood it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The account whose credentials signed it; empty when they are not known.
    pub account: String,
    /// The region it was signed for.
    pub region: String,
    /// `ecs`, `ec2`, `ssm`, `sts` or `sqs`; empty when it is none of them.
    pub service: &'static str,
    /// Such as `DescribeTasks`.
    pub operation: String,
    /// How many ids it asked for; of a delete of messages, how many entries it has.
    pub items: usize,
    /// The cluster it names, as it names it.
    pub cluster: Option<String>,
    /// The parsed input: the JSON body, or the form's fields as an object of texts. The ledger keeps it for its first
    /// thousand calls only; later ones have null.
    pub input: Value,
    /// How it ended; `Answered` while it is shown to a fault.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// With an error of this code, or with a broken answer, whose code says how.
    Refused(String),
}

/// Sums of calls by service and operation. Its `Display` is a sorted table of `ecs ListTasks 100`, one a line, with
/// `, 3 refused` behind it where some were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// By service and operation.
    pub counts: BTreeMap<(&'static str, String), Count>,
}

/// Sums of the calls of one operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All calls.
    pub calls: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Ids asked for.
    pub items: u64,
}

impl Ledger {
    /// The number of calls of one operation.
    pub fn calls(&self, service: &'static str, operation: &str) -> u64 {
        self.counts.get(&(service, operation.to_owned())).map_or(0, |count| count.calls)
    }

    /// The number of all calls.
    pub fn total(&self) -> u64 {
        self.counts.values().map(|count| count.calls).sum()
    }

    /// The number of calls that were refused.
    pub fn refused(&self) -> u64 {
        self.counts.values().map(|count| count.refused).sum()
    }

    fn add(&mut self, call: &Call) {
        let count = self.counts.entry((call.service, call.operation.clone())).or_default();
        count.calls += 1;
        count.items += call.items as u64;
        count.refused += u64::from(call.outcome != Outcome::Answered);
    }
}

impl<'a> FromIterator<&'a Call> for Ledger {
    fn from_iter<T: IntoIterator<Item = &'a Call>>(calls: T) -> Self {
        let mut ledger = Self::default();
        calls.into_iter().for_each(|call| ledger.add(call));
        ledger
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((service, operation), count) in &self.counts {
            write!(f, "{service} {operation} {}", count.calls)?;
            match count.refused {
                0 => writeln!(f)?,
                refused => writeln!(f, ", {refused} refused")?,
            }
        }
        Ok(())
    }
}

/// How many calls the record keeps one by one between two takes: a cold sweep over 100,000 tasks makes about 7,000.
const MAX_CALLS: usize = 100_000;
/// For how many of them it keeps the input, which for a batch of a hundred ARNs is 10 KB.
const MAX_INPUTS: usize = 1_000;

/// What has been asked since the last take.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) ledger: Ledger,
    pub(crate) calls: Vec<Call>,
}

impl Record {
    pub(crate) fn add(&mut self, mut call: Call) {
        self.ledger.add(&call);
        if self.calls.len() >= MAX_INPUTS {
            call.input = Value::Null;
        }
        if self.calls.len() < MAX_CALLS {
            self.calls.push(call);
        }
    }
}
