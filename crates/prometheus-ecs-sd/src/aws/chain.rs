//! The default chain of credentials, built again for each load.
//!
//! The SDK's providers parse the profiles once and keep SSO's token until it expires, so they never see what another
//! process writes to these files. `credentials` decides how often to load, and caches the result.

use std::env;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use aws_config::Region;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::{Env, Fs};
use ecs_discovery::text::brief;
use tracing::warn;

use super::loader;

/// Variables that name a profile.
const PROFILE: &str = "AWS_PROFILE";
const DEFAULT_PROFILE: &str = "AWS_DEFAULT_PROFILE";

/// Variables that name credential files, and the default path of each file.
const FILES: [(&str, Option<&str>); 4] = [
    ("AWS_SHARED_CREDENTIALS_FILE", Some(".aws/credentials")),
    ("AWS_CONFIG_FILE", Some(".aws/config")),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", None),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", None),
];

/// Reads files and profiles on each load; the environment is that of the start.
pub(super) struct Chain {
    http: SharedHttpClient,
    environment: Env,
    /// The region of the start: looking it up may need a call to the instance's metadata service.
    region: Option<Region>,
}

/// The SDK's errors do not name the file, and the SDK treats an unreadable profile as empty.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {} cannot be read: {problem}", path.display())]
struct Unreadable {
    name: &'static str,
    path: PathBuf,
    problem: io::Error,
    #[source]
    otherwise: Option<CredentialsError>,
}

/// The SDK would continue with the next provider, and so with another identity than the one that was chosen.
#[derive(Debug, thiserror::Error)]
pub(super) enum MissingProfile {
    /// The profile is in no file.
    #[error(
        "AWS_PROFILE={name} is in neither {config} (as [profile {name}]) nor {credentials} (as [{name}]); \
         add the profile there, or correct AWS_PROFILE"
    )]
    Nowhere { name: String, config: String, credentials: String },
    /// The SDK skips profiles with such names, so it is unknown whether a file contains the profile.
    #[error(
        "AWS_PROFILE={0}: the name of the profile has characters that are not supported; rename the profile, \
         with ASCII letters, digits and _-/.%@:+ only"
    )]
    UnsupportedName(String),
}

impl MissingProfile {
    /// The profile that the environment names, if the SDK finds it in no file.
    pub(super) async fn of(environment: &Env) -> Option<Self> {
        let name = environment.get(PROFILE).ok()?;
        let profiles = aws_config::profile::load(&Fs::real(), environment, &Default::default(), None).await;
        // Many users set the default profile without having one.
        if name == "default" || profiles.ok()?.get_profile(&name).is_some() {
            return None;
        }
        let shown = brief(&name).into_owned();
        // The rule of the SDK's parser of these files, which is private.
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.%@:+".contains(c)) {
            return Some(Self::UnsupportedName(shown));
        }
        let path = |(name, usual): (&'static str, _)| {
            file(name, usual, environment).map_or(name.to_owned(), |(_, path, _)| path.display().to_string())
        };
        let [credentials, config, ..] = FILES;
        Some(Self::Nowhere { name: shown, config: path(config), credentials: path(credentials) })
    }

    /// Warns at the start that loading credentials will fail, unless the environment has an access key, which has
    /// precedence over profiles.
    pub(super) fn warn(&self, environment: &Env) {
        if environment.get("AWS_ACCESS_KEY_ID").is_err() {
            warn!(error = %self, "the AWS profile cannot be used");
        }
    }
}

/// The AWS CLI also reads the second variable; the SDK does not.
pub(super) fn warn_of_default_profile(environment: &Env) {
    if environment.get(DEFAULT_PROFILE).is_ok() && environment.get(PROFILE).is_err() {
        warn!(
            variable = DEFAULT_PROFILE,
            "this environment variable has no effect; name the profile in AWS_PROFILE"
        );
    }
}

impl Chain {
    pub(super) fn new(http: SharedHttpClient, environment: Env, region: Option<Region>) -> Self {
        Self { http, environment, region }
    }

    async fn credentials(&self) -> provider::Result {
        let loader = loader(self.http.clone(), self.environment.clone());
        let config = loader.region(self.region.clone()).load().await;
        let none = || CredentialsError::not_loaded("there is no chain of providers");
        let loaded = config.credentials_provider().ok_or_else(none)?.provide_credentials().await;
        // Credentials in the environment have precedence over profiles.
        if loaded.as_ref().is_ok_and(are_of_environment) {
            return loaded;
        }
        let error = match (MissingProfile::of(&self.environment).await, loaded) {
            (None, Ok(credentials)) => return Ok(credentials),
            (None, Err(error)) => error,
            (Some(missing), _) => CredentialsError::not_loaded(missing),
        };
        Err(with_file(error, &self.environment).await)
    }
}

fn are_of_environment(credentials: &Credentials) -> bool {
    let features = credentials.get_property::<Vec<AwsCredentialFeature>>();
    features.and_then(|features| features.last()) == Some(&AwsCredentialFeature::CredentialsEnvVars)
}

/// The error, with the name of the unreadable file if there is one.
async fn with_file(error: CredentialsError, environment: &Env) -> CredentialsError {
    let file = |(name, usual)| file(name, usual, environment);
    let mut files: Vec<_> = FILES.into_iter().filter_map(file).collect();
    let profile = aws_config::profile::load(&Fs::real(), environment, &Default::default(), None).await;
    let token = profile.as_ref().ok().and_then(|profile| profile.get("web_identity_token_file"));
    files.extend(token.map(|path| ("web_identity_token_file", path.into(), true)));
    let unreadable = tokio::task::spawn_blocking(move || files.into_iter().find_map(unreadable)).await;
    match unreadable {
        Ok(Some((name, path, problem))) => {
            let says_nothing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
            let otherwise = (!says_nothing).then_some(error);
            CredentialsError::provider_error(Unreadable { name, path, problem, otherwise })
        }
        _ => error,
    }
}

/// Its name, its path, and whether it must exist.
fn file(name: &'static str, usual: Option<&str>, environment: &Env) -> Option<(&'static str, PathBuf, bool)> {
    let home = env::home_dir();
    match environment.get(name).ok() {
        Some(path) => {
            let path = PathBuf::from(path);
            let at_home = path.strip_prefix("~").ok().and_then(|rest| Some(home?.join(rest)));
            Some((name, at_home.unwrap_or(path), true))
        }
        None => Some((name, home?.join(usual?), false)),
    }
}

fn unreadable(
    (name, path, must_exist): (&'static str, PathBuf, bool),
) -> Option<(&'static str, PathBuf, io::Error)> {
    // Opened only if it is a file: a pipe would block the thread forever.
    let problem = match fs::metadata(&path) {
        Ok(found) if found.is_file() => File::open(&path).err()?,
        Ok(_) => io::Error::other("it is not a file"),
        Err(problem) => problem,
    };
    let matters = must_exist || problem.kind() != io::ErrorKind::NotFound;
    matters.then_some((name, path, problem))
}

impl fmt::Debug for Chain {
    /// The environment contains keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("region", &self.region).finish_non_exhaustive()
    }
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
