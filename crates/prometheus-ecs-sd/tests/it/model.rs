//! A reference model: whatever happens to a small world, to AWS's answers and to the program, the files hold what
//! a plain function makes of the world, and lose nothing while AWS is in trouble.
//!
//! The program runs whole, on the simulated AWS and in paused time. A failure prints its steps as Rust, to be
//! pasted into `regressions`. `make model` looks at other cases, and for longer than nextest would wait.

mod changes;
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

/// About half a minute of one core in a debug build, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 150;

/// In milliseconds; a failure must be told before nextest ends the test.
const SHRINKING: u32 = 60_000;

fn config() -> ProptestConfig {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { CASES };
    ProptestConfig { cases, max_shrink_iters: u32::MAX, max_shrink_time: SHRINKING, ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_the_files_hold_what_runs(case in Case::any()) {
        play::play(&case).map_err(TestCaseError::fail)?;
    }
}
