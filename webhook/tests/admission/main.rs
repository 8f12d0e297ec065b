//! The webhook's answers, by its router, without a socket. A double of the API server answers who may do what, and what
//! there is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in what tests share"
)]

mod executions;
mod grants;
mod malformed;
mod policies;
mod providers;
mod receipts;
mod support;
mod trail;
