//! TLS and authentication, as `--web-config-file` configures them. The file is read again when it changes.
//!
//! Without that file, every client that reaches the address has access. An invalid file is an error when the program
//! starts; later it is ignored, so that neither a typo nor half a file changes who has access.

mod checks;
mod hosts;
mod passwords;
mod tls;
mod web_config;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::config::ConfigErrors;
pub(super) use checks::Client;
use hosts::Hosts;
use passwords::{Checked, Outcome, Passwords};
use tls::Tls;
use web_config::FileIdentities;

/// How often the files are checked. They must be the same in two checks, since a writer may not have finished.
const CHECKED_EVERY: Duration = Duration::from_secs(1);

/// The default headers of every answer: no content sniffing, no framing, and no caching by proxies.
const DEFAULT_HEADERS: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// The current authentication policy.
#[derive(Clone, Debug)]
pub struct Auth {
    policy: watch::Receiver<AuthPolicy>,
    /// Reads the policy from the file; `None` without one.
    follower: Option<Arc<Follower>>,
    hosts: Arc<Hosts>,
}

/// The requirements for connections and requests, and the headers of answers.
#[derive(Clone, Debug, Default)]
struct AuthPolicy {
    tls: Option<Tls>,
    passwords: Option<Arc<Passwords>>,
    headers: HeaderMap,
}

/// Who has access. A changed file can restrict access, but not extend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Openness {
    /// Clients with a password or a certificate.
    Known,
    /// All clients, with TLS.
    Encrypted,
    /// All clients.
    Everyone,
}

#[derive(Debug)]
struct Follower {
    path: PathBuf,
    identities: FileIdentities,
    policy: watch::Sender<AuthPolicy>,
    checked: Arc<Checked>,
}

impl Default for Auth {
    /// Allows every client.
    fn default() -> Self {
        Self { policy: watch::channel(AuthPolicy::default()).1, follower: None, hosts: Arc::default() }
    }
}

impl Auth {
    /// Reads the file; without one, every client has access.
    pub fn new(web_config: Option<&Path>) -> Result<Self, ConfigErrors> {
        let Some(path) = web_config else { return Ok(Self::default()) };
        let checked = Arc::default();
        let (policy, identities) = web_config::read(path, &checked);
        let (sender, receiver) = watch::channel(policy?);
        let follower = Follower { path: path.to_owned(), identities, policy: sender, checked };
        Ok(Self { policy: receiver, follower: Some(Arc::new(follower)), hosts: Arc::default() })
    }

    /// The same for a server with these additional names, in lower case.
    pub fn with_allowed_hosts(self, allowed: BTreeSet<String>) -> Self {
        Self { hosts: Arc::new(Hosts::allowing(allowed)), ..self }
    }

    /// The same for a listener at `address`, which was configured as `HOST:PORT`.
    pub(super) fn at(self, named: &str, address: IpAddr) -> Self {
        Self { hosts: Arc::new(self.hosts.at(named, address)), ..self }
    }

    /// For one connection, which is notified when the policy changes from now on.
    pub(super) fn for_connection(&self) -> Self {
        let mut auth = self.clone();
        auth.policy.mark_unchanged();
        auth
    }

