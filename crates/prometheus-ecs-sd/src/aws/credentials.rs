//! Caches credentials while they are valid: the base credentials, shared by all sources, and those of each role.
//!
//! The base credentials sign every request of the own account, and every attempt to assume a role. A load runs the user's
//! program (`credential_process`) or calls the instance or the ECS agent, which throttle; that of a role calls STS. So
//! there is at most one load at a time, and at most one in [`PAUSE`], for any number of requests and failures. (The SDK's
//! own cache keeps credentials that AWS refuses until they expire.)
//!
//! When a load fails, the previous credentials are used until they expire or AWS refuses them. Another process may be
//! rewriting the file, or their source may be down for a moment.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::SharedTimeSource;
use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::failure;

/// The time limit of a load: enough for three attempts to assume a role, and the pauses between them.
const LOAD_TIMEOUT: Duration = Duration::from_secs(45);

/// The minimum time for which the result of a load is used, even a failure or expired credentials: concurrent requests
/// share it, and later ones may succeed.
const PAUSE: Duration = Duration::from_secs(1);

/// Credentials are replaced this long before they expire, so that an attempt that is signed just before ends in time.
/// (Unless AWS throttles. An instance's role renews them five minutes before they expire.)
const EARLY: Duration = Duration::from_secs(60);

/// The lifetime of credentials without an expiry: their source may replace them. The SDK's own number.
const WITHOUT_EXPIRY: Duration = Duration::from_secs(15 * 60);

/// The credentials of a provider, while they are valid. Clones share them.
#[derive(Clone)]
pub(super) struct KeptCredentials {
    provider: SharedCredentialsProvider,
    clock: SharedTimeSource,
    /// The account, for the log.
    account: Arc<str>,
    reloads: Reloads,
    kept: Arc<Mutex<Kept>>,
}

/// The number of reloads of the configuration. Credentials that were loaded before the last reload are loaded again.
#[derive(Clone, Debug, Default)]
pub(super) struct Reloads(Arc<AtomicU64>);

impl Reloads {
    /// Counts one more reload.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct Kept {
    latest: Option<Load>,
    /// The credentials of the latest successful load, until AWS refuses them or they expire.
    good: Option<Good>,
    /// Their source, even if AWS has refused them.
    source: Option<AwsCredentialFeature>,
    /// Whether the load before this one gave credentials of another source.
    moved: bool,
    /// Whether the latest load failed and `good` is used instead.
    stale: bool,
    /// Counts the loads that failed.
    failures: Counter,
}

struct Good {
    /// When their load began; this identifies the load.
    begun: Instant,
    credentials: Credentials,
}

type Outcome = Result<Credentials, Arc<CredentialsError>>;

struct Load {
    begun: Instant,
    /// The number of reloads at that time.
    reloads: u64,
    /// Whether the load before it failed: requests do not wait for this one while there are other credentials to use.
    is_retry: bool,
    /// `None` until the load has ended.
    outcome: watch::Receiver<Option<Outcome>>,
}

/// The chain of providers found credentials at a later provider: after an empty credentials file it uses the instance's
/// role.
#[derive(Debug, thiserror::Error)]
#[error("they would now come from {} instead of {}", name(.now), name(.before))]
struct Moved {
    before: AwsCredentialFeature,
    now: AwsCredentialFeature,
}

impl KeptCredentials {
    pub(super) fn new(
        provider: SharedCredentialsProvider,
        clock: SharedTimeSource,
        account: &str,
        reloads: Reloads,
    ) -> Self {
        Self { provider, clock, account: account.into(), reloads, kept: Arc::default() }
    }

    /// Counts failed loads, of all clones, in this counter.
    pub(super) fn count_failures(&self, failures: Counter) {
        self.kept().failures = failures;
    }

