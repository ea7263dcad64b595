//! STS over the Query protocol: AssumeRole and GetCallerIdentity.

use super::clock::now;
use super::refusal::Refusal;
use super::xml::{self, element};
use super::{request_id, text};
use crate::call::Call;
use crate::world::ids::{fold, mix};
use crate::world::region::last_part;
use crate::world::{World, partition};

pub(super) fn assume_role(call: &Call, world: &World) -> Result<String, Refusal> {
    let role_arn = required(call, "RoleArn")?;
    let session = required(call, "RoleSessionName")?;
    let account = role_arn.split(':').nth(4).and_then(|account| world.accounts.get(account));
    let role = account.and_then(|account| account.roles.get(role_arn));
    let role = role.filter(|role| match role.external_id.as_deref() {
        None => true,
        Some(required) => text(&call.input, "ExternalId") == Some(required),
    });
    let role = role.ok_or_else(|| denied(call, role_arn))?;
    let seconds = match text(&call.input, "DurationSeconds") {
        None => world.expires_in.as_secs(),
        Some(seconds) => seconds
            .parse()
            .ok()
            .filter(|seconds| (900..=43_200).contains(seconds))
            .ok_or_else(|| validation("durationSeconds must be between 900 and 43200"))?,
    };
    let credentials = xml::text("AccessKeyId", &role.access_key)
        + &xml::text("SecretAccessKey", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY")
        + &xml::text("SessionToken", &format!("{:016x}//session", mix(fold(role_arn))))
        + &xml::text("Expiration", &iso8601(now(world) + seconds));
    let user = xml::text("AssumedRoleId", &format!("AROACLKWSDQRAOEXAMPLE:{session}"))
        + &xml::text("Arn", &session_arn(call, role_arn, session));
    Ok(answer(call, &(element("Credentials", &credentials) + &element("AssumedRoleUser", &user))))
}

pub(super) fn get_caller_identity(call: &Call, _: &World) -> Result<String, Refusal> {
    let arn = format!("arn:{}:iam::{}:user/prometheus", partition(&call.region), call.account);
    let identity = xml::text("Arn", &arn)
        + &xml::text("UserId", "AIDACKCEVSQ6C2EXAMPLE")
        + &xml::text("Account", &call.account);
    Ok(answer(call, &identity))
}

fn answer(call: &Call, result: &str) -> String {
    let operation = &call.operation;
    let metadata = element("ResponseMetadata", &xml::text("RequestId", &request_id(call)));
    let content = element(&format!("{operation}Result"), result) + &metadata;
    format!("<{operation}Response xmlns=\"{}\">{content}</{operation}Response>", xml::STS)
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Refusal> {
    text(&call.input, name).ok_or_else(|| validation(&format!("{name} must not be null")))
}

fn validation(message: &str) -> Refusal {
    Refusal::new(400, "ValidationError", &format!("1 validation error detected: {message}"))
}

fn denied(call: &Call, role_arn: &str) -> Refusal {
    let user = format!("arn:{}:iam::{}:user/prometheus", partition(&call.region), call.account);
    let message =
        format!("User: {user} is not authorized to perform: sts:AssumeRole on resource: {role_arn}");
    Refusal::new(403, "AccessDenied", &message)
}

fn session_arn(call: &Call, role_arn: &str, session: &str) -> String {
    let account = role_arn.split(':').nth(4).unwrap_or_default();
    format!("arn:{}:sts::{account}:assumed-role/{}/{session}", partition(&call.region), last_part(role_arn))
}

fn iso8601(epoch_seconds: u64) -> String {
    let (days, seconds) = (epoch_seconds / 86_400, epoch_seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The civil date of a day since 1970, by Howard Hinnant's algorithm: years that begin in March have their leap day last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}
