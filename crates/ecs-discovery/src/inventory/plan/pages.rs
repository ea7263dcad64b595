//! Where a listing stands: bounded, and never in a circle.

use std::collections::BTreeSet;

use crate::failure::{Failure, FailureKind};

/// A listing that has not ended after so many pages, 100 entries each, is taken for one that never ends.
const MAX_PAGES: usize = 10_000;

/// So is one of which so many pages in a row list only what was listed before. (An empty page may be followed by any
/// number of others: AWS leaves out what it filters.)
const MAX_REPEATS: usize = 10;

/// The pages of one listing so far.
#[derive(Debug, Default)]
pub(super) struct Pages {
    tokens: BTreeSet<String>,
    repeats: usize,
}

/// What a page listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Nothing,
    SomethingNew,
    OnlyKnown,
}

impl Listed {
    /// By how many entries there were, and how many of them were not on a page before.
    pub(super) fn of(entries: usize, new: usize) -> Self {
        match (entries, new) {
            (0, _) => Self::Nothing,
            (_, 0) => Self::OnlyKnown,
            _ => Self::SomethingNew,
        }
    }
}

impl Pages {
    /// Notes a page and the token of the next one.
    pub(super) fn turn(&mut self, listed: Listed, next: &str) -> Result<(), Failure> {
        match listed {
            Listed::Nothing => {}
            Listed::SomethingNew => self.repeats = 0,
            Listed::OnlyKnown => self.repeats += 1,
        }
        let message = if self.tokens.len() >= MAX_PAGES {
            format!("the listing has not ended after {MAX_PAGES} pages")
        } else if self.repeats >= MAX_REPEATS {
            format!("the listing repeats itself, {MAX_REPEATS} pages in a row, and would never end")
        } else if self.tokens.insert(next.to_owned()) {
            return Ok(());
        } else {
            "the listing repeats a page token and would never end".to_owned()
        };
        Err(Failure { kind: FailureKind::Unavailable, message })
    }
}
