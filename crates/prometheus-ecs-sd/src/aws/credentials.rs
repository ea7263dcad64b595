//! Credentials that are kept for as long as they hold: the base credentials, once for all sources, and each role's.
//!
//! Every request of the own account is signed with the base credentials, and so is every attempt to assume a role. A load
//! runs the user's program (`credential_process`) or asks the instance or the ECS agent, which throttle; that of a
//! role asks STS. So there is at most one load at a time, and at most one in [`PAUSE`], however many ask and fail.
//! (The SDK's own cache keeps what AWS no longer accepts until it expires.)

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use tokio::sync::watch;
use tokio::time::Instant;

/// No question waits longer for its credentials. Room for three attempts to assume a role, and the pauses between.
const LOAD_TIMEOUT: Duration = Duration::from_secs(45);

/// What came of a load holds at least so long, be it a failure or credentials that have expired: what runs in
/// parallel fails together, and what comes later may succeed.
const PAUSE: Duration = Duration::from_secs(1);

/// An attempt that is signed just before has its turn, and ends, before the credentials do. (Unless AWS throttles. An
/// instance's are exchanged five minutes before they expire.)
const EARLY: Duration = Duration::from_secs(60);

/// Credentials that do not say when they expire may be exchanged all the same. The SDK's own number.
const WITHOUT_EXPIRY: Duration = Duration::from_secs(15 * 60);

/// What a provider gave, for as long as it holds. Clones keep the same.
#[derive(Clone)]
pub(super) struct KeptCredentials {
    provider: SharedCredentialsProvider,
    clock: SharedTimeSource,
    latest: Arc<Mutex<Option<Load>>>,
}

type Outcome = Result<Credentials, Arc<CredentialsError>>;

struct Load {
    begun: Instant,
    /// `None` until the load has ended.
    outcome: watch::Receiver<Option<Outcome>>,
}

impl KeptCredentials {
    pub(super) fn new(provider: SharedCredentialsProvider, clock: SharedTimeSource) -> Self {
        Self { provider, clock, latest: Arc::default() }
    }

    /// Gives up what AWS does not accept, so that the next request is signed with something else. Requests that were
    /// signed before the latest load say nothing about it.
    pub(super) fn refused(&self, access_key: &str) {
        let mut latest = self.latest.lock().expect("nothing panics under the lock");
        latest.take_if(|load| load.begun.elapsed() >= PAUSE && load.gave(access_key));
    }

    async fn credentials(&self) -> provider::Result {
        let mut outcome = self.outcome();
        let ended = outcome.wait_for(Option::is_some).await.map_err(CredentialsError::unhandled)?;
        let outcome = ended.clone().expect("it was waited for");
        // The SDK's errors cannot be cloned; that there are none to be found is what a caller must still see.
        outcome.map_err(|error| match *error {
            CredentialsError::CredentialsNotLoaded(_) => CredentialsError::not_loaded(error),
            _ => CredentialsError::provider_error(error),
        })
    }

    /// That of the latest load while it holds, or of one that begins now.
    fn outcome(&self) -> watch::Receiver<Option<Outcome>> {
        let mut latest = self.latest.lock().expect("nothing panics under the lock");
        match &*latest {
            Some(load) if load.holds(self.clock.now()) => load.outcome.clone(),
            _ => latest.insert(Load::begin(self.provider.clone())).outcome.clone(),
        }
    }
}

impl Load {
    /// Loads in a task of its own, which ends even when the question that began it has given up.
    fn begin(provider: SharedCredentialsProvider) -> Self {
        let (sender, outcome) = watch::channel(None);
        tokio::spawn(async move {
            let loaded = tokio::time::timeout(LOAD_TIMEOUT, provider.provide_credentials()).await;
            let loaded = loaded.unwrap_or_else(|_| {
                let timed_out = || CredentialsError::provider_timed_out(LOAD_TIMEOUT);
                provider.fallback_on_interrupt().ok_or_else(timed_out)
            });
            sender.send_replace(Some(loaded.map_err(Arc::new)));
        });
        Self { begun: Instant::now(), outcome }
    }

    fn gave(&self, access_key: &str) -> bool {
        matches!(&*self.outcome.borrow(), Some(Ok(credentials)) if credentials.access_key_id() == access_key)
    }

    fn holds(&self, now: SystemTime) -> bool {
        let age = self.begun.elapsed();
        match &*self.outcome.borrow() {
            None => age <= LOAD_TIMEOUT,
            Some(_) if age < PAUSE => true,
            Some(Err(_)) => false,
            Some(Ok(credentials)) => match credentials.expiry() {
                Some(expiry) => now + EARLY < expiry,
                None => age < WITHOUT_EXPIRY,
            },
        }
    }
}

