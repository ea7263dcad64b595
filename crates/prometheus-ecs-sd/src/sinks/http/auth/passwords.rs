//! Basic authentication against bcrypt's hashes.
//!
//! A check takes a tenth of a second by design. So there are few at a time, off the threads that serve, and what was right
//! is remembered; a name that nobody has takes as long as a wrong password, whatever the costs of the hashes.

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

/// The bytes that bcrypt reads: of a longer password the first bytes would suffice.
const MOST_BYTES: usize = 72;

/// Whether who asks is who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// The password is longer than bcrypt reads.
    TooLong,
    /// It cannot be told now.
    Busy,
}

/// The users.
#[derive(Debug)]
pub(super) struct Passwords {
    hashes: BTreeMap<String, String>,
    /// Checked for users that do not exist: the most costly there is.
    decoy: String,
    /// Its cost; each more doubles the time.
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

    /// Checks what a request's `Authorization` says.
    pub(super) async fn check(&self, authorization: Option<&HeaderValue>, client: &Client) -> Verdict {
        let Some((user, password)) = authorization.and_then(credentials) else { return Verdict::Wrong };
        if password.len() > MOST_BYTES {
            self.checked.too_long.call_once(|| {
                warn!("a password longer than 72 bytes was refused");
            });
            return Verdict::TooLong;
        }
        let hash = self.hashes.get(&user);
        let is_known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).clone();
        let mark = self.checked.mark(&user, &hash, &password);
        if is_known && self.checked.is_right(&user, &mark) {
            return Verdict::Right;
        }
        let Some(mut place) = self.checked.checks.enter(client) else { return Verdict::Busy };
        if !place.granted().await {
            return Verdict::Busy;
        }
        // Many connections of one Prometheus may have waited for the first of them.
        if is_known && self.checked.is_right(&user, &mark) {
            return Verdict::Right;
        }
        let (most, checked) = (self.cost, self.checked.clone());
        // The check keeps its place, and its result is remembered, even if the client has left.
        let check = move || {
            let is_right = bcrypt::verify(&password, &hash).unwrap_or(false) && is_known;
            if is_right {
                checked.remember(user, mark);
            } else {
                // One of each cost up to the highest is, together with that above, as much as one of the highest.
                for cost in cost(&hash)..most {
                    drop(bcrypt::hash_with_salt(&password, cost, [0; 16]));
                }
                place.failed();
            }
            drop(place);
            is_right
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(true) => Verdict::Right,
            _ => Verdict::Wrong,
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

    async fn check(passwords: &Passwords, credentials: &str) -> Verdict {
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
            assert_eq!(check(&passwords, "prometheus:secret").await, Verdict::Right);
            assert_eq!(check(&passwords, "empty:").await, Verdict::Right);
            for wrong in ["prometheus:", "prometheus:Secret", "empty:secret", "nobody:secret", ":", ""] {
                assert_eq!(check(&passwords, wrong).await, Verdict::Wrong, "{wrong:?}");
            }
        }
        assert_eq!(passwords.check(None, &client(1)).await, Verdict::Wrong);
        for header in ["Basic", "Basic %", "Bearer cHJvbWV0aGV1czpzZWNyZXQ=", "Basic cHJvbWV0aGV1cw=="] {
            let header = header.parse().unwrap();
            assert_eq!(passwords.check(Some(&header), &client(1)).await, Verdict::Wrong, "{header:?}");
        }
        let lower_case = "basic cHJvbWV0aGV1czpzZWNyZXQ=".parse().unwrap();
        assert_eq!(passwords.check(Some(&lower_case), &client(1)).await, Verdict::Right);
    }

    #[tokio::test]
    async fn a_right_password_is_hashed_once_and_a_wrong_one_is_not_remembered() {
        let passwords = passwords();
        check(&passwords, "prometheus:wrong").await;
        assert_eq!(passwords.checked.right().len(), 0);
        check(&passwords, "prometheus:secret").await;
        let _held = hold(&passwords);
        assert_eq!(check(&passwords, "prometheus:secret").await, Verdict::Right);
        assert_eq!(check(&passwords, "prometheus:wrong").now_or_never(), None);
    }

    #[tokio::test]
    async fn what_was_right_stays_so_while_its_hash_is_the_same() {
        let first = passwords();
        check(&first, "prometheus:secret").await;
        check(&first, "empty:").await;
        let _held = hold(&first);
        // The file was written again, with another hash for one of them.
        let mut hashes = first.hashes.clone();
        hashes.insert("empty".to_owned(), bcrypt::hash("", 4).unwrap());
        let second = Passwords::new(hashes.clone(), first.checked.clone()).unwrap();
        assert_eq!(check(&second, "prometheus:secret").now_or_never(), Some(Verdict::Right));
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
            assert_eq!(passwords.check(Some(&header), &client).now_or_never(), Some(Verdict::Right));
        });
    }

    #[tokio::test]
    async fn a_password_that_bcrypt_would_cut_is_refused() {
        let longest = "x".repeat(MOST_BYTES);
        let passwords = Passwords::new(hashes(&[("prometheus", &longest)]), Arc::default()).unwrap();
        assert_eq!(check(&passwords, &format!("prometheus:{longest}")).await, Verdict::Right);
        for user in ["prometheus", "nobody"] {
            assert_eq!(check(&passwords, &format!("{user}:{longest}y")).await, Verdict::TooLong);
        }
        assert_eq!(check(&passwords, &format!("prometheus:{}", &longest[1..])).await, Verdict::Wrong);
    }
}