    /// The TLS configuration, if TLS is enabled.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.policy.borrow().tls.as_ref().map(|tls| tls.config.clone())
    }

    /// Whether the policy has changed since the connection was accepted.
    pub(super) fn has_changed(&self) -> bool {
        self.policy.has_changed().unwrap_or(false)
    }

    /// Waits until the policy changes.
    pub(super) async fn changed(mut self) {
        if self.policy.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Checks the files until the program ends, if there are any.
    pub(super) async fn follow(self) {
        let Some(follower) = self.follower else { return };
        let mut checks = interval(CHECKED_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read = follower.identities.clone();
        let mut before = read.clone();
        loop {
            checks.tick().await;
            let files = read.clone();
            let now = blocking(move || files.now()).await;
            let is_settled = now == before;
            before = now;
            if is_settled && before != read {
                read = follower.read().await;
                before = read.clone();
            }
        }
    }
}

impl Follower {
    /// Reads the files, and puts the policy into effect if it is valid.
    async fn read(&self) -> FileIdentities {
        let (path, checked) = (self.path.clone(), self.checked.clone());
        let (policy, identities) = blocking(move || web_config::read(&path, &checked)).await;
        let file = self.path.display();
        match policy {
            Ok(policy) if policy.openness() > self.policy.borrow().openness() => {
                let error = "it would allow every client; restart the program if that is intended";
                error!(%file, error, "web configuration is invalid; the previous one stays in effect");
            }
            Ok(policy) => {
                self.policy.send_replace(policy);
                info!(%file, "web configuration was read again");
            }
            Err(error) => {
                error!(%file, %error, "web configuration is invalid; the previous one stays in effect");
            }
        }
        identities
    }
}

impl AuthPolicy {
    fn openness(&self) -> Openness {
        match &self.tls {
            _ if self.passwords.is_some() => Openness::Known,
            Some(tls) if tls.requires_certificate => Openness::Known,
            Some(_) => Openness::Encrypted,
            None => Openness::Everyone,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the task that follows is started again after a panic")
}

/// Admits or refuses a request; every answer passes here.
pub(super) async fn admit(State(auth): State<Auth>, request: Request, next: Next) -> Response {
    let policy = auth.policy.borrow().clone();
    let mut response = match auth.hosts.check(&request, policy.openness() != Openness::Known) {
        Ok(()) => authenticate(policy.passwords.as_deref(), request, next).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in DEFAULT_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response.headers_mut().extend(policy.headers);
    response
}

async fn authenticate(passwords: Option<&Passwords>, request: Request, next: Next) -> Response {
    let outcome = match passwords {
        Some(passwords) => {
            let client = request.extensions().get::<Client>().expect("each connection has a client").clone();
            passwords.check(request.headers().get(header::AUTHORIZATION), &client).await
        }
        None => Outcome::Right,
    };
    match outcome {
        Outcome::Right => next.run(request).await,
        Outcome::Wrong => unauthorized("unauthorized\n"),
        Outcome::TooLong => unauthorized("unauthorized: a password has at most 72 bytes\n"),
        Outcome::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many passwords are being checked\n").into_response()
        }
    }
}

fn unauthorized(text: &'static str) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="targets""#))];
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/http/certificates");

    #[tokio::test]
    async fn a_changed_file_can_restrict_access_and_not_extend_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.yml");
        let own = format!("{{cert_file: {CERTIFICATES}/server.pem, key_file: {CERTIFICATES}/server.key");
        let authority = format!("client_ca_file: {CERTIFICATES}/authority.pem, client_auth_type");
        let encrypted = format!("tls_server_config: {own}}}\n");
        let if_given = format!("tls_server_config: {own}, {authority}: VerifyClientCertIfGiven}}\n");
        let certificate = format!("tls_server_config: {own}, {authority}: RequireAndVerifyClientCert}}\n");
        let users = format!("basic_auth_users: {{prometheus: {}}}\n", bcrypt::hash("secret", 4).unwrap());
        let both = format!("{users}{encrypted}");
        let headers = "http_server_config: {headers: {X-Frame-Options: deny}}\n".to_owned();
        fs::write(&file, &headers).unwrap();
        let auth = Auth::new(Some(&file)).unwrap();
        for (text, is_applied) in [
            (&encrypted, true),
            (&String::new(), false),
            (&headers, false),
            (&if_given, true),
            (&both, true),
            (&encrypted, false),
            (&if_given, false),
            (&format!("basic_auth_users: {{}}\n{encrypted}"), false),
            (&users, true),
            (&headers, false),
            (&certificate, true),
            (&encrypted, false),
            (&both, true),
        ] {
            fs::write(&file, text).unwrap();
            let mut before = auth.policy.clone();
            before.mark_unchanged();
            auth.follower.as_ref().unwrap().read().await;
            assert_eq!(before.has_changed().unwrap(), is_applied, "{text}");
        }
    }
}