    /// Drops credentials that AWS refuses, so that the next request is signed with other ones. Requests that were
    /// signed before the latest load say nothing about it.
    pub(super) fn refused(&self, access_key: &str) {
        let mut kept = self.kept();
        kept.good
            .take_if(|good| good.begun.elapsed() >= PAUSE && good.credentials.access_key_id() == access_key);
        kept.latest.take_if(|load| load.begun.elapsed() >= PAUSE && load.gave(access_key));
    }

    async fn credentials(&self) -> provider::Result {
        let mut outcome = match self.latest() {
            Latest::Known(credentials) => return Ok(credentials),
            Latest::Awaited(outcome) => outcome,
        };
        let ended = outcome.wait_for(Option::is_some).await.map_err(CredentialsError::unhandled)?;
        let outcome = ended.clone().expect("it was waited for");
        // The SDK's errors cannot be cloned; the caller must still see that no credentials were found.
        outcome.map_err(|error| match *error {
            CredentialsError::CredentialsNotLoaded(_) => CredentialsError::not_loaded(error),
            _ => CredentialsError::provider_error(error),
        })
    }

    /// The latest load while it is valid, or a new one.
    fn latest(&self) -> Latest {
        let mut kept = self.kept();
        let load = match kept.latest.take() {
            Some(load) if self.holds(&load, kept.good.as_ref()) => load,
            before => {
                let is_reloaded = before.is_none_or(|load| load.reloads != self.reloads.number());
                self.begin(kept.stale && !is_reloaded)
            }
        };
        let outcome = kept.latest.insert(load).outcome.clone();
        let is_running = outcome.borrow().is_none();
        match (&kept.good, &kept.latest) {
            (Some(good), Some(load)) if is_running && load.is_retry => {
                Latest::Known(good.credentials.clone())
            }
            _ => Latest::Awaited(outcome),
        }
    }

    fn holds(&self, load: &Load, good: Option<&Good>) -> bool {
        let age = load.begun.elapsed();
        match &*load.outcome.borrow() {
            None => age <= LOAD_TIMEOUT,
            Some(_) if age < PAUSE => true,
            Some(Err(_)) => false,
            Some(Ok(credentials)) => {
                let is_new = good.is_some_and(|good| good.begun == load.begun);
                is_new && load.reloads == self.reloads.number() && self.is_valid(credentials, age)
            }
        }
    }

    fn is_valid(&self, credentials: &Credentials, age: Duration) -> bool {
        match credentials.expiry() {
            Some(expiry) => self.clock.now() + EARLY < expiry,
            None => age < WITHOUT_EXPIRY,
        }
    }

    /// Loads in a separate task, which ends even when the question that began it is cancelled.
    fn begin(&self, is_retry: bool) -> Load {
        let (sender, outcome) = watch::channel(None);
        let load = Load { begun: Instant::now(), reloads: self.reloads.number(), is_retry, outcome };
        let (credentials, begun) = (self.clone(), load.begun);
        tokio::spawn(async move {
            // If a library panics, waiting requests must still get a result.
            let loading = AssertUnwindSafe(credentials.provider.provide_credentials()).catch_unwind();
            let loading = loading.map(|loaded| loaded.unwrap_or_else(|_| Err(panicked())).and_then(usable));
            let loaded = tokio::time::timeout(LOAD_TIMEOUT, loading).await;
            let loaded = loaded.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(LOAD_TIMEOUT)));
            sender.send_replace(Some(credentials.end(begun, loaded)));
        });
        load
    }

    /// The result of a load: its credentials, else the previous ones.
    fn end(&self, begun: Instant, loaded: provider::Result) -> Outcome {
        let mut kept = self.kept();
        let account = &*self.account;
        kept.moved &= loaded.is_ok();
        match loaded.and_then(|credentials| kept.check_source(credentials)) {
            Ok(credentials) => {
                kept.good = Some(Good { begun, credentials: credentials.clone() });
                if std::mem::take(&mut kept.stale) {
                    info!(account, "AWS credentials could be loaded again");
                }
                Ok(credentials)
            }
            Err(error) => {
                kept.failures.inc();
                let Some(credentials) = kept.good.as_ref().map(|good| good.credentials.clone()) else {
                    kept.stale = false;
                    return Err(Arc::new(error));
                };
                if !std::mem::replace(&mut kept.stale, true) {
                    let error = failure::causes(&error);
                    warn!(
                        account,
                        error, "AWS credentials could not be loaded again, the previous ones are used"
                    );
                }
                Ok(credentials)
            }
        }
    }

    /// The kept credentials, unless they have expired. Those of an instance's role may be used for longer while its
    /// metadata service is down, as in the SDK.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.source != Some(AwsCredentialFeature::CredentialsImds) {
            let now = self.clock.now();
            kept.good.take_if(|good| good.credentials.expiry().is_some_and(|expiry| expiry <= now));
        }
        kept
    }
}

