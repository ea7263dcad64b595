//! What the log says once, and again when it happens again.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ecs_simulator::{Calls, Fault, HostKind, Placement, Run};
use tracing::Level;
use tracing::subscriber::DefaultGuard;

use super::{Stage, fleet, opted_in};

/// What this thread logs, on which everything runs but the sinks.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(Level::INFO);
        let subscriber = subscriber.with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// How often it has said this since it was last asked for anything.
    pub(super) fn count(&self, message: &str, of: &str) -> usize {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().filter(|line| line.contains(message) && line.contains(of)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn denied_services_are_told_once_as_a_missing_permission() {
    let (log, _guard) = Log::listen();
    let mut stage = Stage::new(fleet(&[("prod", 1)]));
    stage.config.rules.service_tags = true;
    stage.change(|region| {
        let definition = region.register(opted_in("web"));
        region.run_with(Run::new("prod", &definition, Placement::Fargate).service("web"));
    });
    stage.simulator.inject(Fault::Denied, Calls::of("DescribeServices"));
    let mut running = stage.run().await;
    for _ in 0..20 {
        running.next().await;
    }
    assert_eq!(log.count("request is not allowed", "DescribeServices"), 1);
    stage.simulator.heal();
    for _ in 0..3 {
        running.next().await;
    }
    assert_eq!(log.count("request is allowed again", "DescribeServices"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_denied_again_is_told_again() {
    for operation in [
        "DescribeTasks",
        "DescribeTaskDefinition",
        "DescribeContainerInstances",
        "DescribeInstances",
        "DescribeInstanceInformation",
    ] {
        let (log, _guard) = Log::listen();
        let stage = Stage::new(fleet(&[("prod", 1)]));
        let mut running = stage.run().await;
        running.next().await;
        for round in ["first", "second"] {
            log.count("", "");
            stage.simulator.inject(Fault::Denied, Calls::of(operation));
            stage.change(|region| {
                for kind in [HostKind::Ec2, HostKind::External] {
                    let host = region.launch_host("prod", kind);
                    let definition = region.register(opted_in(round).network_mode("bridge"));
                    region.run("prod", &definition, Placement::On(host));
                }
            });
            running.next().await;
            running.next().await;
            assert_eq!(log.count("request is not allowed", operation), 1, "{operation}, {round}");
            stage.simulator.heal();
            // Denied items are asked for again after some minutes.
            for _ in 0..20 {
                running.next().await;
            }
            assert_eq!(log.count("request is allowed again", operation), 1, "{operation}, {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_nowhere_again_is_told_again() {
    let (log, _guard) = Log::listen();
    let stage = Stage::new(fleet(&[("prod", 1)])).clusters(&["prod", "later"]);
    let mut running = stage.run().await;
    for _ in 0..2 {
        for _ in 0..2 {
            running.next().await;
        }
        assert_eq!(log.count("no such cluster", "later"), 1);
        stage.change(|region| {
            region.cluster("later");
        });
        for _ in 0..5 {
            running.next().await;
        }
        assert_eq!(log.count("no such cluster", "later"), 0);
        stage.change(|region| region.delete_cluster("later"));
        running.next().await;
    }
}
