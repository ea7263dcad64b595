//! The grammars of rules, for the fuzz targets.

use std::collections::BTreeMap;

use super::{pairs, ports};
use crate::conventions::path::Path;
use crate::finding::Problem;
use crate::interval::{Interval, Intervals};

/// Port, path and interval of one item.
pub type Item = (u16, Option<Path>, Option<Interval>);

/// The items of a text.
pub fn ports(text: &str, intervals: &Intervals) -> Vec<Result<Item, Problem>> {
    let items = ports::items(text).into_iter();
    let read = items.map(|item| ports::read("the port", item, intervals));
    read.map(|read| read.map(|item| (item.port, item.path, item.interval))).collect()
}

/// The labels of a text, and the number of its warnings.
pub fn pairs(text: &str) -> (BTreeMap<&str, &str>, usize) {
    let pairs = pairs::read("the list", text);
    (pairs.labels, pairs.warnings.len())
}
