//! What becomes a target: a table of fixtures for each rule.

mod address;
mod bounds;
mod endpoints;
mod files;
mod filter;
mod labels;
mod meta_labels;
mod opting_in;
mod when;
