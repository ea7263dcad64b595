//! The pure core of prometheus-ecs-sd: facts that AWS answered go in, scrape targets and findings come out.
//!
//! Nothing here performs I/O, reads a clock or the environment, or fails: for data it can describe it
//! returns values and findings, not errors. `now` is an argument wherever time matters.
//!
//! The data's way through the modules: [`model`] (facts) → [`inventory`] (what is known, and the
//! questions still open) → [`derive`](mod@derive) ([`conventions`], [`address`], [`labels`]) →
//! [`snapshot`] → [`render`].

pub mod address;
pub mod arn;
pub mod conventions;
pub mod derive;
pub mod event;
pub mod explain;
pub mod failure;
pub mod filter;
pub mod finding;
pub mod groups;
pub mod interval;
pub mod inventory;
pub mod labels;
pub mod model;
pub mod render;
pub mod snapshot;
pub mod sorted;
pub mod target;
pub mod task_view;
pub mod text;
pub mod variable;