impl ProvideCredentials for KeptCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl fmt::Debug for KeptCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptCredentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{self, listing, over};
    use super::super::{ATTEMPT_TIMEOUT, Aws, Source, SourceSpec};
    use super::*;
    use aws_smithy_async::time::TimeSource;
    use ecs_discovery::arn::RoleArn;
    use ecs_discovery::inventory::question::{Answer, Failure, FailureKind};
    use ecs_simulator::{Aws as SimulatedAws, OWN_ACCESS_KEY, OWN_SECRET_KEY, Response};
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::{advance, timeout};

    const HOUR: Duration = Duration::from_secs(3600);

    /// Counts its loads, of which the first ones fail.
    #[derive(Clone, Debug, Default)]
    struct Counting {
        loads: Arc<AtomicUsize>,
        failing: usize,
        slow: Duration,
        expiry: Option<SystemTime>,
    }

    impl Counting {
        fn loads(&self) -> usize {
            self.loads.load(Ordering::SeqCst)
        }

        async fn load(&self) -> provider::Result {
            let earlier = self.loads.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.slow).await;
            match earlier < self.failing {
                true => Err(CredentialsError::not_loaded("not there yet")),
                false => Ok(Credentials::new(OWN_ACCESS_KEY, OWN_SECRET_KEY, None, self.expiry, "counting")),
            }
        }

        fn base(&self, clock: impl TimeSource + 'static) -> KeptCredentials {
            KeptCredentials::new(SharedCredentialsProvider::new(self.clone()), SharedTimeSource::new(clock))
        }
    }

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(self.load())
        }
    }

    /// The epoch, and the time that has passed by tokio's clock.
    #[derive(Debug)]
    struct Clock(Instant);

    impl TimeSource for Clock {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.0.elapsed()
        }
    }

    fn aws(simulated: &SimulatedAws, provider: &Counting) -> Aws {
        let provider = SharedCredentialsProvider::new(provider.clone());
        Aws::sharing(over(simulated).config.into_builder().credentials_provider(provider).build())
    }

    /// The own account and three roles, each in two regions.
    async fn sources(aws: &Aws) -> Vec<Source> {
        let mut sources = Vec::new();
        for region in ["eu-west-1", "us-east-1"] {
            for account in ["", "1", "2", "3"] {
                let role = format!("arn:aws:iam::00000000000{account}:role/reader");
                let role = (!account.is_empty()).then(|| RoleArn::parse(&role).expect("a role"));
                let spec =
                    SourceSpec { role, external_id: None, session_name: None, region: region.to_owned() };
                sources.push(aws.source(spec));
            }
        }
        sources
    }

    async fn ask(sources: &[Source]) -> Vec<Result<Answer, Failure>> {
        let question = listing();
        join_all(sources.iter().map(|source| source.ask(&question))).await
    }

    #[tokio::test(start_paused = true)]
    async fn all_sources_and_all_attempts_to_assume_a_role_share_one_load() {
        let simulated = SimulatedAws::new(simulated::world());
        simulated.on_call(|call| (call.service == "sts").then(|| Response::unavailable(call)));
        let provider = Counting::default();
        let sources = sources(&aws(&simulated, &provider)).await;
        for _ in 0..3 {
            ask(&sources).await;
            advance(PAUSE).await;
        }
        assert_eq!(simulated.take_ledger().calls("sts", "AssumeRole"), 6 * 3 * 3);
        assert_eq!(provider.loads(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_load_is_shared_for_a_moment_and_tried_again_later() {
        let simulated = SimulatedAws::new(simulated::world());
        let provider = Counting { failing: 1, slow: Duration::from_millis(50), ..Counting::default() };
        let sources = sources(&aws(&simulated, &provider)).await;
        for _ in 0..3 {
            for answer in ask(&sources).await {
                let failure = answer.expect_err("no credentials");
                assert_eq!(failure.kind, FailureKind::NoCredentials);
                assert!(failure.message.contains("no AWS credentials were found"), "{failure}");
            }
        }
        assert_eq!(provider.loads(), 1);
        advance(PAUSE).await;
        sources[0].ask(&listing()).await.expect("the credentials are there now");
        assert_eq!(provider.loads(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_loaded_again_shortly_before_they_expire() {
        let expiry = Some(SystemTime::UNIX_EPOCH + HOUR);
        let provider = Counting { expiry, ..Counting::default() };
        let base = provider.base(Clock(Instant::now()));
        for (pause, loads) in [
            (Duration::ZERO, 1),
            (HOUR - EARLY - PAUSE, 1),
            (PAUSE, 2),
            // A provider that gives what has expired is not asked for every request.
            (EARLY, 3),
            (Duration::ZERO, 3),
            (PAUSE, 4),
        ] {
            advance(pause).await;
            base.credentials().await.expect("credentials");
            assert_eq!(provider.loads(), loads);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_without_expiry_are_loaded_again_from_time_to_time() {
        let provider = Counting::default();
        let base = provider.base(Clock(Instant::now()));
        for (pause, loads) in [(Duration::ZERO, 1), (WITHOUT_EXPIRY - PAUSE, 1), (PAUSE, 2)] {
            advance(pause).await;
            base.credentials().await.expect("credentials");
            assert_eq!(provider.loads(), loads);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_goes_on_when_nobody_waits_and_ends_in_time() {
        let provider = Counting { slow: ATTEMPT_TIMEOUT * 2, ..Counting::default() };
        let base = provider.base(Clock(Instant::now()));
        timeout(ATTEMPT_TIMEOUT, base.credentials()).await.expect_err("not yet");
        base.credentials().await.expect("credentials");
        assert_eq!(provider.loads(), 1);
        let base = Counting { slow: HOUR, ..Counting::default() }.base(Clock(Instant::now()));
        let begun = Instant::now();
        base.credentials().await.expect_err("a time-out");
        assert!(begun.elapsed() <= LOAD_TIMEOUT + PAUSE);
    }

    #[tokio::test]
    async fn nothing_shows_the_credentials() {
        let aws = aws(&SimulatedAws::new(simulated::world()), &Counting::default());
        let sources = sources(&aws).await;
        sources[0].ask(&listing()).await.expect("an answer");
        let shown = format!("{aws:?} {sources:?}");
        assert!(!shown.contains(OWN_ACCESS_KEY) && !shown.contains(OWN_SECRET_KEY), "{shown}");
    }
}
