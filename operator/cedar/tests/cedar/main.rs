//! ExecutionPolicies, from their text to what they say of an execution.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod examples;
mod given;
mod questions;
mod texts;
