//! Tests that never run out of cases: an oracle that tries every text of a small world, and fuzzers. Neither is part of
//! a release.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests"
)]

pub mod oracle;
#[cfg(feature = "wire")]
pub mod target;
