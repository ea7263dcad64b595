//! What a refresh asks, what it makes of failures, and when a target leaves.

mod asking;
mod denied;
mod failing;
mod leaving;
mod names;
mod paging;
mod partial;
mod rechecking;
mod restarting;
mod services;
