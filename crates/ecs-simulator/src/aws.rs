//! The handle on a simulated AWS: its world, its hooks, its limits and its ledger behind one lock each. It understands a
//! request, lets faults have their say, refuses what is too much, asks the world otherwise, and writes the call down.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::call::{Call, Ledger, Outcome, Record};
use crate::event_delivery::{Fate, deliver};
use crate::faults::{Hit, Injected};
use crate::http::{Delivery, Request, Response};
use crate::limits::Buckets;
use crate::wire;
use crate::world::World;

/// A simulated AWS. Clones share one world.
#[derive(Clone)]
pub struct Aws {
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    record: Mutex<Record>,
    hooks: RwLock<Hooks>,
    /// `None` while no limit is enforced.
    buckets: Mutex<Option<Buckets>>,
    injected: Mutex<Vec<Injected>>,
    /// Wakes calls that wait for a message.
    arrivals: Notify,
}

type Fault = Arc<dyn Fn(&Call) -> Option<Response> + Send + Sync>;
type Edit = Arc<dyn Fn(&Call, &mut Response) + Send + Sync>;

#[derive(Clone, Default)]
struct Hooks {
    latency: Duration,
    fault: Option<Fault>,
    edit: Option<Edit>,
    fate: Option<Fate>,
}

/// A call that was understood and has no answer yet.
pub(crate) struct Pending {
    aws: Aws,
    pub(crate) call: Call,
    hits: Vec<Hit>,
    edit: Option<Edit>,
}

impl Aws {
    /// An AWS that answers from this world, at once and without faults.
    pub fn new(mut world: World) -> Self {
        deliver(&mut world, None);
        let shared = Shared {
            world: Mutex::new(world),
            record: Mutex::default(),
            hooks: RwLock::default(),
            buckets: Mutex::default(),
            injected: Mutex::default(),
            arrivals: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Looks at the world or changes it; no call is answered meanwhile. Then the events of the change are delivered.
    pub fn change<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let fate = self.hooks().fate;
        let changed = {
            let mut world = self.world();
            let changed = change(&mut world);
            deliver(&mut world, fate.as_ref());
            changed
        };
        self.arrivals().notify_waiters();
        changed
    }

    /// Answers one request immediately, also one that would wait for a message: bytes in, bytes out.
    pub fn answer(&self, request: &Request) -> Response {
        let (pending, early) = self.begin(request);
        let response = early.unwrap_or_else(|| self.answer_of_world(&pending.call));
        pending.finish(response)
    }

    /// Understands a request. With it comes the answer, if the world is not to be asked: it refuses the call, or a fault
    /// or a limit answers it.
    pub(crate) fn begin(&self, request: &Request) -> (Pending, Option<Response>) {
        let (mut call, refusal) = wire::understand(request, &self.world());
        let hooks = self.hooks();
        let hits = self.hits(&mut call);
        let throttled = (!self.admits(&call)).then(|| Response::throttled(&call));
        let fault = hooks.fault.and_then(|fault| fault(&call));
        // The hit will put its answer in place of this one.
        let replaced = hits.iter().any(Hit::replaces_the_answer).then(Response::default);
        let early = fault.or(throttled).or(refusal).or(replaced);
        (Pending { aws: self.clone(), call, hits, edit: hooks.edit }, early)
    }

    pub(crate) fn answer_of_world(&self, call: &Call) -> Response {
        wire::answer(call, &mut self.world())
    }

    /// Meters calls as AWS does, by tokio's clock, from full buckets on: see [`LIMITS`](crate::LIMITS).
    pub fn enforce_limits(&self) {
        *self.buckets() = Some(Buckets::default());
    }

    /// Lets time pass before each answer of the connector and the server, by tokio's clock.
    pub fn set_latency(&self, latency: Duration) {
        self.change_hooks(|hooks| hooks.latency = latency);
    }

    /// Lets `fault` see each call first and answer it instead of the world. Replaces the fault before it.
    pub fn on_call(&self, fault: impl Fn(&Call) -> Option<Response> + Send + Sync + 'static) {
        self.change_hooks(|hooks| hooks.fault = Some(Arc::new(fault)));
    }

    /// Lets `edit` change each answer before it leaves. Replaces the edit before it.
    pub fn on_answer(&self, edit: impl Fn(&Call, &mut Response) + Send + Sync + 'static) {
        self.change_hooks(|hooks| hooks.edit = Some(Arc::new(edit)));
    }

    /// Removes the fault, the edit, what was injected and what disturbs events. Events that are held back stay so.
    pub fn heal(&self) {
        self.change_hooks(|hooks| (hooks.fault, hooks.edit, hooks.fate) = (None, None, None));
        self.injected().clear();
    }

    /// The calls since the last take, the first 100,000 of them, and forgets them and their sums.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.record()).calls
    }

    /// The sums of the calls since the last take, and forgets them and the calls.
    pub fn take_ledger(&self) -> Ledger {
        std::mem::take(&mut *self.record()).ledger
    }

    /// The sums of the calls since the last take.
    pub fn calls(&self) -> Ledger {
        self.record().ledger.clone()
    }

    pub(crate) fn set_fate(&self, fate: Option<Fate>) {
        self.change_hooks(|hooks| hooks.fate = fate);
    }

    pub(crate) fn latency(&self) -> Duration {
        self.hooks().latency
    }

    fn admits(&self, call: &Call) -> bool {
        self.buckets().as_mut().is_none_or(|buckets| buckets.admit(call))
    }

    fn buckets(&self) -> MutexGuard<'_, Option<Buckets>> {
        self.shared.buckets.lock().expect("metering does not panic")
    }

    pub(crate) fn arrivals(&self) -> &Notify {
        &self.shared.arrivals
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().expect("no change of the world panicked half-way")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record.lock().expect("adding a call does not panic")
    }

    pub(crate) fn injected(&self) -> MutexGuard<'_, Vec<Injected>> {
        self.shared.injected.lock().expect("choosing faults does not panic")
    }

    fn hooks(&self) -> Hooks {
        self.shared.hooks.read().expect("setting a hook does not panic").clone()
    }

    fn change_hooks(&self, change: impl FnOnce(&mut Hooks)) {
        change(&mut self.shared.hooks.write().expect("setting a hook does not panic"));
    }
}

impl Pending {
    /// Makes the final answer of this one, and writes the call down.
    pub(crate) fn finish(self, mut response: Response) -> Response {
        wire::clock::stamp(&mut response, &self.aws.world());
        self.hits.iter().for_each(|hit| hit.spoil(&self.call, &mut response));
        if let Some(edit) = &self.edit {
            edit(&self.call, &mut response);
        }
        if wire::may_send_messages(&self.call) {
            self.aws.arrivals().notify_waiters();
        }
        self.end(outcome(&response));
        response
    }

    /// Writes the call down.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.call.outcome = outcome;
        self.aws.record().add(self.call);
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("calls", &self.calls().total()).finish_non_exhaustive()
    }
}

fn outcome(response: &Response) -> Outcome {
    match response.delivery {
        Delivery::Refused => Outcome::Refused("connection refused".to_owned()),
        Delivery::Reset => Outcome::Refused("connection reset".to_owned()),
        Delivery::Stalled => Outcome::Refused("stalled".to_owned()),
        Delivery::Whole if response.status < 300 => Outcome::Answered,
        Delivery::Whole => Outcome::Refused(wire::error_code(response)),
    }
}
