//! A service of a cluster, as far as it is more than the group of its tasks.

use std::collections::BTreeMap;

/// An ECS service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// Answered only when `include` asks for `TAGS`.
    pub tags: BTreeMap<String, String>,
}

impl Default for Service {
    /// ACTIVE, without tags.
    fn default() -> Self {
        Self { status: "ACTIVE".to_owned(), tags: BTreeMap::new() }
    }
}
