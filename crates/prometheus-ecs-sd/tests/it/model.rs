//! A reference model: whatever happens to a small world, to AWS's answers, to its events and to the program, the files
//! hold what a plain function makes of the world, and lose nothing while AWS is in trouble.
//!
//! The program runs whole, on the simulated AWS and in paused time. A failure prints its steps as Rust, to be
//! pasted into `regressions`. `make model` looks at other cases, and for longer than nextest would wait.

mod changes;
mod events;
mod faults;
mod play;
mod recipes;
mod reference;
mod regressions;
mod steps;
mod watch;

use proptest::prelude::{ProptestConfig, proptest};
use proptest::test_runner::TestCaseError;

use steps::Case;

/// Each about half a minute of one core in a debug build, unless `PROPTEST_CASES` says otherwise.
const POLLED: u32 = 150;
const TOLD: u32 = 50;

/// In milliseconds; a failure must be told before nextest ends the test.
const SHRINKING: u32 = 60_000;

fn config(cases: u32) -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { cases };
    ProptestConfig { cases, max_shrink_iters: u32::MAX, max_shrink_time: SHRINKING, ..config }
}

proptest! {
    #![proptest_config(config(POLLED))]

    #[test]
    fn whatever_happens_the_files_hold_what_runs(case in Case::polled()) {
        play::play(&case).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(config(TOLD))]

    #[test]
    fn whatever_becomes_of_events_the_files_hold_what_runs(case in Case::told()) {
        play::play(&case).map_err(TestCaseError::fail)?;
    }
}
