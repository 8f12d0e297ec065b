//! What is believed of a provider.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod image;
mod schema;
mod watchlist;