/// The credentials that a request is signed with.
enum Latest {
    Known(Credentials),
    Awaited(watch::Receiver<Option<Outcome>>),
}

impl Kept {
    /// Refuses credentials from another source than the previous ones: they may belong to another account while a file
    /// is being rewritten. They are accepted only after AWS has refused the previous ones and two consecutive loads
    /// gave them.
    fn check_source(&mut self, credentials: Credentials) -> provider::Result {
        let features = credentials.get_property::<Vec<AwsCredentialFeature>>();
        let now = features.and_then(|features| features.last().cloned());
        if let (Some(before), Some(now)) = (&self.source, &now)
            && before != now
            && (self.good.is_some() || !std::mem::replace(&mut self.moved, true))
        {
            let (before, now) = (before.clone(), now.clone());
            return Err(CredentialsError::provider_error(Moved { before, now }));
        }
        (self.source, self.moved) = (now, false);
        Ok(credentials)
    }
}

/// The SDK records on credentials the providers involved; the provider of the default chain is last.
fn name(source: &AwsCredentialFeature) -> &'static str {
    match source {
        AwsCredentialFeature::CredentialsEnvVars => "the environment",
        AwsCredentialFeature::CredentialsProfile => "the profile",
        AwsCredentialFeature::CredentialsHttp => "the container's endpoint",
        AwsCredentialFeature::CredentialsImds => "the instance's role",
        _ => "a web identity",
    }
}

impl Load {
    fn gave(&self, access_key: &str) -> bool {
        matches!(&*self.outcome.borrow(), Some(Ok(credentials)) if credentials.access_key_id() == access_key)
    }
}

fn panicked() -> CredentialsError {
    CredentialsError::unhandled("the provider panicked; see the log")
}

