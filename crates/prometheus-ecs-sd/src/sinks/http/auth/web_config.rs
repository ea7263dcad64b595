//! The web configuration file, in the format that Prometheus and its exporters share.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/https/>. An unsupported setting is an error.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::AuthPolicy;
use super::passwords::{Checked, Passwords};
use super::tls;
use crate::atomic_file::FileIdentity;
use crate::config::ConfigErrors;
use crate::config::regular_file;
use crate::config::yaml::{Mapping, Value, parse};

/// The allowed costs of a hash: bcrypt has no lower one, and a check of the highest takes some seconds.
const COSTS: RangeInclusive<u32> = 4..=16;

/// The headers that can be set, as in Prometheus.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
];

/// The error for a file that sets nothing and so would allow everyone.
const EMPTY: &str =
    "the file sets nothing; to serve without TLS and passwords, start the program without --web-config-file";

/// The identities of the files that were read; `None` for a missing file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileIdentities(BTreeMap<PathBuf, Option<FileIdentity>>);

impl FileIdentities {
    /// The current identities of the same files.
    pub(super) fn now(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), identity(path))).collect())
    }
}

fn identity(path: &Path) -> Option<FileIdentity> {
    fs::metadata(path).ok().map(|metadata| FileIdentity::of(&metadata))
}

/// Reads files and records their identities.
#[derive(Debug, Default)]
pub(super) struct Files(FileIdentities);

impl Files {
    /// A file's text, or the reason why it cannot be read.
    pub(super) fn read(&mut self, path: &Path) -> Result<String, String> {
        // Recorded before the file is read, so that a change in between is noticed.
        self.0.0.insert(path.to_owned(), identity(path));
        regular_file::read(path).map_err(|problem| format!("{} cannot be read: {problem}", path.display()))
    }
}

/// Reads the file and those that it names.
pub(super) fn read(
    path: &Path,
    checked: &Arc<Checked>,
) -> (Result<AuthPolicy, ConfigErrors>, FileIdentities) {
    let mut files = Files::default();
    let policy = match files.read(path) {
        Ok(text) => policy(path, &text, &mut files, checked),
        Err(problem) => Err(ConfigErrors::one(problem)),
    };
    (policy, files.0)
}

fn policy(
    path: &Path,
    text: &str,
    files: &mut Files,
    checked: &Arc<Checked>,
) -> Result<AuthPolicy, ConfigErrors> {
    let mut errors = ConfigErrors::of(path);
    let mut policy = AuthPolicy::default();
    if let Some(mut file) = parse(text, &mut errors).and_then(|value| value.mapping(&mut errors)) {
        // A full disk leaves an empty file, or only the comments of one that was cut short.
        if file.is_empty() {
            errors.add(&file.place, EMPTY);
        }
        if let Some(section) = mapping(&mut file, "tls_server_config", &mut errors) {
            policy.tls = tls::read(section, path, files, &mut errors);
        }
        if let Some(section) = mapping(&mut file, "http_server_config", &mut errors) {
            policy.headers = http(section, &mut errors);
        }
        if let Some(section) = mapping(&mut file, "basic_auth_users", &mut errors) {
            policy.passwords = Passwords::new(users(section, &mut errors), checked.clone()).map(Arc::new);
        }
        file.finish(&mut errors);
    }
    errors.into_result().map(|()| policy)
}

/// An empty section is refused like an empty file.
fn mapping(file: &mut Mapping, key: &'static str, errors: &mut ConfigErrors) -> Option<Mapping> {
    let section = file.take_present(key)?.mapping(errors)?;
    if section.is_empty() {
        errors.add(&section.place, "nothing is set under this key; set something, or leave the key out");
        return None;
    }
    Some(section)
}

fn users(mut section: Mapping, errors: &mut ConfigErrors) -> BTreeMap<String, String> {
    let mut users = BTreeMap::new();
    let place = section.place.clone();
    for (user, value) in section.take_all() {
        // In HTTP, the name ends at the first colon. Such a name is not shown: it may contain a password or a hash.
        if user.contains(':') || user.starts_with('$') {
            let problem = "a user name cannot contain a colon or begin with a dollar sign; write NAME: HASH";
            errors.add(&place.at(&value.place), problem);
            continue;
        }
        let Some(hash) = value.text(errors) else {
            errors.add(&value.place, "the password's hash is missing");
            continue;
        };
        match hash.parse::<bcrypt::HashParts>() {
            Ok(parts) if !COSTS.contains(&parts.get_cost()) => {
                let (least, most) = (COSTS.start(), COSTS.end());
                let problem = format!("the cost of this hash is not from {least} to {most}");
                errors.add(&value.place, problem);
            }
            Ok(_) => drop(users.insert(user, hash.to_owned())),
            Err(_) => errors.add(
                &value.place,
                "this is not a bcrypt hash; create one, for example with htpasswd -nBC 10 ''",
            ),
        }
    }
    users
}

/// `http2` is accepted and has no effect: HTTP/2 is not supported, and clients negotiate HTTP/1.1.
fn http(mut section: Mapping, errors: &mut ConfigErrors) -> HeaderMap {
    if let Some(value) = section.take("http2") {
        value.flag(errors);
    }
    let mut headers = HeaderMap::new();
    let given = section.take("headers").and_then(|value: Value| value.mapping(errors));
    for (name, value) in given.map(|mut given| given.take_all()).into_iter().flatten() {
        let known = HEADERS.iter().find(|known| known.eq_ignore_ascii_case(&name));
        let Some(name) = known.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok()) else {
            errors.add(&value.place, format!("this header cannot be set; use {}", HEADERS.join(", ")));
            continue;
        };
        let Some(text) = value.text(errors) else { continue };
        match HeaderValue::from_str(text) {
            Ok(value) => drop(headers.insert(name, value)),
            Err(_) => errors.add(&value.place, "this cannot be sent in a header"),
        }
    }
    section.finish(errors);
    headers
}
