//! The accounts to discover, from options or from `sources` in the configuration file.

use std::collections::{BTreeMap, BTreeSet};

use ecs_discovery::arn::RoleArn;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};

use super::errors::ConfigErrors;
use super::yaml::{Mapping, Place, Value};

/// One account. It is a source in each of its regions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The role to assume; `None` for the account of the credentials.
    pub role: Option<RoleArn>,
    /// The external id for assuming the role.
    pub external_id: Option<String>,
    /// The name of the session in the account's logs.
    pub session_name: Option<String>,
    /// The regions; if empty, the region of the AWS configuration.
    pub regions: Vec<String>,
    /// The selected clusters.
    pub clusters: ClusterSelection,
}

/// The options for all accounts, used for sources of the file without such settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) regions: Vec<String>,
    pub(super) clusters: ClusterSelection,
    /// Whether the command line sets them, which overrides a source of the file.
    pub(super) regions_are_given: bool,
    pub(super) clusters_are_given: bool,
}

pub(super) fn role(text: &str) -> Result<RoleArn, String> {
    RoleArn::parse_strictly(text)
        .map_err(|problem| format!("{problem}; it looks like arn:aws:iam::123456789012:role/NAME"))
}

pub(crate) fn region(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    // The region becomes part of a host name.
    match text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not a region; it looks like eu-west-1")),
    }
}

/// Errors do not quote it: some users treat it as a secret.
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
pub(super) fn from_file(sources: Value, common: &Common, errors: &mut ConfigErrors) -> Vec<Account> {
    let place = sources.place.clone();
    let items = sources.sequence(errors);
    if items.is_empty() {
        errors.add(&place, "there is no source; remove the key to discover the account of the credentials");
    }
    let mut accounts = Vec::new();
    let mut seen: BTreeMap<_, Place> = BTreeMap::new();
    for item in items {
        let place = item.place.clone();
        let Some(account) = item.mapping(errors).and_then(|item| account(item, common, errors)) else {
            continue;
        };
        if let Some(earlier) = account.sources().find_map(|source| seen.get(&source)) {
            errors.add(&place, format!("{earlier} has the same credentials and region; merge both"));
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

fn account(mut item: Mapping, common: &Common, errors: &mut ConfigErrors) -> Option<Account> {
    let place = item.place.clone();
    let mut text = |key, errors: &mut ConfigErrors| {
        let value = item.take_set(key, errors)?;
        Some((value.place.clone(), value.text(errors)?.to_owned()))
    };
    fn checked<T>(
        given: Option<(Place, String)>,
        check: impl Fn(&str) -> Result<T, String>,
        errors: &mut ConfigErrors,
    ) -> Option<T> {
        let (place, text) = given?;
        check(&text).map_err(|problem| errors.add(&place, problem)).ok()
    }
    let given_role = text("role", errors);
    let has_role = given_role.is_some();
    let role = checked(given_role, role, errors);
    let external_id = text("external_id", errors);
    let session_name = text("session_name", errors);
    let own = item.take_set("own_account", errors).map(|value| (value.place.clone(), value.flag(errors)));
    match (&own, has_role) {
        (Some((place, Some(true))), true) => {
            errors.add(place, "a source is either the own account or that of a role; write two sources");
        }
        (None | Some((_, Some(false))), false) => {
            errors.add(&place, "the source has no account; set role, or own_account: true");
        }
        _ => {}
    }
    for (place, _) in [&external_id, &session_name].into_iter().flatten().filter(|_| !has_role) {
        errors.add(place, "this is for assuming a role, and there is no role");
    }
    let regions = each(&mut item, ["regions", "region"], region, errors);
    let clusters = each(&mut item, ["clusters", "cluster"], ClusterPattern::parse, errors);
    item.finish(errors);
    let is_own = matches!(own, Some((_, Some(true))));
    if role.is_none() && (has_role || !is_own) {
        return None;
    }
    Some(Account {
        role,
        external_id: checked(external_id.filter(|_| has_role), self::external_id, errors),
        session_name: checked(session_name.filter(|_| has_role), self::session_name, errors),
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
    errors: &mut ConfigErrors,
) -> Vec<T> {
    let lists: Vec<_> = keys.into_iter().filter_map(|key| item.take_set(key, errors)).collect();
    let texts: Vec<_> = lists.iter().flat_map(|list| list.texts_set(errors)).collect();
    let texts = texts.iter().map(|(place, text)| (place, text.trim()));
    each_once(texts, check, |place, problem| errors.add(place, problem))
}

/// The valid values, each once; `refuse` gets the problem and the place of each invalid one.
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
