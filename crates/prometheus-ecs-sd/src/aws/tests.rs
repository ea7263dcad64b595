//! Tests of the whole room against the simulated AWS, and what the tests of its files share.

mod clock;
pub(super) mod simulated;
