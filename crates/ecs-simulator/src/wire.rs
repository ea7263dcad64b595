//! From bytes to a call and from a call to bytes: which account, region and service a request means, what it asks,
//! and which of the services answers. Only the calls of SQS change the world: messages are received and deleted.

pub(crate) mod clock;
mod ec2;
mod ecs;
pub(crate) mod event;
mod json;
mod page;
mod query;
mod refusal;
pub(crate) mod sqs;
mod ssm;
mod sts;
mod xml;

use std::borrow::Cow;

use serde_json::Value;

use crate::call::{Call, Outcome};
use crate::http::{Request, Response};
use crate::world::World;
use crate::world::ids::{fold, mix};
use crate::world::region::Region;
use refusal::Refusal;

/// What a request means as far as it is understood, and the refusal of one that cannot be answered.
pub(crate) fn understand(request: &Request, world: &World) -> (Call, Option<Response>) {
    let (service, operation) = match request.headers.get("x-amz-target") {
        Some(target) => target_of(target),
        None => ("", String::new()),
    };
    let mut call = Call {
        account: String::new(),
        region: String::new(),
        service,
        operation,
        items: 0,
        cluster: None,
        input: Value::Null,
        outcome: Outcome::Answered,
    };
    let refusal = fill(&mut call, request, world).err().map(|refusal| refusal.response(&call));
    (call, refusal)
}

fn target_of(target: &str) -> (&'static str, String) {
    let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
    let service = match prefix {
        "AmazonEC2ContainerServiceV20141113" => "ecs",
        "AmazonSSM" => "ssm",
        "AmazonSQS" => "sqs",
        _ => "",
    };
    (service, operation.to_owned())
}

fn fill(call: &mut Call, request: &Request, world: &World) -> Result<(), Refusal> {
    if request.headers.contains_key("x-amz-target") {
        call.input = match request.body.as_slice() {
            [] => Value::Object(serde_json::Map::new()),
            body => serde_json::from_slice(body)
                .map_err(|error| Refusal::new(400, "SerializationException", &error.to_string()))?,
        };
    } else {
        call.input = query::decode(&request.body);
        call.operation = text(&call.input, "Action").unwrap_or_default().to_owned();
        call.service = match text(&call.input, "Version") {
            Some("2016-11-15") => "ec2",
            Some("2011-06-15") => "sts",
            _ => "",
        };
    }
    (call.items, call.cluster) = asked(call);
    let scope = request.headers.get("authorization").ok_or_else(|| refusal::unsigned(call.service))?;
    let (access_key, region) = credential(scope).ok_or_else(|| refusal::unsigned(call.service))?;
    region.clone_into(&mut call.region);
    let account = world.account_of(access_key).ok_or_else(|| refusal::unknown_key(call.service))?;
    account.id.clone_into(&mut call.account);
    if account.has_ended(access_key) {
        return Err(refusal::expired(call.service));
    }
    let signed = request.headers.get("x-amz-date");
    if signed.is_some_and(|signed| clock::is_off(signed, world)) {
        return Err(refusal::wrong_time(call.service));
    }
    Ok(())
}

/// The access key id and the region of `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
fn credential(authorization: &str) -> Option<(&str, &str)> {
    let (_, scope) = authorization.split_once("Credential=")?;
    let mut parts = scope.split([',', ' ']).next()?.split('/');
    let access_key = parts.next()?;
    let region = parts.nth(1)?;
    Some((access_key, region))
}

/// How many ids a call asks for, and in which cluster.
fn asked(call: &Call) -> (usize, Option<String>) {
    let length = |name: &str| call.input.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let items = match (call.service, call.operation.as_str()) {
        ("ecs", "DescribeTasks") => length("tasks"),
        ("ecs", "DescribeClusters") => length("clusters"),
        ("ecs", "DescribeContainerInstances") => length("containerInstances"),
        ("ecs", "DescribeServices") => length("services"),
        ("ecs", "DescribeTaskDefinition") => 1,
        ("ec2", _) => ec2::asked(&call.input),
        ("ssm", _) => ssm::asked(&call.input),
        ("sqs", _) => sqs::asked(&call.input),
        _ => 0,
    };
    (items, text(&call.input, "cluster").map(str::to_owned))
}

/// The world's answer to a call that was understood.
pub(crate) fn answer(call: &Call, world: &mut World) -> Response {
    if call.service == "sqs" {
        return match sqs::answer(call, world) {
            Ok(body) => with_request_id(call, sqs::json(200, body)),
            Err(refusal) => refusal.response(call),
        };
    }
    let region = region(call, world);
    let answered = match (call.service, call.operation.as_str()) {
        ("ecs", operation) => ecs::answer(operation, &call.input, &region),
        ("ec2", "DescribeInstances") => ec2::describe_instances(call, &region),
        ("ssm", "DescribeInstanceInformation") => ssm::describe_instance_information(&call.input, &region),
        ("sts", "AssumeRole") => sts::assume_role(call, world),
        ("sts", "GetCallerIdentity") => sts::get_caller_identity(call, world),
        _ => Err(refusal::unknown_operation(call)),
    };
    match answered {
        Ok(body) if matches!(call.service, "ecs" | "ssm") => with_request_id(call, Response::json(200, body)),
        Ok(body) => with_request_id(call, Response::xml(200, body)),
        Err(refusal) => refusal.response(call),
    }
}

/// Whether answering the call may have sent a message: a receive can move some to the dead-letter queue.
pub(crate) fn may_send_messages(call: &Call) -> bool {
    call.service == "sqs" && call.operation == "ReceiveMessage"
}

/// The region that a call means: an empty one where the world has nothing.
fn region<'a>(call: &Call, world: &'a World) -> Cow<'a, Region> {
    let known = world.accounts.get(&call.account).and_then(|account| account.regions.get(&call.region));
    known.map_or_else(|| Cow::Owned(Region::new(world.seed, &call.account, &call.region, 0)), Cow::Borrowed)
}

/// A request id; equal calls have equal ones, so that equal worlds give equal bytes.
fn request_id(call: &Call) -> String {
    let high = mix(fold(&call.operation) ^ call.items as u64);
    let low = mix(high);
    let tail = low & 0xffff_ffff_ffff;
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{tail:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52
    )
}

fn with_request_id(call: &Call, mut response: Response) -> Response {
    response.headers.insert("x-amzn-requestid".to_owned(), request_id(call));
    response
}

/// A text field of an input.
fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// The code of an error answer in either form; its status where there is none.
pub(crate) fn error_code(response: &Response) -> String {
    let body = response.text();
    let json = serde_json::from_str::<Value>(&body).ok();
    let code = json.as_ref().and_then(|json| text(json, "__type"));
    let code = code.or_else(|| body.split_once("<Code>")?.1.split("</Code>").next());
    // SQS writes the name of its model before the code.
    let code = code.map(|code| code.rsplit('#').next().unwrap_or(code));
    code.map_or_else(|| response.status.to_string(), str::to_owned)
}
