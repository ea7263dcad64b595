//! Calls that fail, operation by operation: throttled, refused, broken on the way, or answered with something else.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ecs_simulator::{Aws, Calls, Fault, OWN_ACCOUNT, Region, World};

use super::trial::{NEXT_REFRESH, PARTNER, Trial, launch, populate, world};

pub(super) const OPERATIONS: [&str; 9] = [
    "ListClusters",
    "DescribeClusters",
    "ListTasks",
    "DescribeTasks",
    "DescribeTaskDefinition",
    "DescribeContainerInstances",
    "DescribeInstances",
    "DescribeInstanceInformation",
    "AssumeRole",
];

/// The partner's calls of an operation; where such a call names a cluster, those for the cluster `a`.
pub(super) fn partners(operation: &str) -> Calls {
    match operation {
        "ListTasks" | "DescribeTasks" | "DescribeContainerInstances" => {
            Calls::of(operation).in_account(PARTNER).in_cluster("a")
        }
        "AssumeRole" => Calls::of(operation),
        _ => Calls::of(operation).in_account(PARTNER),
    }
}

/// A run that needs the operation not only for what is new.
async fn begin(operation: &str) -> Trial {
    let mut world = world();
    match operation {
        // A valid session is used until it expires, whatever happens to the next one.
        "AssumeRole" => world.expires_in = Duration::ZERO,
        "DescribeTasks" => return Trial::rechecking(world).await,
        _ => {}
    }
    Trial::begin(world).await
}

type Inject = Box<dyn Fn(&Aws, Calls)>;

/// One trouble with an operation's calls.
pub(super) struct Trouble {
    what: String,
    inject: Inject,
    /// What hits every call, if anything does.
    always: Option<Fault>,
    /// How long after its end the next refresh may end.
    over_within: Duration,
}

impl Trouble {
    pub(super) fn new(what: &str, inject: impl Fn(&Aws, Calls) + 'static) -> Self {
        Self { what: what.to_owned(), inject: Box::new(inject), always: None, over_within: NEXT_REFRESH }
    }

    /// The fault hits every call.
    pub(super) fn of(fault: Fault) -> Self {
        let trouble = Self::new(&format!("{fault:?}"), move |aws, calls| aws.inject(fault, calls));
        // What stalls goes on for half a minute.
        let over_within = if fault == Fault::NeverEnds { 2 * NEXT_REFRESH } else { NEXT_REFRESH };
        Self { always: Some(fault), over_within, ..trouble }
    }

    pub(super) fn befall(&self, aws: &Aws, calls: Calls) {
        (self.inject)(aws, calls);
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Each trouble in turn befalls each operation at the partner's, for some refreshes: first while only the own account
/// changes, then while the partner's does, too, so that there is everything to ask.
pub(super) async fn check(operations: &[&str], troubles: &[Trouble]) {
    for operation in operations {
        let mut trial = begin(operation).await;
        let (mut own, mut theirs) = (Changing::default(), Changing::default());
        for trouble in troubles {
            let what = format!("{operation}: {trouble}");
            let before = trial.targets();
            trial.stage.asked();
            trouble.befall(&trial.stage.simulator, partners(operation));

            trial.change(OWN_ACCOUNT, |region| own.change(region, launch_one));
            trial.watch(NEXT_REFRESH, |now| now.are_in(PARTNER, &before, &what)).await;
            let heard = trial.targets();

            trial.change(PARTNER, |region| theirs.change(region, populate));
            let (fresh, expected) = trial.fresh().await;
            heard.are_in(OWN_ACCOUNT, &expected, &what);
            trial.watch(2 * NEXT_REFRESH, |now| now.lie_between(&before, &expected, &what)).await;
            assert!(trial.stage.asked().contains(operation), "{what}: nothing was hit");
            let unheard = trouble.always.is_some_and(|fault| leaves_unheard(operation, fault));
            assert!(!(unheard && trial.complete), "{what}: complete");
            trial.becomes(&fresh, trouble.over_within, &what).await;
        }
    }
}

/// Whether a refresh is not complete without these answers.
fn leaves_unheard(operation: &str, fault: Fault) -> bool {
    match operation {
        "ListClusters" => true,
        // The partner has another cluster; the denied one is not expected.
        "ListTasks" | "DescribeTasks" => fault != Fault::Denied,
        // The first half of its answer holds the credentials.
        "AssumeRole" => fault != Fault::CutShort,
        // Clusters go without their tags.
        "DescribeClusters" => false,
        // What is not allowed is not expected.
        _ => fault != Fault::Denied,
    }
}

/// An account whose tasks in the cluster `a` are replaced, and so is a cluster.
#[derive(Default)]
pub(super) struct Changing {
    changes: usize,
    running: Vec<String>,
}

impl Changing {
    pub(super) fn change(
        &mut self,
        region: &mut Region,
        run: impl Fn(&mut Region, &str, &str) -> Vec<String>,
    ) {
        self.running.drain(..).for_each(|task| region.stop(&task));
        region.delete_cluster(&format!("new-{}", self.changes));
        self.changes += 1;
        let name = format!("new-{}", self.changes);
        self.running = run(region, "a", &name);
        launch(region, &name, &name);
    }
}

fn launch_one(region: &mut Region, cluster: &str, name: &str) -> Vec<String> {
    vec![launch(region, cluster, name)]
}

#[tokio::test(start_paused = true)]
async fn throttling_of_a_part_or_all_of_an_operations_calls_costs_nothing() {
    let shares = [0.1, 0.5, 1.0];
    let throttling = shares.map(|share| {
        Trouble::new(&format!("throttling of {share}"), move |aws, calls| {
            aws.inject(Fault::Throttled, calls.share(share, 1));
        })
    });
    check(&OPERATIONS, &throttling).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_cost_nothing() {
    let faults = [Fault::ServerError, Fault::Unavailable, Fault::Denied, Fault::Expired];
    check(&OPERATIONS, &faults.map(Trouble::of)).await;
}

#[tokio::test(start_paused = true)]
async fn broken_connections_cost_nothing() {
    let faults = [Fault::ConnectionRefused, Fault::ResetMidBody, Fault::NeverEnds];
    check(&OPERATIONS, &faults.map(Trouble::of)).await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_cut_or_something_else_cost_nothing() {
    check(&OPERATIONS, &[Fault::CutShort, Fault::NotJsonOrXml].map(Trouble::of)).await;
}

/// The credentials of an assumed role are refused from the middle of a refresh on, though they have not expired.
#[tokio::test(start_paused = true)]
async fn sessions_that_end_early_cost_nothing_and_are_followed_by_others() {
    for operation in OPERATIONS.into_iter().filter(|operation| *operation != "AssumeRole") {
        let mut trial = Trial::rechecking(world()).await;
        let before = trial.targets();
        let (simulator, ended) = (trial.stage.simulator.clone(), AtomicBool::new(false));
        trial.stage.simulator.on_call(move |call| {
            let is_it = call.operation == operation && call.account == PARTNER;
            if is_it && !ended.swap(true, Ordering::Relaxed) {
                simulator.change(World::end_sessions);
            }
            None
        });
        trial.change(PARTNER, |region| Changing::default().change(region, populate));
        let (fresh, expected) = trial.fresh().await;
        trial.stage.asked();
        trial.watch(NEXT_REFRESH, |now| now.lie_between(&before, &expected, operation)).await;
        trial.becomes(&fresh, NEXT_REFRESH, operation).await;
        assert!(trial.stage.asked().contains("AssumeRole"), "{operation}: no session has ended");
    }
}
