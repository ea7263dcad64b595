//! The template of `generate event-infrastructure`, deployed: its events reach the target files, and the permissions of
//! `generate iam-policy` suffice.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::stack::{Stack, generated, template};
use crate::files::groups;
use crate::tools::{Running, free_address, get, program, wait};

const QUEUE: &str = "prometheus-ecs-sd";
const ACCOUNT: &str = "123456789012";

/// The program in the background, with a page of metrics.
struct Discovery {
    _program: Running,
    listen: SocketAddr,
    directory: TempDir,
}

impl Discovery {
    fn start(stack: &Stack, keys: &Value, queue: &str) -> Self {
        let (directory, listen) = (tempfile::tempdir().unwrap(), free_address());
        let mut command = program();
        command.env("AWS_ACCESS_KEY_ID", keys["access_key"].as_str().unwrap());
        command.env("AWS_SECRET_ACCESS_KEY", keys["secret_key"].as_str().unwrap());
        command.env("AWS_REGION", "eu-west-1").env("AWS_ENDPOINT_URL", &stack.endpoint);
        command.args(["--cluster", "shop", "--interval", "1", "--event-queue", queue]);
        command.args(["--listen-address", &listen.to_string(), "--directory"]).arg(directory.path());
        Self { _program: Running::start(&mut command), listen, directory }
    }

    /// Waits until these are the addresses in the target files.
    fn has(&self, addresses: &[&str]) {
        let mut expected = addresses.to_vec();
        expected.sort_unstable();
        wait(|| {
            let groups = groups(self.directory.path(), "1m").unwrap_or_default();
            let mut found: Vec<_> = groups.iter().flat_map(|group| &group.targets).collect();
            found.sort_unstable();
            (found == expected).then_some(()).ok_or_else(|| format!("{expected:?}, not {found:?}"))
        });
    }

    /// The values of the metrics whose lines begin like this, by line.
    fn metrics(&self, name: &str) -> BTreeMap<String, f64> {
        let page = get(self.listen, "/metrics").unwrap_or_default();
        let lines =
            page.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' '));
        lines.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    /// Waits until the one metric whose line begins like this has this value.
    fn says(&self, name: &str, value: f64) {
        wait(|| {
            let metrics = self.metrics(name);
            (metrics.len() == 1 && metrics.values().all(|found| *found == value))
                .then_some(())
                .ok_or_else(|| format!("{name} {value}, not {metrics:?}"))
        });
    }

    /// The number of messages with this result.
    fn messages(&self, result: &str) -> f64 {
        let metrics = self.metrics("ecs_sd_events_total{");
        let label = format!("result=\"{result}\"");
        let values = metrics.iter().filter(|(name, _)| name.contains(&label)).map(|(_, value)| value);
        values.copied().reduce(|a, b| a + b).expect("all results are always there")
    }
}

#[test]
fn events_of_the_deployed_template_reach_the_target_files() {
    let mut stack = Stack::start();
    let template = template("cloudformation", &["--cluster", "shop"]);
    let created = stack.call("create_stack", json!({"template": template}));
    assert_eq!(created["status"], "CREATE_COMPLETE");
    let queue = created["outputs"]["QueueArn"].as_str().unwrap();
    let policy = generated(&["iam-policy", "--event-queue", queue]);
    let keys = stack.call("restrict", json!({"document": policy}));

    let (first, first_address) = stack.run("shop");
    let discovery = Discovery::start(&stack, &keys, queue);
    discovery.has(&[&first_address]);
    discovery.says("ecs_sd_events_live{", 0.0);
    stack.call("heartbeat", json!({"queue": QUEUE, "account": ACCOUNT}));
    discovery.says("ecs_sd_events_live{", 1.0);
    discovery.says("ecs_sd_event_queue_readable{", 1.0);
    assert_eq!(discovery.messages("heartbeat"), 1.0);

    // The next refresh is ten minutes away.
    let refreshes = discovery.metrics("ecs_sd_refreshes_total{");
    assert!(refreshes.values().sum::<f64>() >= 2.0, "{refreshes:?}");
    let (second, second_address) = stack.run("shop");
    let (elsewhere, _) = stack.run("elsewhere");
    stack.put_event(&elsewhere, "RUNNING", 3, "elsewhere");
    stack.put_event(&second, "PENDING", 2, "shop");
    stack.put_event(&second, "RUNNING", 3, "shop");
    discovery.has(&[&first_address, &second_address]);
    stack.call("stop", json!({"task": first}));
    stack.put_event(&first, "STOPPED", 7, "shop");
    discovery.has(&[&second_address]);
    assert_eq!(discovery.metrics("ecs_sd_refreshes_total{"), refreshes);
    // The last message is deleted after it was counted.
    wait(|| match stack.call("waiting", json!({"queue": QUEUE})) {
        Value::Number(count) if count.as_u64() == Some(0) => Ok(()),
        count => Err(format!("messages are still in the queue: {count}")),
    });
    let results = ["applied", "unrelated", "malformed", "foreign"];
    assert_eq!(results.map(|result| discovery.messages(result)), [3.0, 0.0, 0.0, 0.0]);

    stack.call("delete_queue", json!({"queue": QUEUE}));
    discovery.says("ecs_sd_event_queue_readable{", 0.0);
    discovery.has(&[&second_address]);
    // That process polls after three minutes of silence. A process that never read the queue polls from its start.
    let polling = Discovery::start(&stack, &keys, queue);
    polling.has(&[&second_address]);
    polling.says("ecs_sd_event_queue_readable{", 0.0);
    let (_, third_address) = stack.run("shop");
    polling.has(&[&second_address, &third_address]);
    polling.says("ecs_sd_events_live{", 0.0);
}
