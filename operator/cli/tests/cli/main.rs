//! The verbs: what goes in, what comes out, and the exit code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in what tests share"
)]

mod audit;
mod binary;
mod can_i;
mod check;
mod diff;
mod doctor;
mod explain;
mod krew;
mod newcomer;
mod path;
mod policies;
mod reports;
mod table;

/// A context `analysts`, a provider `tools`, and three executions: allowed, denied, and of nothing that exists.
pub const WORLD: &str = include_str!("world.yaml");
