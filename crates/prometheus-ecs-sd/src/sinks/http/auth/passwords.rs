//! Basic authentication with bcrypt hashes.
//!
//! A check takes a tenth of a second by design. So few run at a time, outside of the threads that serve, and correct
//! passwords are remembered. An unknown user takes as long as a wrong password, even if the costs of the hashes differ.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use tracing::warn;

use super::checks::{Checks, Client};

/// The number of users whose correct password is remembered.
const REMEMBERED: usize = 1024;

/// The bytes that bcrypt reads: the first bytes of a longer password would suffice.
const MOST_BYTES: usize = 72;

/// The result of a password check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    Wrong,
    /// The password is longer than bcrypt reads.
    TooLong,
    /// Too many checks are waiting.
    Busy,
}

/// The users.
#[derive(Debug)]
pub(super) struct Passwords {
    hashes: BTreeMap<String, String>,
    /// Checked for unknown users: the most expensive hash.
    decoy: String,
    /// Its cost; each increment doubles the time.
    cost: u32,
    checked: Arc<Checked>,
}

/// The results of past checks and the waiting ones, across reloads of the web configuration.
#[derive(Debug)]
pub(super) struct Checked {
    checks: Arc<Checks>,
    /// Keyed digests of correct passwords by user; without the key they reveal nothing.
    right: Mutex<BTreeMap<String, Box<[u8]>>>,
    key: hmac::Key,
    too_long: Once,
}

impl Default for Checked {
    fn default() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self {
            checks: Arc::default(),
            right: Mutex::default(),
            key: key.expect("the system has random numbers"),
            too_long: Once::new(),
        }
    }
}

impl Passwords {
    /// Hashes by user, at least one; each is a bcrypt hash.
    pub(super) fn new(hashes: BTreeMap<String, String>, checked: Arc<Checked>) -> Option<Self> {
        let decoy = hashes.values().max_by_key(|hash| cost(hash))?.clone();
        Some(Self { cost: cost(&decoy), decoy, hashes, checked })
    }

    /// Checks the `Authorization` header of a request.
    pub(super) async fn check(&self, authorization: Option<&HeaderValue>, client: &Client) -> Outcome {
        let Some((user, password)) = authorization.and_then(credentials) else { return Outcome::Wrong };
        if password.len() > MOST_BYTES {
            self.checked.too_long.call_once(|| {
                warn!("a password longer than 72 bytes was refused");
            });
            return Outcome::TooLong;
        }
        let hash = self.hashes.get(&user);
        let is_known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).clone();
        let mark = self.checked.mark(&user, &hash, &password);
        if is_known && self.checked.is_right(&user, &mark) {
            return Outcome::Right;
        }
        let Some(mut place) = self.checked.checks.enter(client) else { return Outcome::Busy };
        if !place.granted().await {
            return Outcome::Busy;
        }
        // Several connections of one Prometheus server may have waited for the first check.
        if is_known && self.checked.is_right(&user, &mark) {
            return Outcome::Right;
        }
        let (most, checked) = (self.cost, self.checked.clone());
        // The check keeps its place, and its result is remembered, even if the client has left.
        let check = move || {
            let is_right = bcrypt::verify(&password, &hash).unwrap_or(false) && is_known;
            if is_right {
                checked.remember(user, mark);
            } else {
                // One hash of each cost below the highest, together with the check, takes as long as the highest.
                for cost in cost(&hash)..most {
                    drop(bcrypt::hash_with_salt(&password, cost, [0; 16]));
                }
                place.failed();
            }
            drop(place);
            is_right
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(true) => Outcome::Right,
            _ => Outcome::Wrong,
        }
    }
}

impl Checked {
    /// Another hash gives another digest, so that a changed password invalidates the old one.
    fn mark(&self, user: &str, hash: &str, password: &[u8]) -> Box<[u8]> {
        // Neither a name nor a hash contains a colon, so the bytes are unambiguous.
        let bytes = [user.as_bytes(), b":", hash.as_bytes(), b":", password].concat();
        hmac::sign(&self.key, &bytes).as_ref().into()
    }

    fn is_right(&self, user: &str, mark: &[u8]) -> bool {
        self.right().get(user).is_some_and(|right| **right == *mark)
    }

    fn remember(&self, user: String, mark: Box<[u8]>) {
        let mut right = self.right();
        if right.len() >= REMEMBERED && !right.contains_key(&user) {
            right.pop_first();
        }
        right.insert(user, mark);
    }

    fn right(&self) -> MutexGuard<'_, BTreeMap<String, Box<[u8]>>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(hash: &str) -> u32 {
    hash.parse::<bcrypt::HashParts>().map_or(0, |parts| parts.get_cost())
}