/// The SDK puts both into headers, and panics if the access key is not a valid header value.
fn usable(credentials: Credentials) -> provider::Result {
    let is_usable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_usable(credentials.access_key_id()) && credentials.session_token().is_none_or(is_usable) {
        return Ok(credentials);
    }
    let problem = "there is white space or a character in the access key id or the session token that AWS never uses there";
    Err(CredentialsError::invalid_configuration(problem))
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
    use super::super::Environment;
    use super::super::tests::simulated::{self, listing, over};
    use super::super::{ATTEMPT_TIMEOUT, Aws, Source, SourceSpec};
    use super::*;
    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_smithy_async::time::TimeSource;
    use ecs_discovery::arn::RoleArn;
    use ecs_discovery::failure::{Failure, FailureKind};
    use ecs_discovery::inventory::question::Answer;
    use ecs_simulator::{Aws as SimulatedAws, OWN_ACCESS_KEY, OWN_ACCOUNT, OWN_SECRET_KEY, Response};
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::time::SystemTime;
    use tokio::time::{advance, sleep, timeout};

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
            let provider = SharedCredentialsProvider::new(self.clone());
            KeptCredentials::new(provider, SharedTimeSource::new(clock), "test", Reloads::default())
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
    async fn a_load_continues_when_no_request_waits_and_ends_in_time() {
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

    /// Gives values that the SDK cannot use, or panics.
    #[derive(Clone, Debug)]
    struct Odd(Option<Credentials>);

    impl ProvideCredentials for Odd {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async { Ok(self.0.clone().expect("a library's assertion")) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_that_cannot_be_used_and_a_provider_that_panics_are_failures() {
        let odd = |key: &str, token: Option<&str>| {
            Odd(Some(Credentials::new(key, "hunter2", token.map(str::to_owned), None, "odd")))
        };
        for (provider, problem) in [
            (odd("hunter2\n", None), "there is white space or a character"),
            (odd("hünter2", None), "there is white space or a character"),
            (odd("key", Some("hunter2\u{1}")), "there is white space or a character"),
            (Odd(None), "the provider panicked"),
        ] {
            let simulated = SimulatedAws::new(simulated::world());
            let provider = SharedCredentialsProvider::new(provider);
            let config = over(&simulated).config.into_builder().credentials_provider(provider).build();
            let spec = SourceSpec {
                role: None,
                external_id: None,
                session_name: None,
                region: "eu-west-1".to_owned(),
            };
            let failure =
                Aws::sharing(config).source(spec).ask(&listing()).await.expect_err("no credentials");
            assert_eq!(failure.kind, FailureKind::NoCredentials);
            assert!(failure.message.contains(problem) && !failure.message.contains("unter2"), "{failure}");
            assert_eq!(simulated.take_ledger().total(), 0);
        }
    }

    /// Credentials by their access key; those of the instance's role have this prefix, the others are of a profile.
    fn given(load: &str) -> provider::Result {
        let source = match load {
            "broken" => return Err(CredentialsError::provider_error("half a file")),
            "panic" => panic!("an assertion of the SDK"),
            load if load.starts_with("instance") => AwsCredentialFeature::CredentialsImds,
            _ => AwsCredentialFeature::CredentialsProfile,
        };
        let mut credentials = Credentials::new(load, "secret", None, None, "scripted");
        credentials.set_property(vec![source]);
        Ok(credentials)
    }

    enum Step {
        Reload,
        /// AWS refuses this access key.
        Refused(&'static str),
    }

    /// A second before each step the configuration is reloaded or AWS refuses a key; each load gives the next of
    /// `loads`. The credentials that a request is signed with after each step.
    async fn played(loads: &[&'static str], steps: &[Step]) -> Vec<String> {
        let (loads, reloads) = (loads.to_vec(), Reloads::default());
        let number = AtomicUsize::new(0);
        let provider = provide_credentials_fn(move || {
            let load = loads[number.fetch_add(1, Ordering::SeqCst)];
            async move { given(load) }
        });
        let provider = SharedCredentialsProvider::new(provider);
        let kept = KeptCredentials::new(provider, SharedTimeSource::default(), "test", reloads.clone());
        let question = async || match kept.credentials().await {
            Ok(credentials) => credentials.access_key_id().to_owned(),
            Err(error) => failure::causes(&error),
        };
        let mut signed = vec![question().await];
        for step in steps {
            advance(PAUSE).await;
            match step {
                Step::Reload => reloads.add(),
                Step::Refused(key) => kept.refused(key),
            }
            signed.push(question().await);
        }
        signed
    }

    use Step::{Refused, Reload};

    #[tokio::test(start_paused = true)]
    async fn a_reload_loads_credentials_again_once() {
        let signed = played(&["a", "b"], &[Reload, Refused("a"), Refused("c")]).await;
        assert_eq!(signed, ["a", "b", "b", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failed_load_the_credentials_are_used_until_aws_refuses_them() {
        for fault in ["broken", "panic"] {
            // The file is half written; it is read again a moment later, without delaying requests.
            let loads = ["a", fault, fault, "b", "c"];
            let signed = played(&loads, &[Reload, Refused("z"), Refused("z"), Reload]).await;
            assert_eq!(signed, ["a", "a", "a", "a", "c"], "{fault}");
        }
        let signed = played(&["a", "broken", "broken", "b"], &[Reload, Refused("a"), Refused("a")]).await;
        assert_eq!(signed, ["a", "a", "half a file", "b"]);
        let signed = played(&["a", "broken", "b"], &[Refused("a"), Refused("a")]).await;
        assert_eq!(signed, ["a", "half a file", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_dropped_while_the_file_is_broken() {
        let loads = ["a", "broken", "broken", "broken", "broken"];
        let signed = played(&loads, &[Reload, Reload, Refused("a"), Refused("a")]).await;
        assert_eq!(signed, ["a", "a", "a", "half a file", "half a file"]);
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_of_another_source_are_used_only_after_a_refusal_and_two_loads() {
        let moved = "they would now come from the instance's role instead of the profile";
        let signed = played(&["a", "instance", "instance", "a"], &[Reload, Reload, Reload]).await;
        assert_eq!(signed, ["a", "a", "a", "a"]);
        let signed = played(&["a", "instance", "b"], &[Refused("a"), Refused("a")]).await;
        assert_eq!(signed, ["a", moved, "b"]);
        let signed = played(&["a", "instance", "instance"], &[Refused("a"), Refused("a")]).await;
        assert_eq!(signed, ["a", moved, "instance"]);
    }

    #[tokio::test(start_paused = true)]
    async fn expired_credentials_are_used_only_if_they_are_of_the_instances_role() {
        for (key, expired) in [("a", "half a file"), ("instance", "instance")] {
            let loads = AtomicUsize::new(0);
            let provider = provide_credentials_fn(move || {
                let load = if loads.fetch_add(1, Ordering::SeqCst) == 0 { key } else { "broken" };
                async move {
                    let mut credentials = given(load)?;
                    *credentials.expiry_mut() = Some(SystemTime::UNIX_EPOCH + HOUR);
                    Ok(credentials)
                }
            });
            let provider = SharedCredentialsProvider::new(provider);
            let clock = SharedTimeSource::new(Clock(Instant::now()));
            let kept = KeptCredentials::new(provider, clock, "test", Reloads::default());
            let mut signed = Vec::new();
            for pause in [Duration::ZERO, HOUR - PAUSE, PAUSE, PAUSE] {
                advance(pause).await;
                let credentials = kept.credentials().await;
                signed.push(credentials.map_or_else(
                    |error| failure::causes(&error),
                    |credentials| credentials.access_key_id().to_owned(),
                ));
                tokio::task::yield_now().await;
            }
            assert_eq!(signed, [key, key, expired, expired]);
        }
    }

    /// A provider that hangs is called again and again, but only the first request after a reload waits for it.
    #[tokio::test(start_paused = true)]
    async fn a_load_that_hangs_delays_one_question() {
        let hangs = Arc::new(AtomicBool::new(false));
        let hanging = hangs.clone();
        let provider = provide_credentials_fn(move || {
            let hangs = hanging.load(Ordering::SeqCst);
            async move { if hangs { std::future::pending().await } else { given("a") } }
        });
        let reloads = Reloads::default();
        let provider = SharedCredentialsProvider::new(provider);
        let kept = KeptCredentials::new(provider, SharedTimeSource::default(), "test", reloads.clone());
        kept.credentials().await.expect("credentials");
        hangs.store(true, Ordering::SeqCst);
        advance(PAUSE).await;
        reloads.add();
        let mut waited = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            kept.credentials().await.expect("those from before");
            waited.push(begun.elapsed().as_secs());
            advance(PAUSE).await;
        }
        assert_eq!(waited, [LOAD_TIMEOUT.as_secs(), 0, 0, 0, 0]);
        hangs.store(false, Ordering::SeqCst);
        advance(LOAD_TIMEOUT).await;
        kept.credentials().await.expect("those from before");
        tokio::task::yield_now().await;
        assert!(!kept.kept().stale, "the load after it has succeeded");
    }

    /// As in a rotation: AWS refuses the key, and accepts it once the file holds another one.
    #[tokio::test(start_paused = true)]
    async fn a_base_key_that_sts_refuses_is_loaded_again_for_the_role() {
        let mut world = simulated::world();
        world.allow_role("arn:aws:iam::000000000001:role/reader", None);
        let simulated = SimulatedAws::new(world);
        let provider = provide_credentials_fn({
            let loads = AtomicUsize::new(0);
            move || {
                let rotated = loads.fetch_add(1, Ordering::SeqCst) > 0;
                async move { given(if rotated { "AKIANEW" } else { OWN_ACCESS_KEY }) }
            }
        });
        let provider = SharedCredentialsProvider::new(provider);
        let aws = Aws::sharing(over(&simulated).config.into_builder().credentials_provider(provider).build());
        let role = RoleArn::parse("arn:aws:iam::000000000001:role/reader").ok();
        let region = "eu-west-1".to_owned();
        let source = aws.source(SourceSpec { role, external_id: None, session_name: None, region });
        source.account().await.expect("it is the role's");
        aws.base.as_ref().expect("base credentials").credentials().await.expect("credentials");
        advance(PAUSE).await;
        simulated.change(|world| world.account(OWN_ACCOUNT).access_key = "AKIANEW".to_owned());
        let failure = source.ask(&listing()).await.expect_err("there is no such cluster");
        assert_eq!(failure.kind, FailureKind::NotFound, "{failure}");
        assert_eq!(simulated.take_ledger().calls("sts", "AssumeRole"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_assumes_roles_again() {
        let mut world = simulated::world();
        world.allow_role("arn:aws:iam::222222222222:role/discovery/reader", None);
        let simulated = SimulatedAws::new(world);
        let (aws, role) = (over(&simulated), "arn:aws:iam::222222222222:role/discovery/reader");
        let role = RoleArn::parse(role).ok();
        let region = "eu-west-1".to_owned();
        let source = aws.source(SourceSpec { role, external_id: None, session_name: None, region });
        for expected in [1, 0] {
            source.ask(&listing()).await.ok();
            assert_eq!(simulated.take_ledger().calls("sts", "AssumeRole"), expected);
            advance(PAUSE).await;
        }
        aws.read_again();
        // STS is down: the existing session is used.
        simulated.on_call(|call| (call.service == "sts").then(|| Response::unavailable(call)));
        let failure = source.ask(&listing()).await.expect_err("there is no such cluster");
        assert_eq!(failure.kind, FailureKind::NotFound, "{failure}");
        simulated.heal();
        // No request waits for the loads after a failed one: they end between requests.
        sleep(PAUSE).await;
        simulated.take_ledger();
        for expected in [1, 0] {
            source.ask(&listing()).await.ok();
            sleep(PAUSE).await;
            assert_eq!(simulated.take_ledger().calls("sts", "AssumeRole"), expected);
        }
    }

    #[tokio::test]
    async fn nothing_shows_the_credentials() {
        let aws = aws(&SimulatedAws::new(simulated::world()), &Counting::default());
        let sources = sources(&aws).await;
        sources[0].ask(&listing()).await.expect("an answer");
        let environment = [
            ("AWS_ACCESS_KEY_ID", OWN_ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", OWN_SECRET_KEY),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", ""),
        ];
        let environment = Environment::new(environment).expect("an environment");
        let simulated = SimulatedAws::new(simulated::world()).connector();
        let loaded = Aws::load(Some(simulated), &environment).await.expect("a configuration");
        let source = self::sources(&loaded).await.swap_remove(0);
        source.ask(&listing()).await.expect("an answer");
        let shown = format!("{aws:?} {sources:?} {loaded:?} {source:?}");
        assert!(!shown.contains(OWN_ACCESS_KEY) && !shown.contains(OWN_SECRET_KEY), "{shown}");
    }
}
