//! The simulated world as plain data: accounts, their regions, and what is in them. Every field is public, so
//! that a test can bend anything after the builders have made it as AWS would.
//! The world answers no request: that is the wire's business.

mod attach;
pub(crate) mod cluster;
pub(crate) mod definition;
pub(crate) mod events;
pub(crate) mod host;
pub(crate) mod ids;
mod incidents;
mod launch;
mod lifecycle;
pub(crate) mod network;
pub(crate) mod queue;
pub(crate) mod region;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod task;

use std::collections::BTreeMap;
use std::mem::replace;
use std::time::Duration;

use ids::Ids;
use region::Region;

/// The account whose credentials a program starts with.
pub const OWN_ACCOUNT: &str = "111111111111";
/// The access key of [`OWN_ACCOUNT`].
pub const OWN_ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
/// A secret key to go with it; signatures are not checked.
pub const OWN_SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// Everything that is: a seed and the accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// What all generated ids come from.
    pub seed: u64,
    /// The accounts by their 12-digit ids.
    pub accounts: BTreeMap<String, Account>,
    /// How long the credentials of an AssumeRole answer last, when the request does not say.
    pub expires_in: Duration,
    /// The time that AssumeRole answers count from.
    pub clock: Clock,
    /// Bodies of events that a test holds back, each with the ARN of its queue.
    pub(crate) held_events: Vec<(String, String)>,
}

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's time, which clients compare expiry times with.
    System,
    /// Always this, in epoch seconds, for answers that must be equal bytes.
    Fixed(u64),
}

/// One AWS account.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// The access key id of its own user.
    pub access_key: String,
    /// Regions with anything in them, by name; all others exist and are empty.
    pub regions: BTreeMap<String, Region>,
    /// Roles that may be assumed, by ARN.
    pub roles: BTreeMap<String, Role>,
}

/// A role that any account of the world may assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Required in AssumeRole, when set.
    pub external_id: Option<String>,
    /// The access key id of its sessions; AWS gives each session its own, here they share one.
    pub access_key: String,
    /// Those of sessions that have ended, whatever their credentials say of their expiry.
    pub ended: Vec<String>,
}

impl World {
    /// A world with [`OWN_ACCOUNT`] and nothing else.
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            seed,
            accounts: BTreeMap::new(),
            expires_in: Duration::from_secs(3600),
            clock: Clock::System,
            held_events: Vec::new(),
        };
        world.account(OWN_ACCOUNT).access_key = OWN_ACCESS_KEY.to_owned();
        world
    }

    /// The account with this id, made on first use.
    pub fn account(&mut self, id: &str) -> &mut Account {
        let seed = self.seed;
        self.accounts.entry(id.to_owned()).or_insert_with(|| Account {
            id: id.to_owned(),
            access_key: access_key("AKIA", seed, id),
            regions: BTreeMap::new(),
            roles: BTreeMap::new(),
        })
    }

    /// A region of an account, made on first use.
    pub fn region(&mut self, account: &str, region: &str) -> &mut Region {
        let (seed, block) =
            (self.seed, self.accounts.values().map(|account| account.regions.len()).sum::<usize>());
        self.account(account)
            .regions
            .entry(region.to_owned())
            .or_insert_with(|| Region::new(seed, account, region, (block % 16) as u8))
    }

    /// A region of [`OWN_ACCOUNT`], made on first use.
    pub fn own(&mut self, region: &str) -> &mut Region {
        self.region(OWN_ACCOUNT, region)
    }

    /// Lets `role_arn` be assumed, by those who know the external id if there is one. The account it names is made on first use.
    ///
    /// # Panics
    /// When `role_arn` names no account.
    pub fn allow_role(&mut self, role_arn: &str, external_id: Option<&str>) {
        let account = role_arn.split(':').nth(4).expect("a role's ARN has its account in the fifth part");
        let access_key = access_key("ASIA", self.seed, role_arn);
        let role = Role { external_id: external_id.map(str::to_owned), access_key, ended: Vec::new() };
        self.account(account).roles.insert(role_arn.to_owned(), role);
    }

    /// Ends all sessions that roles were assumed for: their credentials are refused as expired from now on.
    pub fn end_sessions(&mut self) {
        let seed = self.seed;
        for (arn, role) in self.accounts.values_mut().flat_map(|account| &mut account.roles) {
            let next = access_key("ASIA", seed, &format!("{arn}#{}", role.ended.len()));
            role.ended.push(replace(&mut role.access_key, next));
        }
    }

    /// The account that an access key belongs to.
    pub fn account_of(&self, access_key: &str) -> Option<&Account> {
        self.accounts.values().find(|account| {
            account.access_key == access_key
                || account.roles.values().any(|role| role.access_key == access_key)
                || account.has_ended(access_key)
        })
    }
}

impl Account {
    /// Whether the access key is one of a session that has ended.
    pub(crate) fn has_ended(&self, access_key: &str) -> bool {
        self.roles.values().any(|role| role.ended.iter().any(|ended| ended == access_key))
    }
}

/// An access key id as AWS writes them: four letters of kind and sixteen more.
fn access_key(kind: &str, seed: u64, owner: &str) -> String {
    format!("{kind}{}", Ids::new(seed, owner).hex("access-key", 16).to_uppercase())
}

/// The partition that a region lies in.
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
