//! What goes wrong with AWS's answers, by chance that the seed of each fault decides.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use ecs_simulator::{Aws, Call, Delivery, Request, Response};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{option, sample};
use serde_json::{Value, json};

use super::steps::Cluster;

/// Something that goes wrong until all is healed.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Of this operation alone; of all, where it is empty.
    pub(super) operation: &'static str,
    /// Of calls that name this cluster alone.
    pub(super) cluster: Option<Cluster>,
    pub(super) kind: Kind,
    /// With so many of four calls, or items of an answer.
    pub(super) share: u8,
    pub(super) seed: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Throttled,
    ServerError,
    Denied,
    Expired,
    Refused,
    Reset,
    Stalled,
    NotJson,
    CutShort,
    /// Only pages after the first fail.
    LaterPages,
    /// The second page of a listing comes again and again.
    EndlessPages,
    /// An answer does not speak of some of what was asked.
    Unspoken,
    /// Some descriptions of tasks are incomplete, or have an unknown value.
    Partial,
    /// An answer is wrong, in the way of the case's [`Lie`].
    Lie,
}

/// How AWS is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// Listings lack some of what is there, or all.
    Omits,
    /// What is there is called missing or not known when it is asked for by id.
    CallsMissing,
}

const OPERATIONS: &[&str] = &[
    "ListClusters",
    "DescribeClusters",
    "ListTasks",
    "DescribeTasks",
    "DescribeTaskDefinition",
    "DescribeContainerInstances",
    "DescribeInstances",
    "DescribeInstanceInformation",
    "AssumeRole",
    "GetCallerIdentity",
    // What single tasks depend on has another chance.
    "DescribeTasks",
    "DescribeTaskDefinition",
    "DescribeContainerInstances",
    "DescribeInstances",
];

const KINDS: &[Kind] = &[
    Kind::Throttled,
    Kind::ServerError,
    Kind::Denied,
    Kind::Expired,
    Kind::Refused,
    Kind::Reset,
    Kind::Stalled,
    Kind::NotJson,
    Kind::CutShort,
    Kind::LaterPages,
    Kind::EndlessPages,
    Kind::Unspoken,
    Kind::Partial,
    Kind::Lie,
];

impl Fault {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let operation = prop_oneof![1 => Just(""), 5 => sample::select(OPERATIONS)];
        let place = (operation, option::weighted(0.3, Cluster::any()));
        let kind = prop_oneof![1 => Just(Kind::Lie), 3 => sample::select(KINDS)];
        // Most calls are made three times before they fail.
        let share = prop_oneof![2 => Just(4), 1 => 1..4u8];
        (place, kind, share, any::<u8>()).prop_map(|((operation, cluster), kind, share, seed)| Self {
            operation,
            cluster,
            kind,
            share,
            seed,
        })
    }

    /// Whether anything of this cluster may depend on what it concerns.
    fn harms(&self, cluster: Cluster) -> bool {
        match (self.operation, self.cluster) {
            (_, Some(only)) => only == cluster,
            ("AssumeRole", None) => cluster == Cluster::Partner,
            // A role's account is known from its ARN.
            ("GetCallerIdentity", None) => cluster != Cluster::Partner,
            (_, None) => true,
        }
    }

    /// Whether it passes for how things are.
    fn deceives(&self) -> bool {
        matches!(self.kind, Kind::Denied | Kind::Unspoken | Kind::Partial | Kind::Lie)
    }

    fn concerns(&self, call: &Call) -> bool {
        let names =
            |cluster: Cluster| call.cluster.as_deref().is_some_and(|arn| arn.ends_with(cluster.name()));
        (self.operation.is_empty() || self.operation == call.operation) && self.cluster.is_none_or(names)
    }

    /// Whether it hits this, at that attempt.
    fn hits(&self, what: &str, attempt: u32) -> bool {
        let mut hasher = DefaultHasher::new();
        (self.seed, what, attempt).hash(&mut hasher);
        hasher.finish() % 4 < self.share.into()
    }
}

