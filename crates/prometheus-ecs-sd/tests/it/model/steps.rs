//! What can happen, step by step: to the world, to AWS's answers and events, and to the program.

use std::fmt;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, option, sample};

use super::events::{Events, Fate};
use super::faults::{Fault, Lie};
use super::recipes::Recipe;

/// What happens in one world.
#[derive(Clone)]
pub(super) struct Case {
    /// So many items are on a page of a listing.
    pub(super) page: usize,
    /// Milliseconds that every answer takes, so that the world may change in the middle of a refresh.
    pub(super) latency: u64,
    /// Whether the clusters are named, and not listed.
    pub(super) named: bool,
    /// Whether known facts are requested again every ten minutes, or in every refresh.
    pub(super) rare_rechecks: bool,
    /// How AWS is wrong, when it is. Being wrong in two ways at once, it could not be seen through.
    pub(super) lie: Lie,
    /// How events reach the program, if it reads any.
    pub(super) events: Option<Events>,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Something happens in the world.
    World(Change),
    /// Time passes until the next publication.
    Refresh,
    /// So many seconds pass.
    Pass(u16),
    /// Something goes wrong from now on.
    Trouble(Fault),
    /// This becomes of events from now on.
    Events(Fate),
    /// Events that were held back are delivered.
    Release,
    /// Nothing goes wrong any more. Now all must be right.
    Heal,
    /// The program ends and another begins.
    Restart,
}

/// Which of those that the change is possible for: the so manieth, counted round and round.
pub(super) type Pick = u8;

#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Tasks of a new revision begin, or with `running` are there at once.
    Start { cluster: Cluster, recipe: Recipe, tasks: u8, running: bool },
    /// One more task like this one begins.
    Scale(Pick),
    /// A task on its way goes a step further.
    Advance(Pick),
    /// All tasks on their way go a step further.
    AdvanceAll,
    /// A task is told to end.
    BeginStop(Pick),
    /// A task ends at once.
    Stop(Pick),
    /// A new revision of this task's definition takes the place of all tasks of the old one.
    Redeploy(Pick),
    /// An hour is over: stopped tasks are forgotten.
    Expire,
    /// A container instance and its machine are gone, and all tasks on it.
    LoseHost(Pick),
    /// A cluster is deleted with all that is in it.
    Delete(Cluster),
    /// A task's health turns bad.
    Sicken(Pick),
    /// A task gets another tag.
    Retag(Pick),
    /// A container instance's machine has another address.
    MoveHost(Pick),
    /// A machine of EC2 gets another public address and another tag.
    RetagHost(Pick),
    /// A cluster gets another tag.
    RetagCluster(Cluster),
    /// A task's definition gets another tag.
    RetagDefinition(Pick),
    /// A task's last container ends while the others go on.
    StopContainer(Pick),
    /// A task's last container ends and starts again, in bridge mode at other ports.
    RestartContainer(Pick),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cluster {
    Alpha,
    Beta,
    /// In an account of its own, behind a role.
    Partner,
}

impl Cluster {
    pub(super) const ALL: [Self; 3] = [Self::Alpha, Self::Beta, Self::Partner];

    pub(super) fn any() -> impl Strategy<Value = Self> {
        sample::select(&Self::ALL[..])
    }
}

impl Case {
    /// The program reads no queue.
    pub(super) fn polled() -> impl Strategy<Value = Self> {
        Self::any(Just(None))
    }

    /// The program reads queues.
    pub(super) fn told() -> impl Strategy<Value = Self> {
        Self::any(Events::any().prop_map(Some))
    }

    fn any(events: impl Strategy<Value = Option<Events>>) -> impl Strategy<Value = Self> {
        let page = prop_oneof![Just(99), 2..8usize];
        let latency = sample::select(&[0, 0, 300, 2_000][..]);
        let lie = sample::select(&[Lie::Omits, Lie::CallsMissing][..]);
        let settings = (page, latency, any::<bool>(), any::<bool>(), lie, events);
        let begin = collection::vec(Change::start().prop_map(Step::World), 0..4);
        let rest = collection::vec(phrase(), 1..12);
        (settings, begin, rest).prop_map(
            |((page, latency, named, rare_rechecks, lie, events), begin, rest)| {
                let steps =
                    begin.into_iter().chain([Step::Refresh]).chain(rest.into_iter().flatten()).collect();
                Self { page, latency, named, rare_rechecks, lie, events, steps }
            },
        )
    }
}

/// Some steps that are likely to come to something; any of them may be missing, so that a failure can do without it.
fn phrase() -> impl Strategy<Value = Vec<Step>> {
    // Often so long that all that is not in trouble must be right, and rarely so long that unused facts are forgotten.
    let pass = prop_oneof![50 => 1..90u16, 30 => Just(200), 1 => Just(4_000)].prop_map(Step::Pass);
    let steps = (
        option::weighted(0.4, Fault::any().prop_map(Step::Trouble)),
        option::weighted(0.3, Fate::any().prop_map(Step::Events)),
        option::weighted(0.6, Change::any().prop_map(Step::World)),
        option::weighted(0.1, Just(Step::Restart)),
        option::weighted(0.7, prop_oneof![Just(Step::Refresh), pass]),
        option::weighted(0.2, Just(Step::Release)),
        option::weighted(0.1, Just(Step::Heal)),
    );
    steps.prop_map(|(trouble, events, change, restart, wait, release, heal)| {
        [trouble, events, change, restart, wait, release, heal].into_iter().flatten().collect()
    })
}

impl Change {
    fn start() -> impl Strategy<Value = Self> {
        // Now and then so many that they are described in two batches.
        let tasks = prop_oneof![30 => 0..4u8, 1 => 101..110u8];
        (Cluster::any(), Recipe::any(), tasks, any::<bool>())
            .prop_map(|(cluster, recipe, tasks, running)| Self::Start { cluster, recipe, tasks, running })
    }

    fn any() -> impl Strategy<Value = Self> {
        let pick = || any::<Pick>();
        prop_oneof![
            8 => Self::start(),
            2 => pick().prop_map(Self::Scale),
            2 => pick().prop_map(Self::Advance),
            3 => Just(Self::AdvanceAll),
            1 => pick().prop_map(Self::BeginStop),
            2 => pick().prop_map(Self::Stop),
            2 => pick().prop_map(Self::Redeploy),
            1 => Just(Self::Expire),
            1 => pick().prop_map(Self::LoseHost),
            1 => Cluster::any().prop_map(Self::Delete),
            1 => pick().prop_map(Self::Sicken),
            1 => pick().prop_map(Self::Retag),
            1 => pick().prop_map(Self::StopContainer),
            1 => pick().prop_map(Self::RestartContainer),
            1 => pick().prop_map(Self::MoveHost),
            1 => pick().prop_map(Self::RetagHost),
            1 => Cluster::any().prop_map(Self::RetagCluster),
            1 => pick().prop_map(Self::RetagDefinition),
        ]
    }
}

/// A step a line.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, latency, named, rare_rechecks, lie, events, steps } = self;
        writeln!(f, "Case {{")?;
        writeln!(
            f,
            "    page: {page}, latency: {latency}, named: {named}, rare_rechecks: {rare_rechecks}, lie: {lie:?},"
        )?;
        writeln!(f, "    events: {events:?},")?;
        writeln!(f, "    steps: vec![")?;
        for step in steps {
            writeln!(f, "        {step:?},")?;
        }
        write!(f, "    ],\n}}")
    }
}
