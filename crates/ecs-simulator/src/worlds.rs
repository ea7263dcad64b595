//! Ready-made worlds. Unlike the rest of the crate they know how a container asks to be scraped.

mod every_case;
mod large;

pub use every_case::{PARTNER_ACCOUNT, PARTNER_EXTERNAL_ID, PARTNER_ROLE, every_case};
pub use large::{REGION, Size, churn, large};