/// What is wrong now.
pub(super) struct Trouble {
    lie: Lie,
    faults: Mutex<Vec<Fault>>,
    /// How often each call was made, so that one that is repeated has its chance.
    attempts: Mutex<BTreeMap<String, u32>>,
}

impl Trouble {
    /// Stands between this AWS and whoever asks it from now on; listings have pages of that size.
    pub(super) fn with(aws: &Aws, page: usize, lie: Lie) -> Arc<Self> {
        let trouble = Arc::new(Self { lie, faults: Mutex::default(), attempts: Mutex::default() });
        let world = aws.clone();
        aws.on_call(move |call| small_page(&world, call, page));
        let edit = trouble.clone();
        aws.on_answer(move |call, response| {
            if !is_small_page(call) {
                edit.spoil(call, response);
            }
        });
        trouble
    }

    pub(super) fn begin(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub(super) fn end(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub(super) fn harms(&self, cluster: Cluster) -> bool {
        self.faults.lock().unwrap().iter().any(|fault| fault.harms(cluster))
    }

    pub(super) fn deceives(&self) -> bool {
        self.faults.lock().unwrap().iter().any(Fault::deceives)
    }

    /// Whether AWS may deny allowed requests.
    pub(super) fn denies(&self) -> bool {
        self.faults.lock().unwrap().iter().any(|fault| fault.kind == Kind::Denied)
    }

    /// Whether AWS may say now that it knows no such definition.
    pub(super) fn denies_definitions(&self) -> bool {
        let lies = |fault: &Fault| {
            fault.kind == Kind::Lie && matches!(fault.operation, "" | "DescribeTaskDefinition")
        };
        self.lie == Lie::CallsMissing && self.faults.lock().unwrap().iter().any(lies)
    }

    fn spoil(&self, call: &Call, response: &mut Response) {
        let name = format!("{} {}", call.operation, call.input);
        let mut attempts = self.attempts.lock().unwrap();
        let attempt = attempts.entry(name.clone()).or_default();
        *attempt += 1;
        for fault in self.faults.lock().unwrap().iter().filter(|fault| fault.concerns(call)) {
            match fault.kind {
                // Listings that speak of less than there is are lies.
                Kind::Unspoken if call.operation.starts_with("Describe") => {
                    keep(response, |id| !fault.hits(id, *attempt), false);
                }
                Kind::Partial => lack(response, |id| fault.hits(id, *attempt), fault.seed),
                Kind::Lie => self.lie(fault, *attempt, call, response),
                kind if fault.hits(&name, *attempt) => fail(kind, call, response),
                _ => {}
            }
        }
    }

    fn lie(&self, fault: &Fault, attempt: u32, call: &Call, response: &mut Response) {
        let is_kept = |id: &str| !fault.hits(id, attempt);
        match (self.lie, call.operation.as_str()) {
            (Lie::Omits, "ListClusters" | "ListTasks") => keep(response, is_kept, false),
            (Lie::CallsMissing, "DescribeClusters" | "DescribeTasks" | "DescribeContainerInstances") => {
                keep(response, is_kept, true);
            }
            (Lie::CallsMissing, "DescribeTaskDefinition") if !is_kept("") => {
                let message = "Unable to describe task definition.";
                *response = Response::refused(call, 400, "ClientException", message);
            }
            (Lie::CallsMissing, "DescribeInstances") if !is_kept("") => {
                let empty = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";
                *response = Response::xml(200, empty);
            }
            (Lie::CallsMissing, "DescribeInstanceInformation") if !is_kept("") => {
                *response = Response::json(200, r#"{"InstanceInformationList":[]}"#);
            }
            _ => {}
        }
    }
}

fn fail(kind: Kind, call: &Call, response: &mut Response) {
    let page = call.input.get("nextToken");
    match kind {
        Kind::Throttled => *response = Response::throttled(call),
        Kind::ServerError => *response = Response::server_error(call),
        Kind::Denied => *response = Response::denied(call),
        Kind::Expired => *response = Response::expired(call),
        Kind::Refused => *response = Response::connection_refused(),
        Kind::Reset => response.delivery = Delivery::Reset,
        Kind::Stalled => response.delivery = Delivery::Stalled,
        Kind::NotJson => response.body = b"<html>Please stand by</html>".to_vec(),
        Kind::CutShort => response.body.truncate(response.body.len() / 2),
        Kind::LaterPages if page.is_some() => *response = Response::server_error(call),
        Kind::EndlessPages => {
            if let (Some(page), Ok(mut answer)) = (page, serde_json::from_slice::<Value>(&response.body)) {
                answer["nextToken"] = page.clone();
                response.body = answer.to_string().into_bytes();
            }
        }
        Kind::LaterPages | Kind::Unspoken | Kind::Partial | Kind::Lie => {}
    }
}

/// Makes descriptions of tasks incomplete. A task that is seen for the first time then does not count as settled.
fn lack(response: &mut Response, is_hit: impl Fn(&str) -> bool, seed: u8) {
    let Ok(mut answer) = serde_json::from_slice::<Value>(&response.body) else { return };
    let Some(tasks) = answer.get_mut("tasks").and_then(Value::as_array_mut) else { return };
    for task in tasks.iter_mut().filter(|task| is_hit(task["taskArn"].as_str().unwrap())) {
        let field = ["name", "lastStatus", "networkBindings"][usize::from(seed) % 3];
        match seed % 6 {
            0 => task["containers"] = json!([]),
            1 => task["lastStatus"] = "UNHEARD_OF".into(),
            2 => task["desiredStatus"] = Value::Null,
            _ => {
                let containers = task["containers"].as_array_mut().unwrap();
                containers
                    .iter_mut()
                    .for_each(|container| drop(container.as_object_mut().unwrap().remove(field)));
            }
        }
    }
    response.body = answer.to_string().into_bytes();
}

/// The lists of ECS's answers, and what names their items.
const LISTS: [(&str, &str); 5] = [
    ("clusterArns", ""),
    ("taskArns", ""),
    ("clusters", "clusterArn"),
    ("tasks", "taskArn"),
    ("containerInstances", "containerInstanceArn"),
];

/// Takes items out of an answer of ECS, and perhaps calls them missing.
fn keep(response: &mut Response, is_kept: impl Fn(&str) -> bool, missing: bool) {
    let Ok(mut answer) = serde_json::from_slice::<Value>(&response.body) else { return };
    let mut gone = Vec::new();
    for (list, id) in LISTS {
        let Some(items) = answer.get_mut(list).and_then(Value::as_array_mut) else { continue };
        items.retain(|item| {
            let arn = item.get(id).unwrap_or(item).as_str().unwrap().to_owned();
            let is_kept = is_kept(&arn);
            if !is_kept {
                gone.push(json!({"arn": arn, "reason": "MISSING"}));
            }
            is_kept
        });
    }
    if missing && let Some(failures) = answer.get_mut("failures").and_then(Value::as_array_mut) {
        failures.append(&mut gone);
    }
    response.body = answer.to_string().into_bytes();
}

/// AWS may give fewer items on a page than it was asked for. The simulated one does not by itself: it is asked
/// for fewer.
fn small_page(aws: &Aws, call: &Call, page: usize) -> Option<Response> {
    if !matches!(&*call.operation, "ListClusters" | "ListTasks")
        || is_small_page(call)
        || call.account.is_empty()
    {
        return None;
    }
    let mut input = call.input.clone();
    input["maxResults"] = page.into();
    let access_key = aws.change(|world| world.account(&call.account).access_key.clone());
    let target = format!("AmazonEC2ContainerServiceV20141113.{}", call.operation);
    let request = Request::post(input.to_string()).header("x-amz-target", &target);
    Some(aws.answer(&request.signed(&access_key, &call.region, call.service)))
}

/// Whether a listing asks for fewer items than the program does.
fn is_small_page(call: &Call) -> bool {
    call.input.get("maxResults").is_some_and(|size| size != 100)
}
