//! What the decision promises, by rules, tables and properties. One binary: linking is what tests cost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod amounts;
mod ceiling;
mod container;
mod cost;
mod denials;
mod difference;
mod enforceability;
mod given;
mod inclusion;
mod isolation;
mod laws;
mod limits;
mod narrowing;
mod network;
mod order;
mod patterns;
mod permissions;
mod policies;
mod trace;
