//! Whose containers: the accounts that are looked at, from options or from the configuration file's `sources`.

use std::collections::{BTreeMap, BTreeSet};

use ecs_discovery::arn::RoleArn;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};

use super::yaml::{Mapping, Place, Problems, Value};

/// One account. It is a source in each of its regions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The role to assume; `None` for the credentials as they are.
    pub role: Option<RoleArn>,
    /// For assuming it.
    pub external_id: Option<String>,
    /// What the account's logs call the session.
    pub session_name: Option<String>,
    /// Empty: the region of the AWS configuration.
    pub regions: Vec<String>,
    /// Which clusters.
    pub clusters: ClusterSelection,
}

/// What the options say about all accounts, which counts for those that the file says nothing else of.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) regions: Vec<String>,
    pub(super) clusters: ClusterSelection,
    /// Whether the command line says so, which goes before what the file says of an account.
    pub(super) regions_are_given: bool,
    pub(super) clusters_are_given: bool,
}

pub(super) fn role(text: &str) -> Result<RoleArn, String> {
    RoleArn::parse_strictly(text)
        .map_err(|problem| format!("{problem}; it looks like arn:aws:iam::123456789012:role/NAME"))
}

pub(crate) fn region(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    // It becomes part of a host name.
    match text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not a region; it looks like eu-west-1")),
    }
}

/// It is not quoted: some treat it as a secret.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
pub(super) fn external_id(text: &str) -> Result<String, String> {
    let text = text.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    match (2..=1224).contains(&text.len()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("it is not an external id: 2 to 1,224 letters, digits or _+=,.@:/-".to_owned()),
    }
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
fn session_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    match (2..=64).contains(&text.len()) && text.chars().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not a session name: 2 to 64 letters, digits or _+=,.@-")),
    }
}

/// The accounts under `sources`.
pub(super) fn from_file(sources: Value, common: &Common, problems: &mut Problems) -> Vec<Account> {
    let place = sources.place.clone();
    let items = sources.sequence(problems);
    if items.is_empty() {
        problems.add(&place, "there is no source; leave the key out for the account of the credentials");
    }
    let mut accounts = Vec::new();
    let mut seen: BTreeMap<_, Place> = BTreeMap::new();
    for item in items {
        let place = item.place.clone();
        let Some(account) = item.mapping(problems).and_then(|item| account(item, common, problems)) else {
            continue;
        };
        if let Some(earlier) = account.sources().find_map(|source| seen.get(&source)) {
            problems.add(&place, format!("{earlier} has the same credentials and region; put both together"));
        }
        for source in account.sources() {
            seen.entry(source).or_insert_with(|| place.clone());
        }
        accounts.push(account);
    }
    accounts
}

impl Account {
    /// Its credentials with each of its regions; `None` is the default region.
    fn sources(&self) -> impl Iterator<Item = (Option<RoleArn>, Option<String>)> {
        let usual = self.regions.is_empty().then_some(None);
        let regions = self.regions.iter().cloned().map(Some).chain(usual);
        regions.map(|region| (self.role.clone(), region))
    }
}

fn account(mut item: Mapping, common: &Common, problems: &mut Problems) -> Option<Account> {
    let place = item.place.clone();
    let mut text = |key, problems: &mut Problems| {
        let value = item.take_set(key, problems)?;
        Some((value.place.clone(), value.text(problems)?.to_owned()))
    };
    fn checked<T>(
        given: Option<(Place, String)>,
        check: impl Fn(&str) -> Result<T, String>,
        problems: &mut Problems,
    ) -> Option<T> {
        let (place, text) = given?;
        check(&text).map_err(|problem| problems.add(&place, problem)).ok()
    }
    let given_role = text("role", problems);
    let has_role = given_role.is_some();
    let role = checked(given_role, role, problems);
    let external_id = text("external_id", problems);
    let session_name = text("session_name", problems);
    let own = item.take_set("own_account", problems).map(|value| (value.place.clone(), value.flag(problems)));
    match (&own, has_role) {
        (Some((place, Some(true))), true) => {
            problems.add(place, "a source is either the own account or that of a role; make it two");
        }
        (None | Some((_, Some(false))), false) => {
            problems.add(&place, "whose account? write a role, or own_account: true");
        }
        _ => {}
    }
    for (place, _) in [&external_id, &session_name].into_iter().flatten().filter(|_| !has_role) {
        problems.add(place, "this is for assuming a role, and there is none");
    }
    let regions = each(&mut item, ["regions", "region"], region, problems);
    let clusters = each(&mut item, ["clusters", "cluster"], ClusterPattern::parse, problems);
    item.finish(problems);
    let is_own = matches!(own, Some((_, Some(true))));
    if role.is_none() && (has_role || !is_own) {
        return None;
    }
    Some(Account {
        role,
        external_id: checked(external_id.filter(|_| has_role), self::external_id, problems),
        session_name: checked(session_name.filter(|_| has_role), self::session_name, problems),
        regions: if regions.is_empty() || common.regions_are_given {
            common.regions.clone()
        } else {
            regions
        },
        clusters: if clusters.is_empty() || common.clusters_are_given {
            common.clusters.clone()
        } else {
            ClusterSelection::new(clusters)
        },
    })
}

/// The values of a list.
fn each<T: Ord + Clone>(
    item: &mut Mapping,
    keys: [&str; 2],
    check: impl Fn(&str) -> Result<T, String>,
    problems: &mut Problems,
) -> Vec<T> {
    let lists: Vec<_> = keys.into_iter().filter_map(|key| item.take_set(key, problems)).collect();
    let texts: Vec<_> = lists.iter().flat_map(|list| list.texts_set(problems)).collect();
    let texts = texts.iter().map(|(place, text)| (place, text.trim()));
    each_once(texts, check, |place, problem| problems.add(place, problem))
}

/// The values of texts, each checked and each once; what is refused comes with where it stands.
pub(super) fn each_once<'a, P, T: Ord + Clone>(
    texts: impl IntoIterator<Item = (P, &'a str)>,
    check: impl Fn(&str) -> Result<T, String>,
    mut refuse: impl FnMut(P, String),
) -> Vec<T> {
    let (mut values, mut seen) = (Vec::new(), BTreeSet::new());
    for (place, text) in texts {
        match check(text) {
            Ok(value) if seen.insert(value.clone()) => values.push(value),
            Ok(_) => {}
            Err(problem) => refuse(place, problem),
        }
    }
    values
}