/// The user and the password of a header `Basic …`.
fn credentials(authorization: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = authorization.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((user, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::FutureExt;

    use super::*;

    fn client(number: u8) -> Client {
        Client::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)))
    }

    fn header(credentials: &str) -> HeaderValue {
        format!("Basic {}", BASE64_STANDARD.encode(credentials)).parse().unwrap()
    }

    async fn check(passwords: &Passwords, credentials: &str) -> Outcome {
        passwords.check(Some(&header(credentials)), &client(1)).await
    }

    fn hashes(users: &[(&str, &str)]) -> BTreeMap<String, String> {
        let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
        users.iter().map(|(user, password)| ((*user).to_owned(), hash(password))).collect()
    }

    fn passwords() -> Passwords {
        Passwords::new(hashes(&[("prometheus", "secret"), ("empty", "")]), Arc::default()).unwrap()
    }

    /// Blocks all checks until they are dropped.
    fn hold(passwords: &Passwords) -> Vec<super::super::checks::Place> {
        (100..200).filter_map(|number| passwords.checked.checks.enter(&client(number))).collect()
    }

    #[tokio::test]
    async fn only_a_users_own_password_is_right() {
        let passwords = passwords();
        for _ in 0..2 {
            assert_eq!(check(&passwords, "prometheus:secret").await, Outcome::Right);
            assert_eq!(check(&passwords, "empty:").await, Outcome::Right);
            for wrong in ["prometheus:", "prometheus:Secret", "empty:secret", "nobody:secret", ":", ""] {
                assert_eq!(check(&passwords, wrong).await, Outcome::Wrong, "{wrong:?}");
            }
        }
        assert_eq!(passwords.check(None, &client(1)).await, Outcome::Wrong);
        for header in ["Basic", "Basic %", "Bearer cHJvbWV0aGV1czpzZWNyZXQ=", "Basic cHJvbWV0aGV1cw=="] {
            let header = header.parse().unwrap();
            assert_eq!(passwords.check(Some(&header), &client(1)).await, Outcome::Wrong, "{header:?}");
        }
        let lower_case = "basic cHJvbWV0aGV1czpzZWNyZXQ=".parse().unwrap();
        assert_eq!(passwords.check(Some(&lower_case), &client(1)).await, Outcome::Right);
    }

    #[tokio::test]
    async fn a_right_password_is_hashed_once_and_a_wrong_one_is_not_remembered() {
        let passwords = passwords();
        check(&passwords, "prometheus:wrong").await;
        assert_eq!(passwords.checked.right().len(), 0);
        check(&passwords, "prometheus:secret").await;
        let _held = hold(&passwords);
        assert_eq!(check(&passwords, "prometheus:secret").await, Outcome::Right);
        assert_eq!(check(&passwords, "prometheus:wrong").now_or_never(), None);
    }

    #[tokio::test]
    async fn a_password_is_remembered_while_its_hash_is_the_same() {
        let first = passwords();
        check(&first, "prometheus:secret").await;
        check(&first, "empty:").await;
        let _held = hold(&first);
        // The file was written again, with another hash for one of them.
        let mut hashes = first.hashes.clone();
        hashes.insert("empty".to_owned(), bcrypt::hash("", 4).unwrap());
        let second = Passwords::new(hashes.clone(), first.checked.clone()).unwrap();
        assert_eq!(check(&second, "prometheus:secret").now_or_never(), Some(Outcome::Right));
        assert_eq!(check(&second, "empty:").now_or_never(), None);
        // A removed user counts as unknown.
        hashes.remove("prometheus");
        let third = Passwords::new(hashes, first.checked.clone()).unwrap();
        assert_eq!(check(&third, "prometheus:secret").now_or_never(), None);
    }

    #[test]
    fn a_right_password_is_remembered_though_its_client_has_left() {
        // The only thread that hashes is busy until the client has left.
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, busy) = std::sync::mpsc::channel::<()>();
            let thread = tokio::task::spawn_blocking(move || busy.recv());
            let passwords = passwords();
            let held = hold(&passwords);
            let header = header("prometheus:secret");
            let client = client(1);
            let mut check = Box::pin(passwords.check(Some(&header), &client));
            assert_eq!((&mut check).now_or_never(), None);
            drop(held);
            // The check has begun, and its client has left.
            assert_eq!((&mut check).now_or_never(), None);
            drop((check, release));
            thread.await.unwrap().unwrap_err();
            while passwords.checked.right().is_empty() {
                tokio::task::yield_now().await;
            }
            let _held = hold(&passwords);
            assert_eq!(passwords.check(Some(&header), &client).now_or_never(), Some(Outcome::Right));
        });
    }

    #[tokio::test]
    async fn a_password_that_bcrypt_would_cut_is_refused() {
        let longest = "x".repeat(MOST_BYTES);
        let passwords = Passwords::new(hashes(&[("prometheus", &longest)]), Arc::default()).unwrap();
        assert_eq!(check(&passwords, &format!("prometheus:{longest}")).await, Outcome::Right);
        for user in ["prometheus", "nobody"] {
            assert_eq!(check(&passwords, &format!("{user}:{longest}y")).await, Outcome::TooLong);
        }
        assert_eq!(check(&passwords, &format!("prometheus:{}", &longest[1..])).await, Outcome::Wrong);
    }
}
