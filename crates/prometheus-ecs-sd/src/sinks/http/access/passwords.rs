//! Basic authentication against bcrypt's hashes.
//!
//! A check takes a tenth of a second by design. So there is one at a time, off the threads that serve, and what was right
//! is remembered; a name that nobody has takes as long as a wrong password, whatever the costs of the hashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;

/// Checks that may wait for their turn. With more, something other than Prometheus is at it.
const WAITING: usize = 256;

/// Right passwords that are remembered: each user has one.
const REMEMBERED: usize = 1024;

/// Whether who asks is who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
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
    /// Marks of what was right, which without the key say nothing.
    right: Mutex<BTreeSet<Box<[u8]>>>,
    key: hmac::Key,
    waiting: Semaphore,
    turn: Arc<Semaphore>,
}

impl Passwords {
    /// By user, of which there is at least one; each hash is one of bcrypt's.
    pub(super) fn new(hashes: BTreeMap<String, String>) -> Option<Self> {
        let decoy = hashes.values().max_by_key(|hash| cost(hash))?.clone();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Some(Self {
            cost: cost(&decoy),
            decoy,
            hashes,
            right: Mutex::default(),
            key: key.expect("the system has random numbers"),
            waiting: Semaphore::new(WAITING),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Checks what a request's `Authorization` says.
    pub(super) async fn check(&self, authorization: Option<&HeaderValue>) -> Verdict {
        let Some((user, password)) = authorization.and_then(credentials) else { return Verdict::Wrong };
        let mark = self.mark(&user, &password);
        if self.right().contains(&mark) {
            return Verdict::Right;
        }
        let Ok(_place) = self.waiting.try_acquire() else { return Verdict::Busy };
        let turn = self.turn.clone().acquire_owned().await;
        // Many connections of one Prometheus may have waited for the first of them.
        if self.right().contains(&mark) {
            return Verdict::Right;
        }
        let hash = self.hashes.get(&user);
        let is_known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).clone();
        let most = self.cost;
        let check = move || {
            // The turn lasts as long as the check, whoever still waits for it.
            let _turn = turn;
            let is_right = bcrypt::verify(&password, &hash).unwrap_or(false) && is_known;
            if !is_right {
                // One of each cost up to the highest is, together with that above, as much as one of the highest.
                for cost in cost(&hash)..most {
                    drop(bcrypt::hash_with_salt(&password, cost, [0; 16]));
                }
            }
            is_right
        };
        if !tokio::task::spawn_blocking(check).await.unwrap_or(false) {
            return Verdict::Wrong;
        }
        let mut right = self.right();
        if right.len() >= REMEMBERED {
            right.pop_first();
        }
        right.insert(mark);
        Verdict::Right
    }

    fn mark(&self, user: &str, password: &[u8]) -> Box<[u8]> {
        // A name has no colon, so that nothing else gives the same bytes.
        let bytes = [user.as_bytes(), b":", password].concat();
        hmac::sign(&self.key, &bytes).as_ref().into()
    }

    fn right(&self) -> MutexGuard<'_, BTreeSet<Box<[u8]>>> {
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
    use super::*;

    async fn check(passwords: &Passwords, credentials: &str) -> Verdict {
        let header = format!("Basic {}", BASE64_STANDARD.encode(credentials));
        passwords.check(Some(&header.parse().unwrap())).await
    }

    fn passwords() -> Passwords {
        let hash = |password: &str| bcrypt::hash(password, 4).unwrap();
        let users = [("prometheus", "secret"), ("empty", "")];
        let hashes = users.map(|(user, password)| (user.to_owned(), hash(password)));
        Passwords::new(hashes.into()).unwrap()
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
        assert_eq!(passwords.check(None).await, Verdict::Wrong);
        for header in ["Basic", "Basic %", "Bearer cHJvbWV0aGV1czpzZWNyZXQ=", "Basic cHJvbWV0aGV1cw=="] {
            assert_eq!(passwords.check(Some(&header.parse().unwrap())).await, Verdict::Wrong, "{header}");
        }
        let lower_case = "basic cHJvbWV0aGV1czpzZWNyZXQ=".parse().unwrap();
        assert_eq!(passwords.check(Some(&lower_case)).await, Verdict::Right);
    }

    #[tokio::test]
    async fn a_right_password_is_hashed_once_and_a_wrong_one_is_not_remembered() {
        let passwords = passwords();
        check(&passwords, "prometheus:wrong").await;
        assert_eq!(passwords.right().len(), 0);
        check(&passwords, "prometheus:secret").await;
        // Nobody gets a turn any more.
        passwords.turn.close();
        passwords.waiting.close();
        assert_eq!(check(&passwords, "prometheus:secret").await, Verdict::Right);
        assert_eq!(check(&passwords, "prometheus:wrong").await, Verdict::Busy);
    }
}
