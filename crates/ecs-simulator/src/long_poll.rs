//! Answers that wait: a ReceiveMessage with a `WaitTimeSeconds` is answered when there is a message, or when that time,
//! by tokio's clock, is over. A call that waits has no lock, so that all others are answered meanwhile.

use std::pin::pin;

use tokio::time::{Instant, timeout_at};

use crate::aws::{Aws, Pending};
use crate::call::{Call, Outcome};
use crate::http::{Request, Response};
use crate::wire;
use crate::wire::sqs::{self, Readiness};

impl Aws {
    /// Answers one request as [`Aws::answer`] does, but lets a receive wait for a message.
    pub async fn answer_in_time(&self, request: &Request) -> Response {
        let (pending, early) = self.begin(request);
        if let Some(response) = early {
            return pending.finish(response);
        }
        if sqs::wait_time(&pending.call).is_zero() {
            let response = self.answer_of_world(&pending.call);
            return pending.finish(response);
        }
        let call = pending.call.clone();
        let waiting = Waiting(Some(pending));
        let response = self.wait(&call).await;
        waiting.finish(response)
    }

    async fn wait(&self, call: &Call) -> Response {
        let deadline = Instant::now() + sqs::wait_time(call);
        loop {
            let mut arrival = pin!(self.arrivals().notified());
            // From here on, a message that is sent wakes this call, even before it sleeps.
            arrival.as_mut().enable();
            let until = {
                let mut world = self.world();
                let now = Instant::now();
                match sqs::readiness(call, &world, now) {
                    Readiness::Not(visible) if now < deadline => {
                        visible.map_or(deadline, |visible| visible.min(deadline))
                    }
                    _ => return wire::answer(call, &mut world),
                }
            };
            // Either way the loop looks at the queue again.
            let _ = timeout_at(until, arrival).await;
        }
    }
}

/// A call that waits. If the caller closes the connection, the ledger says so.
struct Waiting(Option<Pending>);

impl Waiting {
    fn finish(mut self, response: Response) -> Response {
        self.0.take().expect("only the drop takes it too").finish(response)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(pending) = self.0.take() {
            pending.end(Outcome::Refused("connection closed by the caller".to_owned()));
        }
    }
}
