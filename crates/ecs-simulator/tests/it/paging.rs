//! Listings in pages, their tokens, and the ledger of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{ecs, fargate};

#[test]
fn pages_together_hold_every_task_once() {
    let (aws, arns) = fargate(205);
    let mut seen = Vec::new();
    let mut input = json!({"cluster": "c"});
    let mut sizes = Vec::new();
    loop {
        let (_, page) = ecs(&aws, "ListTasks", input.clone());
        let page_arns = page["taskArns"].as_array().unwrap();
        sizes.push(page_arns.len());
        seen.extend(page_arns.iter().map(|arn| arn.as_str().unwrap().to_owned()));
        match &page["nextToken"] {
            Value::Null => break,
            token => input["nextToken"] = token.clone(),
        }
    }
    assert_eq!(sizes, [100, 100, 5]);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), arns.iter().collect::<BTreeSet<_>>());
    assert_eq!(aws.calls().to_string(), "ecs ListTasks 3\n");
}

#[test]
fn a_full_last_page_has_no_token() {
    let (aws, _) = fargate(100);
    let (_, page) = ecs(&aws, "ListTasks", json!({"cluster": "c"}));
    assert_eq!((page["taskArns"].as_array().map(Vec::len), &page["nextToken"]), (Some(100), &Value::Null));
}

#[test]
fn a_token_is_good_for_its_own_listing_only() {
    let (aws, _) = fargate(3);
    aws.change(|world| {
        world.own(crate::REGION).cluster("other");
    });
    let (_, page) = ecs(&aws, "ListTasks", json!({"cluster": "c", "maxResults": 2}));
    let token = page["nextToken"].as_str().unwrap();
    for (cluster, token) in [("other", token), ("c", "0"), ("c", "nonsense"), ("c", "é")] {
        let (status, body) = ecs(&aws, "ListTasks", json!({"cluster": cluster, "nextToken": token}));
        assert_eq!(
            (status, &body["__type"]),
            (400, &json!("InvalidParameterException")),
            "{cluster} {token}"
        );
    }
    assert_eq!(aws.take_ledger().to_string(), "ecs ListTasks 5, 4 refused\n");
    assert_eq!(aws.calls().total(), 0);
}
