//! A library panics while a source is refreshed, or while changes are reported.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ecs_simulator::{OWN_ACCESS_KEY, OWN_SECRET_KEY, Placement};
use prometheus_ecs_sd::aws::Aws;
use prometheus_ecs_sd::discovery::{Discovery, Outcome};
use prometheus_ecs_sd::published::SnapshotStore;
use prometheus_ecs_sd::sinks::http::metrics::{Format, page};
use tokio::sync::mpsc;

use super::{REGION, Stage, fleet, opted_in};

/// Makes the HTTP client panic on a request for this operation.
fn panic_at(stage: &Stage, operation: &'static str) {
    stage.simulator.on_call(move |call| {
        assert_ne!(call.operation, operation, "an assertion of a library");
        None
    });
}

/// Another task with another definition, so that there is a request of each kind.
fn another(stage: &Stage, family: &str) {
    stage.change(|region| {
        let definition = region.register(opted_in(family));
        region.run("prod", &definition, Placement::Fargate);
    });
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_refresh_keeps_the_targets_and_the_next_refresh_goes_on() {
    let stage = Stage::new(fleet(&[("prod", 2)]));
    let mut running = stage.run().await;
    assert!(running.next().await.complete);
    let operations = ["ListClusters", "ListTasks", "DescribeTasks", "DescribeTaskDefinition"];
    for (number, operation) in operations.into_iter().enumerate() {
        let (before, known) = (stage.file("1m"), 2 + number);
        another(&stage, operation);
        panic_at(&stage, operation);
        let published = running.next().await;
        assert!(!published.complete, "{operation}");
        assert_eq!(published.snapshot.target_count(), known, "{operation}");
        assert_eq!(stage.file("1m"), before, "{operation}");
        let problem = published.snapshot.scopes.values().find_map(|scope| scope.problem()).unwrap();
        assert!(problem.contains("the refresh panicked, which is a bug: "), "{problem}");
        let page = running.metrics(Format::Text);
        let counted = format!("ecs_sd_panics_total{{part=\"refresh\"}} {}\n", number + 1);
        assert!(page.contains(&counted), "{page}");
        stage.simulator.heal();
        let published = running.next().await;
        assert!(published.complete, "{operation}");
        assert_eq!(published.snapshot.target_count(), known + 1, "{operation}");
        assert_eq!(stage.file("1m"), stage.fresh().await.file("1m"), "{operation}");
    }
}

/// Known facts are not requested again.
#[tokio::test(start_paused = true)]
async fn the_refresh_after_a_panic_asks_for_no_more_than_usual() {
    let stage = Stage::new(fleet(&[("prod", 150)]));
    let mut running = stage.run().await;
    running.next().await;
    panic_at(&stage, "ListTasks");
    running.next().await;
    stage.simulator.heal();
    stage.asked();
    assert!(running.next().await.complete);
    let calls = stage.simulator.take_ledger();
    assert_eq!((calls.calls("ecs", "ListTasks"), calls.calls("ecs", "DescribeTaskDefinition")), (2, 0));
    assert!(calls.calls("ecs", "DescribeTasks") <= 1, "{calls}");
}

/// Otherwise the next process would take it for new.
#[tokio::test(start_paused = true)]
async fn what_is_saved_after_a_panic_says_since_when_it_is_held() {
    let stage = Stage::new(fleet(&[("prod", 2)]));
    let mut running = stage.run().await;
    let last_read = running.next().await.snapshot.scopes.values().next().unwrap().last_read;
    panic_at(&stage, "ListTasks");
    for _ in 0..2 {
        let facts = running.next().await.facts;
        let held: Vec<_> = facts[0].1.scopes.iter().map(|scope| scope.stale_since).collect();
        assert_eq!(held, [Some(last_read)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_first_refresh_leaves_the_files_and_the_second_writes_them() {
    let stage = Stage::new(fleet(&[("prod", 2)]));
    std::fs::write(stage.path("1m-tasks.json"), "of the run before").unwrap();
    panic_at(&stage, "ListClusters");
    assert_eq!(stage.once().await, Outcome::Nothing);
    assert_eq!(stage.file("1m"), "of the run before");
    let mut running = stage.run().await;
    assert!(running.next_within(Duration::from_secs(50)).await.is_none());
    stage.simulator.heal();
    assert!(running.next().await.complete);
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_source_costs_another_nothing() {
    let stage = Stage::new(fleet(&[("prod", 2)])).regions(&[REGION, "us-east-1"]);
    let mut running = stage.run().await;
    running.next().await;
    stage.simulator.on_call(|call| {
        assert_ne!(call.region, "us-east-1", "an assertion of a library");
        None
    });
    another(&stage, "new");
    let published = running.round().await;
    assert!(!published.complete);
    assert_eq!(stage.targets("1m").len(), 3);
}

/// An output that panics when it is written to for the first time.
#[derive(Clone, Default)]
struct Odd(Arc<Mutex<(bool, Vec<u8>)>>);

impl Write for Odd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut odd = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(std::mem::replace(&mut odd.0, true), "an assertion of a library");
        odd.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_changes_are_told_costs_that_publications_lines_only() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    let (out, store) = (Odd::default(), SnapshotStore::default());
    let aws = Aws::isolated(stage.simulator.connector(), REGION, OWN_ACCESS_KEY, OWN_SECRET_KEY);
    let discovery = Discovery::new(&stage.config, &aws, store.clone(), Arc::default(), out.clone()).unwrap();
    let mut published = discovery.subscribe();
    let (_nobody, unchanging) = mpsc::channel(1);
    let program = tokio::spawn(discovery.run(unchanging));
    for family in ["second", "third"] {
        published.changed().await.unwrap();
        published.mark_unchanged();
        tokio::time::sleep(Duration::from_millis(1)).await;
        another(&stage, family);
    }
    program.abort();
    let page = page(&store.metrics(), &store.reader(), Format::Text);
    assert!(page.contains("ecs_sd_panics_total{part=\"changes\"} 1\n"), "{page}");
    let printed = out.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone();
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.starts_with("+ http://") && printed.contains(" second app "), "{printed}");
}
