//! AWS's clock, which answers show and signatures are checked against. A fixed one, which is there for equal bytes, does
//! neither.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::http::Response;
use crate::world::{Clock, World};

/// How far a request's time may be off, in seconds: five minutes for most services.
const TOLERANCE: u64 = 5 * 60;

/// Epoch seconds; the machine's clock unless the world's is fixed, since clients drop credentials that have expired.
pub(crate) fn now(world: &World) -> u64 {
    match world.clock {
        Clock::Fixed(seconds) => seconds,
        Clock::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    }
}

/// The time since the epoch by which messages and events are dated. It goes on with tokio's clock, as the program's does:
/// where a test lets an hour pass, events are an hour younger.
pub(crate) fn moment(world: &World) -> Duration {
    let Clock::System = world.clock else { return Duration::from_secs(now(world)) };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (ours, machine) = (tokio::time::Instant::now().into_std(), std::time::Instant::now());
    (since + ours.saturating_duration_since(machine)).saturating_sub(machine.saturating_duration_since(ours))
}

/// A time as AWS writes it where it writes text: with as many decimals, up to three, as it needs.
pub(crate) fn iso(since_epoch: Duration) -> String {
    let time = DateTime::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
    time.fmt(Format::DateTime).unwrap_or_default()
}

/// Whether a request was signed too early or too late; `signed` is its `x-amz-date`, as in `20260101T000000Z`.
pub(super) fn is_off(signed: &str, world: &World) -> bool {
    world.clock == Clock::System
        && epoch_seconds(signed).is_none_or(|signed| signed.abs_diff(now(world)) > TOLERANCE)
}

fn epoch_seconds(basic: &str) -> Option<u64> {
    let part = |from: usize, to: usize| basic.get(from..to);
    let (date, time) =
        ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(9, 11)?, part(11, 13)?, part(13, 15)?));
    let extended = format!("{}-{}-{}T{}:{}:{}Z", date.0, date.1, date.2, time.0, time.1, time.2);
    let signed = DateTime::from_str(&extended, Format::DateTime).ok()?;
    u64::try_from(signed.secs()).ok()
}

/// Says what time it is, as every answer of AWS does: clients with a wrong clock go by it.
pub(crate) fn stamp(response: &mut Response, world: &World) {
    if world.clock == Clock::System
        && let Ok(date) = DateTime::from_secs(now(world) as i64).fmt(Format::HttpDate)
    {
        response.headers.insert("date".to_owned(), date);
    }
}
