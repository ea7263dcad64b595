//! Faults as AWS, networks and proxies produce them, and which calls they hit.
//!
//! A fault stands before the world and changes nothing in it: it replaces, breaks or cuts the answers of the calls it
//! hits. A message whose answer breaks was received, and is hidden for its time. Which calls of a share are hit is decided by a seed and their order, so that equal runs have equal faults.

pub(crate) mod answers;

use serde_json::Value;

use crate::aws::Aws;
use crate::call::Call;
use crate::http::{Delivery, Response};
use crate::world::ids::mix;

/// What a request names the token of a page, in either spelling.
const TOKEN: [&str; 2] = ["nextToken", "NextToken"];

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too many requests.
    Throttled,
    /// The caller lacks a permission.
    Denied,
    /// The session's credentials have expired.
    Expired,
    /// A fault within AWS: 500.
    ServerError,
    /// A part of AWS that is away for the moment: 503.
    Unavailable,
    /// There is no connection.
    ConnectionRefused,
    /// The connection breaks within the body.
    ResetMidBody,
    /// The answer never ends.
    NeverEnds,
    /// The answer ends, as far as HTTP can tell, and lacks its second half.
    CutShort,
    /// A page for people, with status 200: somebody's proxy wants a login.
    NotJsonOrXml,
    /// A listing whose every page is its first, and ends in the same token.
    SameTokenForEver,
    /// A listing whose every page is its first, and ends in a token that was not there before.
    NewTokenForEver,
}

/// Which calls a fault hits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calls {
    operation: Option<String>,
    cluster: Option<String>,
    id: Option<String>,
    account: Option<String>,
    region: Option<String>,
    further_pages: bool,
    spared: u64,
    share: Option<(f64, u64)>,
}

impl Calls {
    /// Every call.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of one operation, such as `ListTasks`.
    pub fn of(operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..Self::default() }
    }

    /// Of these, those that name this cluster, by name or ARN, alone or in a batch: AWS denies a batch as a whole.
    pub fn in_cluster(self, name: &str) -> Self {
        Self { cluster: Some(name.to_owned()), ..self }
    }

    /// Of these, those that ask for the thing whose id, or whose ARN's last part, this is, alone or in a batch.
    pub fn asking_for(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    /// Of these, those that this account's credentials sign; AssumeRole is signed by the caller's.
    pub fn in_account(self, id: &str) -> Self {
        Self { account: Some(id.to_owned()), ..self }
    }

    /// Of these, those in this region.
    pub fn in_region(self, name: &str) -> Self {
        Self { region: Some(name.to_owned()), ..self }
    }

    /// Of these, those for a page after the first.
    pub fn for_further_pages(self) -> Self {
        Self { further_pages: true, ..self }
    }

    /// Of these, those after the first `number`.
    pub fn after(self, number: u64) -> Self {
        Self { spared: number, ..self }
    }

    /// Of these, about this share, from 0 to 1, chosen by the seed.
    pub fn share(self, share: f64, seed: u64) -> Self {
        Self { share: Some((share, seed)), ..self }
    }

    fn name(&self, call: &Call) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let named = |wanted: &Option<String>, inputs: &[&Value]| {
            wanted.as_deref().is_none_or(|wanted| inputs.iter().any(|input| has(input, wanted)))
        };
        is(&self.operation, &call.operation)
            && named(&self.cluster, &[&call.input["cluster"], &call.input["clusters"]])
            && named(&self.id, &[&call.input])
            && is(&self.account, &call.account)
            && is(&self.region, &call.region)
            && (!self.further_pages || TOKEN.iter().any(|name| call.input[name].is_string()))
    }

    /// Whether the one of these calls before which there were so many is hit.
    fn hit(&self, number: u64) -> bool {
        let chosen = |(share, seed)| ((mix(seed ^ mix(number)) >> 11) as f64 / (1u64 << 53) as f64) < share;
        number >= self.spared && self.share.is_none_or(chosen)
    }
}

/// Whether the id, or an ARN that ends in it, is among the texts of an input.
fn has(input: &Value, id: &str) -> bool {
    match input {
        Value::String(text) => text.rsplit('/').next() == Some(id),
        Value::Array(values) => values.iter().any(|value| has(value, id)),
        Value::Object(fields) => fields.values().any(|value| has(value, id)),
        _ => false,
    }
}

/// A fault at work.
#[derive(Debug)]
pub(crate) struct Injected {
    fault: Fault,
    calls: Calls,
    /// The calls so far that it could have hit.
    seen: u64,
}

/// A fault that hits a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    fault: Fault,
    number: u64,
}

impl Aws {
    /// Lets `fault` hit these calls, from now until [`Aws::heal`], together with those that were injected before.
    pub fn inject(&self, fault: Fault, calls: Calls) {
        self.injected().push(Injected { fault, calls, seen: 0 });
    }

    /// The faults that hit this call. One of a listing without end makes it a call for the first page.
    pub(crate) fn hits(&self, call: &mut Call) -> Vec<Hit> {
        let mut hits = Vec::new();
        for injected in self.injected().iter_mut().filter(|injected| injected.calls.name(call)) {
            if injected.calls.hit(injected.seen) {
                hits.push(Hit { fault: injected.fault, number: injected.seen });
            }
            injected.seen += 1;
        }
        if hits.iter().any(|hit| matches!(hit.fault, Fault::SameTokenForEver | Fault::NewTokenForEver))
            && let Value::Object(input) = &mut call.input
        {
            input.retain(|name, _| !TOKEN.contains(&name.as_str()));
        }
        hits
    }
}

impl Hit {
    /// Whether the caller gets nothing of the world's answer. Then the world does not see the call: a throttled receive
    /// hides no message.
    pub(crate) fn replaces_the_answer(&self) -> bool {
        match self.fault {
            Fault::Throttled
            | Fault::Denied
            | Fault::Expired
            | Fault::ServerError
            | Fault::Unavailable
            | Fault::ConnectionRefused
            | Fault::NotJsonOrXml => true,
            Fault::ResetMidBody
            | Fault::NeverEnds
            | Fault::CutShort
            | Fault::SameTokenForEver
            | Fault::NewTokenForEver => false,
        }
    }

    /// Makes of the world's answer what this fault leaves of it.
    pub(crate) fn spoil(&self, call: &Call, response: &mut Response) {
        match self.fault {
            Fault::Throttled => *response = Response::throttled(call),
            Fault::Denied => *response = Response::denied(call),
            Fault::Expired => *response = Response::expired(call),
            Fault::ServerError => *response = Response::server_error(call),
            Fault::Unavailable => *response = Response::unavailable(call),
            Fault::ConnectionRefused => *response = Response::connection_refused(),
            Fault::ResetMidBody => response.delivery = Delivery::Reset,
            Fault::NeverEnds => response.delivery = Delivery::Stalled,
            Fault::CutShort => response.body.truncate(response.body.len() / 2),
            Fault::NotJsonOrXml => {
                let page = "<!DOCTYPE html>\n<html><body>Please log in to this network.<br></body></html>\n";
                *response = Response::html(200, page);
            }
            Fault::SameTokenForEver => response.end_in_token(call, "for-ever"),
            Fault::NewTokenForEver => response.end_in_token(call, &format!("for-ever-{}", self.number)),
        }
    }
}
